/** The same batches again in a world where nothing goes wrong: what a program writes then is what it should have written. */
import type { InputSource } from '@sluice/core'
import type { Contents, Expected, SimBatch } from './contents.js'

/** Batches that are given again, at their times. */
export class Replay {
  readonly zeroTime: number
  readonly #batches: readonly SimBatch[]
  readonly #intervalMs: number

  constructor(batches: readonly SimBatch[], zeroTime: number, intervalMs: number) {
    this.#batches = batches
    this.zeroTime = zeroTime
    this.#intervalMs = intervalMs
  }

  get lastTime(): number | undefined {
    return this.#batches.at(-1)?.time
  }

  /** How far the wall clock must be off for the batch after this one to have its time: ticks that were skipped are jumped over. */
  offsetAfter(time: number | undefined): number {
    const next = this.#batches.findIndex((batch) => batch.time > (time ?? -Infinity))
    return (this.#batches[next]?.time ?? 0) - this.zeroTime - (next + 1) * this.#intervalMs
  }

  /** The input of this name; `onPlan` hears of each tick, and of the start. */
  source(name: string, onPlan: (time?: number) => void): InputSource<unknown, number> {
    const parts = (time: number): readonly (readonly unknown[])[] => {
      const batch = this.#batches.find((each) => each.time === time)
      return batch?.partitions[name] ?? [batch?.records[name] ?? []]
    }
    return {
      '~sluice': 'input/1',
      name,
      replayable: true,
      start: () => {
        onPlan()
        return Promise.resolve()
      },
      plan: (time) => {
        onPlan(time)
        return { data: time, records: parts(time).reduce((sum, { length }) => sum + length, 0) }
      },
      partitions: (time) => parts(time),
      read: (records: readonly unknown[]) => [records],
    }
  }
}

/** The contents of a run, by time, for whoever asks for the same batches. */
export function expecting(times: readonly number[], contents: Contents): Expected {
  return (batches) =>
    Object.fromEntries(
      Object.entries(contents).map(([table, rows]) => [
        table,
        batches.map(({ time }) => rows[times.indexOf(time)] ?? []),
      ]),
    )
}
