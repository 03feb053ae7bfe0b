/** Hash joins: the right side is held by key, the left side streams past it. */
import { bucketOf, mergeRuns, SequencedRun, SPILL_BUCKETS, SpilledBuckets, type Sequenced } from './external.js'
import { KeyedMap, type Box } from './keys.js'
import { asPair } from './out.js'
import type { JoinKind, Pipeline, Source, TaskEnv } from './pipeline.js'
import { politeChunks } from './run.js'

const CHUNK = 1_024
/** Right records that are moved at once. */
const STEP = 1_024
/** Right keys without a match come after all records of the left side. */
const AFTER_LEFT = 2 ** 50

/** The right values of a key, `v` the first of them. Most keys have one: it needs no list. */
interface Rights extends Box<unknown> {
  readonly sequence: number
  more: unknown[] | undefined
  matched: boolean
}

class RightSide {
  /** Stays, so that V8 keeps the code made for this class between two joins. */
  static readonly kept = new RightSide('')
  readonly #operator: string
  readonly #keyed: KeyedMap<unknown>

  constructor(operator: string) {
    this.#operator = operator
    this.#keyed = new KeyedMap(operator)
  }

  get rights(): Iterable<Rights> {
    return this.#keyed.boxes() as Iterable<Rights>
  }

  addAll(records: readonly unknown[], sequence: number): void {
    for (let i = 0; i < records.length; i++) {
      const record = asPair(records[i], this.#operator)
      this.add(record[0], record[1], sequence + i)
    }
  }

  add(key: unknown, value: unknown, sequence: number): void {
    const rights = this.#keyed.find(key) as Rights | undefined
    if (rights === undefined) {
      const first: Rights = { k: key === 0 ? 0 : key, v: value, sequence, more: undefined, matched: false }
      this.#keyed.insertBox(first)
    } else if (rights.more === undefined) rights.more = [value]
    else rights.more.push(value)
  }

  probeAll(records: readonly unknown[], outer: boolean): unknown[] {
    const out: unknown[] = []
    for (const record of records) this.probe(record, outer, out)
    return out
  }

  /** Adds the results of one left record: one for each match, or one with undefined for an outer join without match. */
  probe(record: unknown, outer: boolean, out: unknown[]): void {
    const pair = asPair(record, this.#operator)
    const key = pair[0]
    const left = pair[1]
    const rights = this.#keyed.find(key) as Rights | undefined
    if (rights === undefined) {
      if (outer) out.push([key, [left, undefined]])
      return
    }
    rights.matched = true
    out.push([key, [left, rights.v]])
    if (rights.more !== undefined) for (const right of rights.more) out.push([key, [left, right]])
  }

  /** Results of the right keys that no left record had. */
  *unmatched(): Generator<Sequenced> {
    for (const { k, v, sequence, more, matched } of this.rights) {
      if (matched) continue
      yield [AFTER_LEFT + sequence, [k, [undefined, v]]]
      for (const right of more ?? []) yield [AFTER_LEFT + sequence, [k, [undefined, right]]]
    }
  }

  clear(): void {
    this.#keyed.clear()
  }
}

const keepsLeft = (join: JoinKind): boolean => join === 'left' || join === 'full'
const keepsRight = (join: JoinKind): boolean => join === 'right' || join === 'full'

/**
 * Records `[key, [left, right]]` in the order of the left side, for each left record its matches in the order of the right
 * side; then, in right and full joins, right keys without a match in the order in which they came.
 */
export async function* joinedChunks(
  source: Extract<Source, { kind: 'join' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const right = new RightSide(source.operator)
  const spilled = await readRight(source, right, env)
  if (spilled === undefined) yield* probedChunks(source, right, env)
  else yield* spilledJoin(source, spilled, env)
}

/** Reads the right side into memory; buckets on disk when it is too large. */
async function readRight(
  source: Extract<Source, { kind: 'join' }>,
  right: RightSide,
  env: TaskEnv,
): Promise<SpilledBuckets | undefined> {
  let sequence = 0
  let buckets: SpilledBuckets | undefined
  for await (const chunk of politeChunks(source.right, env)) {
    if (buckets === undefined && sequence + chunk.length > env.spillRecords) {
      buckets = new SpilledBuckets(env)
      sequence = await spillRight(right, buckets, source.operator, env)
    }
    if (buckets === undefined) right.addAll(chunk, sequence)
    else addToBuckets(buckets, chunk, sequence, source.operator)
    sequence += chunk.length
    await buckets?.settle()
  }
  return buckets
}

function addToBuckets(buckets: SpilledBuckets, records: readonly unknown[], start: number, operator: string): void {
  let sequence = start
  for (const record of records) buckets.add(bucketOf(asPair(record, operator)[0], operator), [sequence++, record])
}

async function spillRight(right: RightSide, buckets: SpilledBuckets, operator: string, env: TaskEnv): Promise<number> {
  let sequence = 0
  let pause = STEP
  for (const { k, v, more } of right.rights) {
    const bucket = bucketOf(k, operator)
    buckets.add(bucket, [sequence++, [k, v]])
    for (const value of more ?? []) buckets.add(bucket, [sequence++, [k, value]])
    if (sequence < pause) continue
    pause = sequence + STEP
    if (env.pacer.ran(STEP)) await env.pacer.yield()
  }
  right.clear()
  return sequence
}

async function* probedChunks(
  source: Extract<Source, { kind: 'join' }>,
  right: RightSide,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const outer = keepsLeft(source.join)
  for await (const chunk of politeChunks(source.left, env)) {
    const out = right.probeAll(chunk, outer)
    if (out.length > 0) yield out
  }
  if (!keepsRight(source.join)) return
  let rest: unknown[] = []
  for (const [, record] of right.unmatched()) {
    rest.push(record)
    if (rest.length < CHUNK) continue
    yield rest
    rest = []
  }
  if (rest.length > 0) yield rest
}

async function* spilledJoin(
  source: Extract<Source, { kind: 'join' }>,
  rights: SpilledBuckets,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const lefts = await bucketed(source.left, source.operator, env)
  const runs: SequencedRun[] = []
  for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
    const right = new RightSide(source.operator)
    for await (const chunk of rights.read(bucket)) {
      for (const [sequence, record] of chunk) {
        const [key, value] = record as readonly [unknown, unknown]
        right.add(key, value, sequence)
      }
    }
    const run = new SequencedRun(await env.spill(), env)
    for await (const chunk of lefts.read(bucket)) await run.write(probed(chunk, right, source.join))
    if (keepsRight(source.join)) await run.write(right.unmatched())
    runs.push(run)
  }
  yield* mergeRuns(runs, env)
}

function probed(lefts: readonly Sequenced[], right: RightSide, join: JoinKind): Sequenced[] {
  const out: Sequenced[] = []
  for (const [sequence, record] of lefts) {
    const results: unknown[] = []
    right.probe(record, keepsLeft(join), results)
    for (const result of results) out.push([sequence, result])
  }
  return out
}

async function bucketed(pipeline: Pipeline, operator: string, env: TaskEnv): Promise<SpilledBuckets> {
  const buckets = new SpilledBuckets(env)
  let sequence = 0
  for await (const chunk of politeChunks(pipeline, env)) {
    addToBuckets(buckets, chunk, sequence, operator)
    sequence += chunk.length
    await buckets.settle()
  }
  return buckets
}
