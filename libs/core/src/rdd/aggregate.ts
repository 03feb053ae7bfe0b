/** Combining the values of each key: the result side of `reduceByKey`, `combineByKey`, `groupByKey` and their kin. */
import { grouping } from './engine-functions.js'
import { ExternalMap, weighOne, type Weigh } from './external.js'
import type { KeyedMap } from './keys.js'
import { CombineOut, refusePromise, type Aggregator, type Combining } from './out.js'
import type { Source, TaskEnv } from './pipeline.js'
import { runPipeline } from './run.js'

const CHUNK = 4_096

/** Pairs of key and combined value, keys first seen first, whatever was spilled on the way. */
export async function* aggregatedChunks(
  source: Extract<Source, { kind: 'aggregate' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const { operator, aggregator } = source
  const external = new ExternalMap(operator, aggregator.merge, env, listsValues(aggregator) ? weighList : weighOne)
  const out = new CombineOut(operator, combiningOf(source.from, aggregator), {
    limit: env.spillRecords,
    onFull: (keyed) => {
      external.take(keyed)
    },
    settle: () => external.settle(),
  })
  await runPipeline(source.input, out, env)
  if (external.used) {
    external.take(out.keyed)
    yield* external.chunks()
  } else yield* pairChunks(out.keyed, operator)
}

/** Whether combiners are lists of all values of their key, so that few keys may be much. */
function listsValues({ add }: Aggregator): boolean {
  return add === grouping.add
}

const weighList: Weigh = (pair) => (pair as readonly [unknown, readonly unknown[]])[1].length

function combiningOf(from: 'values' | 'combiners', aggregator: Aggregator): Combining {
  const { create, add, merge } = aggregator
  if (from === 'values') return { create, add, lists: listsValues(aggregator) }
  // Combiners that come out of a shuffle block may be read again: what `merge` may change, or keep a part of, is copied.
  // Values that are their own combiners must not be changed by anybody.
  return { create: undefined, add: merge, copies: create !== undefined }
}

/** The boxes of a map as chunks of pairs. */
function* pairChunks(keyed: KeyedMap<unknown>, operator: string): Generator<readonly unknown[]> {
  let chunk: unknown[] = []
  for (const box of keyed.boxes()) {
    chunk.push([box.k, refusePromise(box.v, operator)])
    if (chunk.length === CHUNK) {
      yield chunk
      chunk = []
    }
  }
  if (chunk.length > 0) yield chunk
}
