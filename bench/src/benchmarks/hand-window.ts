/** The window as a program without Sluice keeps it: reduced slices, and a map that is slid along. */

export type Count = readonly [key: string, count: number]

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b

export class HandWindow {
  readonly #length: number
  readonly #slices: Map<string, number>[] = []
  readonly #totals = new Map<string, { count: number; slices: number }>()
  #left: Map<string, number> | undefined

  constructor(length: number) {
    this.#length = length
  }

  enter(batch: readonly Count[]): void {
    const reduced = new Map<string, number>()
    for (const [key, count] of batch) {
      const before = reduced.get(key)
      reduced.set(key, before === undefined ? count : add(before, count))
    }
    this.#slices.push(reduced)
    this.#left = this.#slices.length > this.#length ? this.#slices.shift() : undefined
  }

  /** All slices merged, as the plain window does. */
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

  /** What left taken out, and what entered added. */
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
