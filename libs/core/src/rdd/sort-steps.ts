/**
 * Sorting in memory in steps of a millisecond or so, as generators that stop after each: a long sort must not hold up the
 * event loop. Many numbers or strings are sorted by their bits, all else by merging.
 */
import { compareNatural, type Compare } from './order.js'
import type { Pacer } from './pipeline.js'
import { RADIX, sortByNumber, type Entry } from './radix.js'
import { sortByText } from './sort-text.js'

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
  if (entries.length >= RADIX) {
    if (type === 'number') return yield* sortByNumber(entries, descending)
    if (type === 'string') return yield* sortByText(entries, descending)
  }
  const order = compare ?? compareNatural
  return yield* mergeSort(entries, descending ? (a, b) => order(b[0], a[0]) : (a, b) => order(a[0], b[0]))
}

function commonType(entries: readonly Entry[]): 'number' | 'string' | undefined {
  const type = typeof entries[0]?.[0]
  if (type !== 'number' && type !== 'string') return undefined
  for (const entry of entries) if (typeof entry[0] !== type || Number.isNaN(entry[0])) return undefined
  return type
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
