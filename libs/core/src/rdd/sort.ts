/** Sorting a partition of pairs [sort key, record], stably, on disk when it is too large. */
import { mergeSorted } from './external.js'
import { compareNatural, type Compare } from './order.js'
import type { Source, Spill, TaskEnv } from './pipeline.js'
import { pipelineChunks } from './run.js'

type Entry = readonly [key: unknown, record: unknown]
const CHUNK = 4_096

/** The records (without their sort keys) in order; equal keys stay in the order in which they came. */
export async function* sortedChunks(
  source: Extract<Source, { kind: 'sort' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const compare = entryCompare(source.compare ?? compareNatural, source.descending)
  const natural = source.compare === undefined
  const runs: Spill[] = []
  let held: Entry[] = []
  for await (const chunk of pipelineChunks(source.input, env)) {
    for (const entry of chunk) held.push(entry as Entry)
    if (held.length >= env.spillRecords) {
      runs.push(await spilledRun(sortEntries(held, compare, natural, source.descending), env))
      held = []
    }
  }
  const last = sortEntries(held, compare, natural, source.descending)
  if (runs.length === 0) yield* recordChunks(last)
  else {
    runs.push(await spilledRun(last, env))
    yield* mergeSorted(
      runs.map((run) => run.read() as AsyncIterable<Entry[]>),
      compare,
      (entry) => entry[1],
    )
  }
}

function entryCompare(compare: Compare<unknown>, descending: boolean): Compare<Entry> {
  return descending ? (a, b) => compare(b[0], a[0]) : (a, b) => compare(a[0], b[0])
}

/** Sorts in place where a special form does not serve better. */
function sortEntries(
  entries: Entry[],
  compare: Compare<Entry>,
  natural: boolean,
  descending: boolean,
): readonly Entry[] {
  if (natural && entries.length > 1) {
    const type = commonType(entries)
    if (type === 'number') return sortByNumber(entries, descending)
    if (type === 'string') return sortByString(entries, descending)
  }
  return entries.sort(compare)
}

function commonType(entries: readonly Entry[]): 'number' | 'string' | undefined {
  const type = typeof entries[0]?.[0]
  if (type !== 'number' && type !== 'string') return undefined
  for (const entry of entries) if (typeof entry[0] !== type || Number.isNaN(entry[0])) return undefined
  return type
}

/** Numbers need no comparator: their bits are sorted. */
function sortByNumber(entries: Entry[], descending: boolean): readonly Entry[] {
  const numbers = Float64Array.from(entries, (entry) => entry[0] as number)
  if (isSorted(numbers, descending)) return entries
  if (entries.length < RADIX)
    return entries.sort(descending ? (a, b) => compareNatural(b[0], a[0]) : (a, b) => compareNatural(a[0], b[0]))
  return radixOrder(numbers, descending, entries)
}

function isSorted(numbers: Float64Array, descending: boolean): boolean {
  for (let i = 1; i < numbers.length; i++) {
    const rises = (numbers[i] as number) - (numbers[i - 1] as number)
    if (descending ? rises > 0 : rises < 0) return false
  }
  return true
}

const RADIX_BITS = 11
const RADIX = 1 << RADIX_BITS

/** Least-significant-digit radix sort over the 64 bits of the doubles, turned so that their order is that of unsigned integers. */
function radixOrder(numbers: Float64Array, descending: boolean, entries: readonly Entry[]): Entry[] {
  const n = numbers.length
  // 0 and -0 are equal, and must keep their order.
  for (let i = 0; i < n; i++) if (numbers[i] === 0) numbers[i] = 0
  const words = new Uint32Array(numbers.buffer)
  const low = new Uint32Array(n)
  const high = new Uint32Array(n)
  const flip = descending ? 0xffffffff : 0
  for (let i = 0; i < n; i++) {
    const h = words[2 * i + 1] as number
    const sign = -(h >>> 31)
    high[i] = (h ^ (sign | 0x80000000) ^ flip) >>> 0
    low[i] = ((words[2 * i] as number) ^ sign ^ flip) >>> 0
  }
  let order = new Uint32Array(n)
  for (let i = 0; i < n; i++) order[i] = i
  for (const word of [low, high])
    for (let shift = 0; shift < 32; shift += RADIX_BITS) order = radixPass(word, shift, order)
  const sorted = new Array<Entry>(n)
  for (let i = 0; i < n; i++) sorted[i] = entries[order[i] as number] as Entry
  return sorted
}

function radixPass(word: Uint32Array, shift: number, order: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(RADIX + 1)
  for (let i = 0; i < word.length; i++) (counts[(((word[i] as number) >>> shift) & (RADIX - 1)) + 1] as number)++
  // One digit for all: nothing to do.
  if (counts.includes(word.length)) return order
  for (let d = 0; d < RADIX; d++) (counts[d + 1] as number) += counts[d] as number
  const next = new Uint32Array(order.length)
  for (let i = 0; i < order.length; i++) {
    const at = order[i] as number
    const digit = ((word[at] as number) >>> shift) & (RADIX - 1)
    next[(counts[digit] as number)++] = at
  }
  return next
}

function sortByString(entries: Entry[], descending: boolean): readonly Entry[] {
  const compare: Compare<Entry> = (a, b) => {
    const x = a[0] as string
    const y = b[0] as string
    return x < y ? -1 : x > y ? 1 : 0
  }
  return entries.sort(descending ? (a, b) => compare(b, a) : compare)
}

async function spilledRun(entries: readonly Entry[], env: TaskEnv): Promise<Spill> {
  const run = await env.spill()
  for (let i = 0; i < entries.length; i += CHUNK) await run.append(entries.slice(i, i + CHUNK))
  return run
}

function* recordChunks(entries: readonly Entry[]): Generator<readonly unknown[]> {
  for (let from = 0; from < entries.length; from += CHUNK) {
    const to = Math.min(entries.length, from + CHUNK)
    const chunk = new Array<unknown>(to - from)
    for (let i = from; i < to; i++) chunk[i - from] = (entries[i] as Entry)[1]
    yield chunk
  }
}
