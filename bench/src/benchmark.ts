/** What a benchmark is. */
import { localExecutor, SluiceContext } from '@sluice/core'
import type { Repeats } from './measure.js'
import type { Row } from './row.js'

export interface Benchmark {
  readonly name: string
  /** What is held against what, in a sentence. */
  readonly about: string
  run(sizes: Sizes): Promise<Row[]>
}

/** How large and how often: the full sizes, or a part of them. */
export class Sizes {
  readonly #share: number
  readonly #rounds: number | undefined

  /** `share` of the full sizes; `rounds` instead of each benchmark's own number. */
  constructor(share = 1, rounds?: number) {
    this.#share = share
    this.#rounds = rounds
  }

  /** The number to use for `full`. */
  count(full: number): number {
    return Math.max(1, Math.round(full * this.#share))
  }

  repeats(full: Repeats): Repeats {
    if (this.#rounds === undefined) return full
    return { warmUp: Math.min(full.warmUp, this.#rounds), rounds: this.#rounds }
  }
}

/** A gigabyte holds what the benchmarks of memory-bound work need, so that spilling is measured only where it is meant. */
const MEMORY_BUDGET_BYTES = 8 * 2 ** 30

/** Runs `use` with a context of its own: in this process, one partition, as a user without options has it. */
export async function withContext<T>(use: (context: SluiceContext) => Promise<T>): Promise<T> {
  const context = new SluiceContext({
    appName: 'bench',
    executor: localExecutor(),
    memoryBudgetBytes: MEMORY_BUDGET_BYTES,
    log: 'error',
  })
  try {
    return await use(context)
  } finally {
    await context.stop()
  }
}
