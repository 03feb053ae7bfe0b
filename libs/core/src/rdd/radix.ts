/** Least-significant-digit radix sort, stable, in steps of a millisecond or so. */

export type Entry = readonly [key: unknown, record: unknown]

/** Numbers of 64 bits, to be sorted as unsigned integers. */
export interface Words {
  readonly high: Uint32Array
  readonly low: Uint32Array
}

/** Numbers that one step looks at. */
const STEP = 1 << 15
const RADIX_BITS = 11
/** Fewer numbers than digits are sorted faster by comparing. */
export const RADIX = 1 << RADIX_BITS

export function* inSteps(n: number, work: (from: number, to: number) => void, step = STEP): Generator<undefined, void> {
  for (let from = 0; from < n; from += step) {
    work(from, Math.min(n, from + step))
    yield
  }
}

/** Entries by their keys, which are numbers but not NaN. */
export function* sortByNumber(entries: readonly Entry[], descending: boolean): Generator<undefined, readonly Entry[]> {
  const n = entries.length
  const number = new Float64Array(1)
  const bits = new Uint32Array(number.buffer)
  const words: Words = { high: new Uint32Array(n), low: new Uint32Array(n) }
  const flip = descending ? 0xffffffff : 0
  yield* inSteps(n, (from, to) => {
    for (let i = from; i < to; i++) {
      // 0 and -0 are equal, and must keep their order.
      number[0] = ((entries[i] as Entry)[0] as number) || 0
      const h = bits[1] as number
      // The bits of doubles are turned so that their order is that of unsigned integers.
      const sign = -(h >>> 31)
      words.high[i] = h ^ (sign | 0x80000000) ^ flip
      words.low[i] = (bits[0] as number) ^ sign ^ flip
    }
  })
  const order = yield* radixOrder(words)
  return order === undefined ? entries : yield* inOrder(entries, order)
}

/** The entries at the places that `order` tells. */
export function* inOrder(entries: readonly Entry[], order: Uint32Array): Generator<undefined, Entry[]> {
  const sorted = new Array<Entry>(order.length)
  yield* inSteps(order.length, (from, to) => {
    for (let i = from; i < to; i++) sorted[i] = entries[order[i] as number] as Entry
  })
  return sorted
}

/** The places of the numbers from the least to the greatest, equal ones as they stand; undefined where they are in order. */
export function* radixOrder(words: Words): Generator<undefined, Uint32Array | undefined> {
  if (yield* isSorted(words)) return undefined
  let order = new Uint32Array(words.low.length)
  yield* inSteps(order.length, (from, to) => {
    for (let i = from; i < to; i++) order[i] = i
  })
  for (const word of [words.low, words.high])
    for (let shift = 0; shift < 32; shift += RADIX_BITS) order = yield* radixPass(word, shift, order)
  return order
}

function* isSorted({ high, low }: Words): Generator<undefined, boolean> {
  for (let i = 1; i < low.length; i++) {
    if (i % STEP === 0) yield
    const rises = (high[i] as number) - (high[i - 1] as number)
    if (rises < 0 || (rises === 0 && (low[i] as number) < (low[i - 1] as number))) return false
  }
  return true
}

function* radixPass(
  word: Uint32Array,
  shift: number,
  order: Uint32Array<ArrayBuffer>,
): Generator<undefined, Uint32Array<ArrayBuffer>> {
  const counts = new Uint32Array(RADIX + 1)
  yield* inSteps(word.length, (from, to) => {
    for (let i = from; i < to; i++) (counts[(((word[i] as number) >>> shift) & (RADIX - 1)) + 1] as number)++
  })
  // One digit for all: nothing to do.
  if (counts.includes(word.length)) return order
  for (let d = 0; d < RADIX; d++) (counts[d + 1] as number) += counts[d] as number
  const next = new Uint32Array(order.length)
  yield* inSteps(order.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const at = order[i] as number
      const digit = ((word[at] as number) >>> shift) & (RADIX - 1)
      next[(counts[digit] as number)++] = at
    }
  })
  return next
}
