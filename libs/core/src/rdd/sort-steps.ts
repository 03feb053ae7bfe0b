/**
 * Sorting in memory in steps of a millisecond or so, as generators that stop after each: a long sort must not hold up the
 * event loop. Numbers are sorted by their bits, all else by merging.
 */
import { compareNatural, type Compare } from './order.js'
import type { Pacer } from './pipeline.js'

export type Entry = readonly [key: unknown, record: unknown]

/** Runs steps, with a turn for the event loop when it is due. */
export async function politely<R>(steps: Generator<undefined, R>, pacer: Pacer): Promise<R> {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value
    if (pacer.ran(1)) await pacer.yield()
  }
}

/** Entries by their keys, equal ones as they came. `compare` undefined: in natural order. May reorder `entries`. */
export function* sortEntries(
  entries: Entry[],
  compare: Compare<unknown> | undefined,
  descending: boolean,
): Generator<undefined, readonly Entry[]> {
  const type = compare === undefined ? commonType(entries) : undefined
  if (type === 'number' && entries.length >= RADIX) return yield* sortByNumber(entries, descending)
  const order = type === 'string' ? compareStrings : (compare ?? compareNatural)
  return yield* mergeSort(entries, descending ? (a, b) => order(b[0], a[0]) : (a, b) => order(a[0], b[0]))
}

function commonType(entries: readonly Entry[]): 'number' | 'string' | undefined {
  const type = typeof entries[0]?.[0]
  if (type !== 'number' && type !== 'string') return undefined
  for (const entry of entries) if (typeof entry[0] !== type || Number.isNaN(entry[0])) return undefined
  return type
}

function compareStrings(a: unknown, b: unknown): number {
  return (a as string) < (b as string) ? -1 : (a as string) > (b as string) ? 1 : 0
}

/** Entries of one call of the built-in sort, and of one step of merging. */
const PIECE = 4_096

/** Sorted pieces, merged by two and two: about as fast as sorting all at once. */
function* mergeSort(entries: Entry[], compare: Compare<Entry>): Generator<undefined, readonly Entry[]> {
  const n = entries.length
  if (n <= PIECE) return entries.sort(compare)
  let source: Entry[] = []
  for (let from = 0; from < n; from += PIECE) {
    for (const entry of entries.slice(from, from + PIECE).sort(compare)) source.push(entry)
    yield
  }
  let target = entries
  for (let width = PIECE; width < n; width *= 2) {
    for (let left = 0; left < n; left += 2 * width) {
      yield* merge(source, target, [left, Math.min(left + width, n), Math.min(left + 2 * width, n)], compare)
    }
    const sorted = target
    target = source
    source = sorted
  }
  return source
}

/** Merges two neighbouring runs of `source` into the same place of `target`. */
function* merge(
  source: readonly Entry[],
  target: Entry[],
  [left, middle, right]: readonly [number, number, number],
  compare: Compare<Entry>,
): Generator<undefined, void> {
  let a = left
  // Runs that are in order already need one comparison.
  let b = middle
  const inOrder = middle === right || compare(source[middle - 1] as Entry, source[middle] as Entry) <= 0
  for (let to = left; to < right;) {
    const stop = Math.min(right, to + PIECE)
    for (; to < stop; to++) {
      const takesLeft = a < middle && (inOrder || b === right || compare(source[a] as Entry, source[b] as Entry) <= 0)
      target[to] = source[takesLeft ? a++ : b++] as Entry
    }
    yield
  }
}

/** Numbers that one step looks at. */
const STEP = 1 << 15
const RADIX_BITS = 11
const RADIX = 1 << RADIX_BITS

function* inSteps(n: number, work: (from: number, to: number) => void): Generator<undefined, void> {
  for (let from = 0; from < n; from += STEP) {
    work(from, Math.min(n, from + STEP))
    yield
  }
}

/** Least-significant-digit radix sort over the 64 bits of the doubles, turned so that their order is that of unsigned integers. */
function* sortByNumber(entries: readonly Entry[], descending: boolean): Generator<undefined, readonly Entry[]> {
  const n = entries.length
  const numbers = new Float64Array(n)
  yield* inSteps(n, (from, to) => {
    // 0 and -0 are equal, and must keep their order.
    for (let i = from; i < to; i++) numbers[i] = ((entries[i] as Entry)[0] as number) || 0
  })
  if (isSorted(numbers, descending)) return entries
  const words = new Uint32Array(numbers.buffer)
  const low = new Uint32Array(n)
  const high = new Uint32Array(n)
  const flip = descending ? 0xffffffff : 0
  let order = new Uint32Array(n)
  yield* inSteps(n, (from, to) => {
    for (let i = from; i < to; i++) {
      const h = words[2 * i + 1] as number
      const sign = -(h >>> 31)
      high[i] = (h ^ (sign | 0x80000000) ^ flip) >>> 0
      low[i] = ((words[2 * i] as number) ^ sign ^ flip) >>> 0
      order[i] = i
    }
  })
  for (const word of [low, high])
    for (let shift = 0; shift < 32; shift += RADIX_BITS) order = yield* radixPass(word, shift, order)
  const sorted = new Array<Entry>(n)
  yield* inSteps(n, (from, to) => {
    for (let i = from; i < to; i++) sorted[i] = entries[order[i] as number] as Entry
  })
  return sorted
}

function isSorted(numbers: Float64Array, descending: boolean): boolean {
  for (let i = 1; i < numbers.length; i++) {
    const rises = (numbers[i] as number) - (numbers[i - 1] as number)
    if (descending ? rises > 0 : rises < 0) return false
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
