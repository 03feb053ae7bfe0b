/**
 * A windowed reduction kept up to date: what enters is added, what leaves is taken out again. Each key counts the slices of
 * the window that hold it, and goes when there is none: so the result is that of the plain window, and a key never
 * has to be filtered out to be forgotten (Spark needs a filter, and a wrong one loses counts).
 */
import { asPair, refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import { excerpt } from '../rdd/run.js'
import { SluiceError } from '../errors.js'
import { explainUserError } from './explain.js'
import type { Results } from './state-operator.js'
import { AHEAD, type Cell, type StatePartition } from './state-partition.js'

export interface WindowFunctions {
  readonly operator: string
  readonly reduce: (a: unknown, b: unknown) => unknown
  readonly inverse: (a: unknown, b: unknown) => unknown
  /** Keys that are left out of the result; they stay in the window. */
  readonly keep: ((key: unknown, value: unknown) => boolean) | undefined
}

/** Reduced slices by which a window differs from the last one; `'all'` left: nothing of the last one is in it any more. */
export interface WindowChange {
  readonly leaving: readonly Chunks[] | 'all'
  readonly entering: readonly Chunks[]
}

/** Takes the slices that left the window and those that entered it since the last result. */
export async function slideWindow(
  partition: StatePartition,
  change: WindowChange,
  functions: WindowFunctions,
  env: TaskEnv,
): Promise<Results> {
  const slide = new Slide(partition, functions, env)
  if (change.leaving === 'all') await slide.forgetAll()
  else for (const slice of change.leaving) await slide.leave(slice)
  for (const slice of change.entering) await slide.enter(slice)
  if (functions.keep === undefined) return () => partition.pairs()
  const kept = await slide.kept(functions.keep)
  return () => partition.pairs(kept)
}

/**
 * The cells of the records of a slice that entered, so that it leaves without looking its keys up again. A key that is in a
 * slice of the window keeps its cell. Slices that went to disk meanwhile are other arrays when they come back: theirs are
 * looked up.
 */
type Entered = WeakMap<readonly unknown[], readonly Cell[]>

const enteredOf = new WeakMap<StatePartition, Entered>()

class Slide {
  readonly #partition: StatePartition
  readonly #functions: WindowFunctions
  readonly #env: TaskEnv
  readonly #entered: Entered

  constructor(partition: StatePartition, functions: WindowFunctions, env: TaskEnv) {
    this.#partition = partition
    this.#functions = functions
    this.#env = env
    let entered = enteredOf.get(partition)
    if (entered === undefined) enteredOf.set(partition, (entered = new WeakMap()))
    this.#entered = entered
  }

  async forgetAll(): Promise<void> {
    await this.#eachCell((cell) => {
      this.#set(cell, undefined, 0)
    })
  }

  leave(slice: Chunks): Promise<void> {
    const cellsOf = (chunk: readonly unknown[]): readonly Cell[] | undefined => this.#entered.get(chunk)
    return this.#eachPair(slice, cellsOf, (value, cell) => {
      const slices = slicesOf(cell)
      // The last slice of a key takes it along: what the inverse would leave of it may not be exactly nothing.
      if (slices === 1) this.#set(cell, undefined, 0)
      else if (slices > 1) this.#set(cell, this.#call(this.#functions.inverse, cell, value), slices - 1)
      else throw neverEntered(this.#functions.operator)
    })
  }

  enter(slice: Chunks): Promise<void> {
    let cells: Cell[] = []
    let at = 0
    const startChunk = (chunk: readonly unknown[]): undefined => {
      this.#entered.set(chunk, (cells = new Array<Cell>(chunk.length)))
      at = 0
    }
    return this.#eachPair(slice, startChunk, (value, cell) => {
      cells[at++] = cell
      const slices = slicesOf(cell)
      this.#set(cell, slices === 0 ? value : this.#call(this.#functions.reduce, cell, value), slices + 1)
    })
  }

  /** Cells of the keys that the user wants to see. */
  async kept(keep: NonNullable<WindowFunctions['keep']>): Promise<readonly Cell[]> {
    const partition = this.#partition
    const { operator } = this.#functions
    const kept: Cell[] = []
    await this.#eachCell((cell) => {
      const value = partition.read(cell)
      if (value === undefined) return
      try {
        if (refusePromise(keep(partition.key(cell), value), operator)) kept.push(cell)
      } catch (error) {
        throw explainUserError(error, operator, this.#env, [cell.k, value])
      }
    })
    return kept
  }

  async #eachPair(
    slice: Chunks,
    cellsOf: (chunk: readonly unknown[]) => readonly Cell[] | undefined,
    use: (value: unknown, cell: Cell) => void,
  ): Promise<void> {
    const { pacer } = this.#env
    for await (const chunk of slice) {
      const cells = cellsOf(chunk)
      for (let from = 0; from < chunk.length;) {
        const to = Math.min(chunk.length, from + Math.min(pacer.slice, AHEAD))
        const found = this.#partition.ahead(chunk, from, to, cells)
        for (let i = from; i < to; i++) {
          const pair = asPair(chunk[i], this.#functions.operator)
          use(pair[1], found[i - from] ?? this.#partition.cell(pair[0]))
        }
        if (pacer.ran(to - from)) await pacer.yield()
        from = to
      }
    }
  }

  async #eachCell(use: (cell: Cell) => void): Promise<void> {
    const { pacer } = this.#env
    let since = 0
    for (const cell of this.#partition.cells()) {
      use(cell)
      if (++since < pacer.slice) continue
      if (pacer.ran(since)) await pacer.yield()
      since = 0
    }
  }

  #set(cell: Cell, value: unknown, slices: number): void {
    if (value === undefined && slices > 0) throw noValue(this.#functions.operator, cell.k)
    this.#partition.write(cell, value)
    cell.nextSlices = slices
  }

  #call(f: (a: unknown, b: unknown) => unknown, cell: Cell, value: unknown): unknown {
    const { operator } = this.#functions
    try {
      return refusePromise(f(this.#partition.read(cell), value), operator)
    } catch (error) {
      throw explainUserError(error, operator, this.#env, [cell.k, value])
    }
  }
}

function slicesOf({ touched, slices, nextSlices }: Cell): number {
  return touched ? nextSlices : slices
}

function noValue(operator: string, key: unknown): SluiceError {
  return new SluiceError({
    code: 'STATE_INVALID',
    component: operator,
    message: `the value of key ${excerpt(key)} is undefined; use null for nothing, or see whether a function forgets to return`,
  })
}

function neverEntered(operator: string): SluiceError {
  return new SluiceError({
    code: 'STATE_INVALID',
    component: operator,
    message:
      'a key leaves the window that had not entered it; what is windowed must be the same each time it is computed',
  })
}
