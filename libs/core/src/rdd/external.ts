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
  readonly #weigh: Weigh
  #sequence = 0
  /** Whether there was more than one map. */
  used = false

  constructor(operator: string, merge: AnyFunction, env: TaskEnv, weigh: Weigh) {
    this.#operator = operator
    this.#merge = merge
    this.#env = env
    this.#weigh = weigh
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
    const runs: SequencedRun[] = []
    for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
      const run = new SequencedRun(await this.#env.spill(), this.#env, this.#weigh)
      await run.write(await this.#mergeBucket(bucket))
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

/** How many values a record holds: a list of many takes as much room as many records. */
export type Weigh = (record: unknown) => number

export const weighOne: Weigh = () => 1

/** Entries on disk, in the order of their sequence. */
export class SequencedRun {
  readonly weigh: Weigh
  /** The first sequence of each chunk: none needs to be read before its turn. */
  readonly firsts: number[] = []
  readonly #spill: Spill
  readonly #env: TaskEnv

  constructor(spill: Spill, env: TaskEnv, weigh = weighOne) {
    this.#spill = spill
    this.#env = env
    this.weigh = weigh
  }

  /** Adds entries, which come behind those that are there. */
  async write(entries: Iterable<Sequenced>): Promise<void> {
    let chunk: Sequenced[] = []
    let held = 0
    for (const entry of entries) {
      chunk.push(entry)
      held += this.weigh(entry[1])
      if (held < CHUNK) continue
      await this.#append(chunk)
      chunk = []
      held = 0
      if (this.#env.pacer.ran(CHUNK)) await this.#env.pacer.yield()
    }
    if (chunk.length > 0) await this.#append(chunk)
  }

  async #append(chunk: readonly Sequenced[]): Promise<void> {
    this.firsts.push((chunk[0] as Sequenced)[0])
    await this.#spill.append(chunk)
  }

  read(): AsyncIterable<Sequenced[]> {
    return this.#spill.read() as AsyncIterable<Sequenced[]>
  }
}

/** Where the reading of a run stands. */
class Reader {
  readonly weigh: Weigh
  readonly #firsts: readonly number[]
  readonly #chunks: AsyncIterator<Sequenced[]>
  #chunk: Sequenced[] = []
  #at = 0
  #read = 0

  constructor(run: SequencedRun) {
    this.weigh = run.weigh
    this.#firsts = run.firsts
    this.#chunks = run.read()[Symbol.asyncIterator]()
  }

  /** That of the next record; undefined at the end. */
  get sequence(): number | undefined {
    return this.#at < this.#chunk.length ? this.#chunk[this.#at]?.[0] : this.#firsts[this.#read]
  }

  get mustLoad(): boolean {
    return this.#chunk.length === 0
  }

  async load(): Promise<void> {
    this.#chunk = (await this.#chunks.next()).value as Sequenced[]
    this.#at = 0
    this.#read++
  }

  take(): unknown {
    const [, record] = this.#chunk[this.#at++] as Sequenced
    // What was handed out is not kept until the next chunk has its turn.
    if (this.#at === this.#chunk.length) this.#chunk = []
    return record
  }
}

/** Merges runs into chunks of records in the order of the whole; equal sequences come in the order of the runs. */
export async function* mergeRuns(runs: readonly SequencedRun[], env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  const readers = runs.map((run) => new Reader(run))
  let out: unknown[] = []
  let held = 0
  for (let first = nextOf(readers); first !== undefined; first = nextOf(readers)) {
    if (first.mustLoad) await first.load()
    const record = first.take()
    out.push(record)
    held += first.weigh(record)
    if (held < CHUNK) continue
    yield out
    out = []
    held = 0
    if (env.pacer.ran(CHUNK)) await env.pacer.yield()
  }
  if (out.length > 0) yield out
}

function nextOf(readers: readonly Reader[]): Reader | undefined {
  let best: Reader | undefined
  let least = Infinity
  for (const reader of readers) {
    const { sequence = Infinity } = reader
    if (sequence >= least) continue
    best = reader
    least = sequence
  }
  return best
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
