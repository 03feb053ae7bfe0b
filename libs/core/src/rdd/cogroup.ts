/** Bringing together the values of each key from several RDDs. */
import {
  bucketOf,
  mergeRuns,
  SequencedRun,
  SPILL_BUCKETS,
  SpilledBuckets,
  type Sequenced,
  type Weigh,
} from './external.js'
import { KeyedMap, type Box } from './keys.js'
import { asPair } from './out.js'
import type { Source, TaskEnv } from './pipeline.js'
import { politeChunks } from './run.js'

const CHUNK = 1_024
/** Values that are moved at once. */
const STEP = 1_024

/** For each key one list of values per input, in the order in which they came. */
interface Group extends Box<unknown[][]> {
  readonly sequence: number
}

class Grouper {
  /** Stays, so that V8 keeps the code made for this class between two jobs. */
  static readonly kept = new Grouper('', 0)
  readonly #operator: string
  readonly #inputs: number
  readonly #keyed: KeyedMap<unknown[][]>
  #sequence = 0

  constructor(operator: string, inputs: number) {
    this.#operator = operator
    this.#inputs = inputs
    this.#keyed = new KeyedMap(operator)
  }

  get groups(): Iterable<Group> {
    return this.#keyed.boxes() as Iterable<Group>
  }

  addAll(input: number, records: readonly unknown[]): void {
    for (const record of records) {
      const pair = asPair(record, this.#operator)
      this.add(input, pair[0], pair[1], this.#sequence)
    }
  }

  add(input: number, key: unknown, value: unknown, sequence: number): void {
    const lists = (this.#keyed.find(key) ?? this.#insert(key, sequence)).v
    const list = lists[input] as unknown[]
    // An array made with its only value takes the room of one; one that grows by a push, that of seventeen.
    if (list.length === 0) lists[input] = [value]
    else list.push(value)
  }

  #insert(key: unknown, sequence: number): Group {
    this.#sequence++
    const group: Group = { k: key === 0 ? 0 : key, v: emptyLists(this.#inputs), sequence }
    this.#keyed.insertBox(group)
    return group
  }

  *entries(): Generator<Sequenced> {
    for (const { k, v, sequence } of this.groups) yield [sequence, [k, v]]
  }

  clear(): void {
    this.#keyed.clear()
  }
}

function emptyLists(count: number): unknown[][] {
  if (count === 2) return [[], []]
  return Array.from({ length: count }, () => [])
}

/** Records `[key, [values of input 0, values of input 1, …]]`, keys first seen first over the inputs in turn. */
export async function* cogroupedChunks(
  source: Extract<Source, { kind: 'cogroup' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const { operator, inputs } = source
  const grouper = new Grouper(operator, inputs.length)
  let held = 0
  let buckets: SpilledBuckets | undefined
  let sequence = 0
  for (const [input, pipeline] of inputs.entries()) {
    for await (const chunk of politeChunks(pipeline, env)) {
      held += chunk.length
      if (buckets === undefined && held > env.spillRecords) {
        // From here on everything goes to disk, what was grouped so far first.
        buckets = new SpilledBuckets(env)
        sequence = await spillGroups(grouper, buckets, operator, env)
      }
      if (buckets === undefined) grouper.addAll(input, chunk)
      else addToBuckets(buckets, input, chunk, sequence, operator)
      sequence += chunk.length
      await buckets?.settle()
    }
  }
  if (buckets === undefined) yield* groupChunks(grouper)
  else yield* spilledGroups(operator, inputs.length, buckets, env)
}

const weighLists: Weigh = (group) => {
  const [, lists] = group as readonly [unknown, readonly (readonly unknown[])[]]
  return lists.reduce((sum, list) => sum + list.length, 0)
}

function addToBuckets(
  buckets: SpilledBuckets,
  input: number,
  records: readonly unknown[],
  start: number,
  operator: string,
): void {
  let sequence = start
  for (const record of records) {
    const [key, value] = asPair(record, operator)
    buckets.add(bucketOf(key, operator), [sequence++, [input, key, value]])
  }
}

async function spillGroups(grouper: Grouper, buckets: SpilledBuckets, operator: string, env: TaskEnv): Promise<number> {
  let sequence = 0
  let pause = STEP
  for (const { k, v } of grouper.groups) {
    // Keys keep their order of first sight; the order inside each list is that of the entries.
    v.forEach((list, input) => {
      for (const value of list) buckets.add(bucketOf(k, operator), [sequence++, [input, k, value]])
    })
    if (sequence < pause) continue
    pause = sequence + STEP
    if (env.pacer.ran(STEP)) await env.pacer.yield()
  }
  grouper.clear()
  await buckets.settle()
  return sequence
}

function* groupChunks(grouper: Grouper): Generator<readonly unknown[]> {
  let chunk: unknown[] = []
  for (const { k, v } of grouper.groups) {
    chunk.push([k, v])
    if (chunk.length === CHUNK) {
      yield chunk
      chunk = []
    }
  }
  if (chunk.length > 0) yield chunk
}

async function* spilledGroups(
  operator: string,
  inputs: number,
  buckets: SpilledBuckets,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const runs: SequencedRun[] = []
  for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
    const grouper = new Grouper(operator, inputs)
    for await (const chunk of buckets.read(bucket)) {
      for (const [sequence, entry] of chunk) {
        const [input, key, value] = entry as readonly [number, unknown, unknown]
        grouper.add(input, key, value, sequence)
      }
    }
    const run = new SequencedRun(await env.spill(), env, weighLists)
    await run.write(grouper.entries())
    runs.push(run)
  }
  yield* mergeRuns(runs, env)
}
