/** Bringing together the values of each key from several RDDs. */
import { bucketOf, mergeRuns, SPILL_BUCKETS, SpilledBuckets, writeRun, type Sequenced } from './external.js'
import { KeyedMap } from './keys.js'
import { asPair } from './out.js'
import type { Source, Spill, TaskEnv } from './pipeline.js'
import { politeChunks } from './run.js'

const CHUNK = 1_024
/** Values that are moved at once. */
const STEP = 1_024

/** For each key one list of values per input, in the order in which they came. */
interface Group {
  readonly sequence: number
  readonly lists: unknown[][]
}

class Grouper {
  readonly #inputs: number
  keyed: KeyedMap<Group>
  #sequence = 0

  constructor(operator: string, inputs: number) {
    this.#inputs = inputs
    this.keyed = new KeyedMap(operator)
  }

  add(input: number, key: unknown, value: unknown, sequence = this.#sequence): void {
    const box = this.keyed.findOrInsert(key, () => {
      this.#sequence++
      return { sequence, lists: Array.from({ length: this.#inputs }, () => []) }
    })
    box.v.lists[input]?.push(value)
  }

  *entries(): Generator<Sequenced> {
    for (const box of this.keyed.boxes()) yield [box.v.sequence, [box.k, box.v.lists]]
  }
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
      for (const record of chunk) {
        const [key, value] = asPair(record, operator)
        if (buckets === undefined) grouper.add(input, key, value)
        else buckets.add(bucketOf(key, operator), [sequence++, [input, key, value]])
      }
      await buckets?.settle()
    }
  }
  if (buckets === undefined) yield* groupChunks(grouper)
  else yield* spilledGroups(operator, inputs.length, buckets, env)
}

async function spillGroups(grouper: Grouper, buckets: SpilledBuckets, operator: string, env: TaskEnv): Promise<number> {
  let sequence = 0
  let pause = STEP
  for (const box of grouper.keyed.boxes()) {
    // Keys keep their order of first sight; the order inside each list is that of the entries.
    box.v.lists.forEach((list, input) => {
      for (const value of list) buckets.add(bucketOf(box.k, operator), [sequence++, [input, box.k, value]])
    })
    if (sequence < pause) continue
    pause = sequence + STEP
    if (env.pacer.ran(STEP)) await env.pacer.yield()
  }
  grouper.keyed.clear()
  await buckets.settle()
  return sequence
}

function* groupChunks(grouper: Grouper): Generator<readonly unknown[]> {
  let chunk: unknown[] = []
  for (const [, record] of grouper.entries()) {
    chunk.push(record)
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
  const runs: Spill[] = []
  for (let bucket = 0; bucket < SPILL_BUCKETS; bucket++) {
    const grouper = new Grouper(operator, inputs)
    for await (const chunk of buckets.read(bucket)) {
      for (const [sequence, entry] of chunk) {
        const [input, key, value] = entry as readonly [number, unknown, unknown]
        grouper.add(input, key, value, sequence)
      }
    }
    const run = await env.spill()
    await writeRun(run, grouper.entries(), env)
    runs.push(run)
  }
  yield* mergeRuns(runs, env)
}
