/**
 * Work on more keys than fit: they are cut at record counts (never by time or memory, so that every run cuts alike, E10),
 * spread over buckets on disk, finished bucket by bucket and merged back into the order in which they came.
 */
import { hashKey, KeyedMap } from './keys.js'
import type { AnyFunction } from './functions.js'
import { refusePromise } from './out.js'
import type { Spill, TaskEnv } from './pipeline.js'
import { explained } from './run.js'

/** Buckets that one spilling operation is spread over. */
export const SPILL_BUCKETS = 16
const CHUNK = 1_024
/** Keys that are spread over the buckets at once. */
const STEP = 2_048

/** A record with its place in the order of the whole. */
export type Sequenced = readonly [sequence: number, record: unknown]

/** Spills that are filled in turn; entries of one bucket keep their order. */
export class SpilledBuckets {
  readonly #env: TaskEnv
  readonly #spills: (Spill | undefined)[] = []
  readonly #waiting: Sequenced[][] = []

  constructor(env: TaskEnv) {
    this.#env = env
    for (let i = 0; i < SPILL_BUCKETS; i++) this.#waiting.push([])
  }

  add(bucket: number, entry: Sequenced): void {
    this.#waiting[bucket]?.push(entry)
  }

  /** Writes what waits. */
  async settle(): Promise<void> {
    for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
      const waiting = this.#waiting[bucket] as Sequenced[]
      if (waiting.length === 0) continue
      this.#waiting[bucket] = []
      this.#spills[bucket] ??= await this.#env.spill()
      for (let i = 0; i < waiting.length; i += CHUNK) {
        await (this.#spills[bucket] as Spill).append(waiting.slice(i, i + CHUNK))
        if (this.#env.pacer.ran(CHUNK)) await this.#env.pacer.yield()
      }
    }
  }

  async *read(bucket: number): AsyncGenerator<readonly Sequenced[]> {
    const spill = this.#spills[bucket]
    if (spill !== undefined) for await (const chunk of spill.read()) yield chunk as Sequenced[]
  }
}

/** The bucket of a key: another hash than that of partitions, or all keys of a partition would meet in few buckets. */
export function bucketOf(key: unknown, operator: string): number {
  return Math.imul(hashKey(key, operator), 0x9e3779b1) >>> 28
}

/** Combiners by key, on disk once there are too many. */
export class ExternalMap {
  readonly #operator: string
  readonly #merge: AnyFunction
  readonly #env: TaskEnv
  readonly #buckets: SpilledBuckets
  readonly #taken: KeyedMap<unknown>[] = []
  #sequence = 0
  /** Whether there was more than one map. */
  used = false

  constructor(operator: string, merge: AnyFunction, env: TaskEnv) {
    this.#operator = operator
    this.#merge = merge
    this.#env = env
    this.#buckets = new SpilledBuckets(env)
  }

  /** Takes a map over; `settle` writes it. */
  take(keyed: KeyedMap<unknown>): void {
    this.used = true
    this.#taken.push(keyed)
  }

  async settle(): Promise<void> {
    const { pacer } = this.#env
    let since = 0
    for (const keyed of this.#taken.splice(0)) {
      for (const box of keyed.boxes()) {
        const bucket = bucketOf(box.k, this.#operator)
        this.#buckets.add(bucket, [this.#sequence++, [box.k, refusePromise(box.v, this.#operator)]])
        if (++since < STEP) continue
        since = 0
        if (pacer.ran(STEP)) await pacer.yield()
      }
    }
    await this.#buckets.settle()
  }

  /** All pairs, keys first seen first. */
  async *chunks(): AsyncGenerator<readonly unknown[]> {
    await this.settle()
    const runs: Spill[] = []
    for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
      const run = await this.#env.spill()
      await writeRun(run, await this.#mergeBucket(bucket), this.#env)
      runs.push(run)
    }
    yield* mergeRuns(runs, this.#env)
  }

  async #mergeBucket(bucket: number): Promise<Iterable<Sequenced>> {
    const merged = new KeyedMap<{ readonly sequence: number; value: unknown }>(this.#operator)
    for await (const chunk of this.#buckets.read(bucket)) {
      for (const [sequence, record] of chunk) {
        const [key, value] = record as readonly [unknown, unknown]
        const box = merged.find(key)
        if (box === undefined) merged.insert(key, { sequence, value })
        else box.v.value = this.#merged(box.v.value, value)
      }
      if (this.#env.pacer.ran(chunk.length)) await this.#env.pacer.yield()
    }
    return sequencedPairs(merged)
  }

  #merged(a: unknown, b: unknown): unknown {
    try {
      return refusePromise(this.#merge(a, b), this.#operator)
    } catch (error) {
      throw explained(error, this.#operator, this.#env.info)
    }
  }
}

function* sequencedPairs(merged: KeyedMap<{ readonly sequence: number; value: unknown }>): Generator<Sequenced> {
  for (const box of merged.boxes()) yield [box.v.sequence, [box.k, box.v.value]]
}

/** Writes entries, which come in the order of their sequence. */
export async function writeRun(run: Spill, entries: Iterable<Sequenced>, env: TaskEnv): Promise<void> {
  let chunk: Sequenced[] = []
  for (const entry of entries) {
    chunk.push(entry)
    if (chunk.length < CHUNK) continue
    await run.append(chunk)
    chunk = []
    if (env.pacer.ran(CHUNK)) await env.pacer.yield()
  }
  if (chunk.length > 0) await run.append(chunk)
}

/** Merges runs, each in the order of its sequence, into chunks of records in the order of the whole. */
export async function* mergeRuns(runs: readonly Spill[], env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  yield* mergeSorted(
    runs.map((run) => run.read() as AsyncIterable<Sequenced[]>),
    (a, b) => a[0] - b[0],
    (entry) => entry[1],
    env,
  )
}

interface Cursor<E> {
  readonly run: number
  readonly chunks: AsyncIterator<E[]>
  chunk: E[]
  at: number
}

/** Merges sorted runs; equal entries come in the order of the runs, so that a stable sort stays stable. */
export async function* mergeSorted<E>(
  runs: readonly AsyncIterable<E[]>[],
  compare: (a: E, b: E) => number,
  recordOf: (entry: E) => unknown,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const cursors: Cursor<E>[] = []
  for (const [run, chunks] of runs.entries()) {
    const cursor: Cursor<E> = { run, chunks: chunks[Symbol.asyncIterator](), chunk: [], at: 0 }
    if (await refill(cursor)) cursors.push(cursor)
  }
  let out: unknown[] = []
  while (cursors.length > 0) {
    const first = smallest(cursors, compare)
    out.push(recordOf(first.chunk[first.at] as E))
    first.at++
    if (first.at === first.chunk.length && !(await refill(first))) cursors.splice(cursors.indexOf(first), 1)
    if (out.length < CHUNK) continue
    yield out
    out = []
    if (env.pacer.ran(CHUNK)) await env.pacer.yield()
  }
  if (out.length > 0) yield out
}

async function refill<E>(cursor: Cursor<E>): Promise<boolean> {
  const next = await cursor.chunks.next()
  if (next.done === true) return false
  cursor.chunk = next.value
  cursor.at = 0
  return cursor.chunk.length > 0 || refill(cursor)
}

// Runs are few (tens): a scan beats the bookkeeping of a heap.
function smallest<E>(cursors: readonly Cursor<E>[], compare: (a: E, b: E) => number): Cursor<E> {
  let best = cursors[0] as Cursor<E>
  for (let i = 1; i < cursors.length; i++) {
    const other = cursors[i] as Cursor<E>
    if (compare(other.chunk[other.at] as E, best.chunk[best.at] as E) < 0) best = other
  }
  return best
}
