/** `reduceByKeyAndWindow`, with and without inverse, against the same merges by hand. */
import { seconds } from '@sluice/core'
import type { Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'
import { streamDriver } from '../stream-driver.js'

const AIM = 0.7
/** How many times cheaper the inverse must be than the plain form. */
const INVERSE_AIM = 5
const KEYS = 100_000
const SLICES = 30

type Count = readonly [key: string, count: number]

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b

export const window: Benchmark = {
  name: 'window',
  about: '30 slices of 100 k records over 100 k keys, against hand loops doing the same merges, and against each other',
  run: async (sizes) => {
    const records = sizes.count(KEYS)
    const plain = await streamDriver<Count, Count>((counts) =>
      counts.reduceByKeyAndWindow(add, { window: seconds(SLICES) }),
    )
    const inverse = await streamDriver<Count, Count>((counts) =>
      counts.reduceByKeyAndWindow(add, { window: seconds(SLICES), inverse: subtract }),
    )
    const byHand = { plain: new HandWindow(), inverse: new HandWindow() }
    let slice = 0
    for (; slice < SLICES; slice++) {
      const batch = sliceOf(slice, records)
      await plain.batch(batch)
      await inverse.batch(batch)
      byHand.plain.enter(batch)
      byHand.inverse.enter(batch)
      byHand.inverse.slide()
    }
    // Both sides of a pair get the same slice, whichever runs first.
    const slices = { plain: [slice, slice], inverse: [slice, slice], both: [slice, slice] }
    const take = (of: [number, number] | number[], side: 0 | 1): Count[] =>
      sliceOf((of[side] = (of[side] ?? 0) + 1), records)
    const shared = { aim: AIM, noun: 'records', count: records }
    const rows = await measure(
      [
        {
          ...shared,
          name: 'window/plain',
          ours: async () => (await plain.batch(take(slices.plain, 0))).length,
          reference: () => {
            byHand.plain.enter(take(slices.plain, 1))
            return byHand.plain.recomputed().length
          },
        },
        {
          ...shared,
          name: 'window/inverse',
          ours: async () => (await inverse.batch(take(slices.inverse, 0))).length,
          reference: () => {
            byHand.inverse.enter(take(slices.inverse, 1))
            return byHand.inverse.slide().length
          },
        },
        {
          ...shared,
          name: 'window/inverse against plain',
          aim: INVERSE_AIM,
          ours: async () => (await inverse.batch(take(slices.both, 0))).length,
          reference: async () => (await plain.batch(take(slices.both, 1))).length,
        },
      ],
      sizes.repeats({ warmUp: 2, rounds: 9 }),
    )
    await plain.stop()
    await inverse.stop()
    return rows
  },
}

/** Every key in every slice, so that each form has the same keys at any time. */
function sliceOf(slice: number, records: number): Count[] {
  return Array.from({ length: records }, (_, i): Count => [`key-${String((i * 7_919 + slice) % records)}`, 1])
}

/** The window as a program without Sluice keeps it: reduced slices, and a map that is slid along. */
class HandWindow {
  readonly #slices: Map<string, number>[] = []
  readonly #totals = new Map<string, { count: number; slices: number }>()
  #left: Map<string, number> | undefined

  enter(batch: readonly Count[]): void {
    const reduced = new Map<string, number>()
    for (const [key, count] of batch) {
      const before = reduced.get(key)
      reduced.set(key, before === undefined ? count : add(before, count))
    }
    this.#slices.push(reduced)
    this.#left = this.#slices.length > SLICES ? this.#slices.shift() : undefined
  }

  recomputed(): Count[] {
    const totals = new Map<string, number>()
    for (const slice of this.#slices) {
      for (const [key, count] of slice) {
        const before = totals.get(key)
        totals.set(key, before === undefined ? count : add(before, count))
      }
    }
    return [...totals]
  }

  slide(): Count[] {
    for (const [key, count] of this.#left ?? []) {
      const total = this.#totals.get(key)
      if (total === undefined) continue
      if (total.slices === 1) this.#totals.delete(key)
      else this.#totals.set(key, { count: subtract(total.count, count), slices: total.slices - 1 })
    }
    for (const [key, count] of this.#slices.at(-1) ?? []) {
      const total = this.#totals.get(key)
      this.#totals.set(
        key,
        total === undefined ? { count, slices: 1 } : { count: add(total.count, count), slices: total.slices + 1 },
      )
    }
    return Array.from(this.#totals, ([key, { count }]): Count => [key, count])
  }
}
