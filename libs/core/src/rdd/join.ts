/** Hash joins: the right side is held by key, the left side streams past it. */
import { bucketOf, mergeRuns, SPILL_BUCKETS, SpilledBuckets, writeRun, type Sequenced } from './external.js'
import { KeyedMap } from './keys.js'
import { asPair } from './out.js'
import type { JoinKind, Pipeline, Source, Spill, TaskEnv } from './pipeline.js'
import { politeChunks } from './run.js'

const CHUNK = 1_024
/** Right records that are moved at once. */
const STEP = 1_024
/** Right keys without a match come after all records of the left side. */
const AFTER_LEFT = 2 ** 50

/** The right values of a key. Most keys have one: it needs no list. */
interface Rights {
  readonly sequence: number
  readonly first: unknown
  more: unknown[] | undefined
  matched: boolean
}

class RightSide {
  readonly #operator: string
  keyed: KeyedMap<Rights>

  constructor(operator: string) {
    this.#operator = operator
    this.keyed = new KeyedMap(operator)
  }

  add(key: unknown, value: unknown, sequence: number): void {
    const box = this.keyed.find(key)
    if (box === undefined) this.keyed.insert(key, { sequence, first: value, more: undefined, matched: false })
    else if (box.v.more === undefined) box.v.more = [value]
    else box.v.more.push(value)
  }

  /** Emits the results of one left record: one for each match, or one with undefined for an outer join without match. */
  probe(record: unknown, outer: boolean, emit: (result: unknown) => void): void {
    const [key, left] = asPair(record, this.#operator)
    const rights = this.keyed.find(key)?.v
    if (rights === undefined) {
      if (outer) emit([key, [left, undefined]])
      return
    }
    rights.matched = true
    emit([key, [left, rights.first]])
    if (rights.more !== undefined) for (const right of rights.more) emit([key, [left, right]])
  }

  /** Results of the right keys that no left record had. */
  *unmatched(): Generator<Sequenced> {
    for (const { k, v } of this.keyed.boxes()) {
      if (v.matched) continue
      yield [AFTER_LEFT + v.sequence, [k, [undefined, v.first]]]
      for (const right of v.more ?? []) yield [AFTER_LEFT + v.sequence, [k, [undefined, right]]]
    }
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
    for (const record of chunk) {
      const [key, value] = asPair(record, source.operator)
      if (buckets === undefined) right.add(key, value, sequence++)
      else buckets.add(bucketOf(key, source.operator), [sequence++, record])
    }
    await buckets?.settle()
  }
  return buckets
}

async function spillRight(right: RightSide, buckets: SpilledBuckets, operator: string, env: TaskEnv): Promise<number> {
  let sequence = 0
  let pause = STEP
  for (const { k, v } of right.keyed.boxes()) {
    const bucket = bucketOf(k, operator)
    buckets.add(bucket, [sequence++, [k, v.first]])
    for (const value of v.more ?? []) buckets.add(bucket, [sequence++, [k, value]])
    if (sequence < pause) continue
    pause = sequence + STEP
    if (env.pacer.ran(STEP)) await env.pacer.yield()
  }
  right.keyed.clear()
  return sequence
}

async function* probedChunks(
  source: Extract<Source, { kind: 'join' }>,
  right: RightSide,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const outer = keepsLeft(source.join)
  for await (const chunk of politeChunks(source.left, env)) {
    const out: unknown[] = []
    const emit = (result: unknown): void => void out.push(result)
    for (const record of chunk) right.probe(record, outer, emit)
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
  const runs: Spill[] = []
  for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
    const right = new RightSide(source.operator)
    for await (const chunk of rights.read(bucket)) {
      for (const [sequence, record] of chunk) {
        const [key, value] = record as readonly [unknown, unknown]
        right.add(key, value, sequence)
      }
    }
    const run = await env.spill()
    for await (const chunk of lefts.read(bucket)) await writeRun(run, probed(chunk, right, source.join), env)
    if (keepsRight(source.join)) await writeRun(run, right.unmatched(), env)
    runs.push(run)
  }
  yield* mergeRuns(runs, env)
}

function probed(lefts: readonly Sequenced[], right: RightSide, join: JoinKind): Sequenced[] {
  const out: Sequenced[] = []
  for (const [sequence, record] of lefts) {
    right.probe(record, keepsLeft(join), (result) => void out.push([sequence, result]))
  }
  return out
}

async function bucketed(pipeline: Pipeline, operator: string, env: TaskEnv): Promise<SpilledBuckets> {
  const buckets = new SpilledBuckets(env)
  let sequence = 0
  for await (const chunk of politeChunks(pipeline, env)) {
    for (const record of chunk) buckets.add(bucketOf(asPair(record, operator)[0], operator), [sequence++, record])
    await buckets.settle()
  }
  return buckets
}
