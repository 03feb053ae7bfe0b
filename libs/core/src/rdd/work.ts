/** What a task does with its records, as data, and the doing of it. */
import { isSluiceError, SluiceError } from '../errors.js'
import { CollectOut, CombineOut, EachOut, FoldOut, BucketOut, refusePromise, type Aggregator } from './out.js'
import type { AnyFunction } from './functions.js'
import type { TaskInfo } from './op.js'
import type { Chunks, Pipeline, TaskEnv } from './pipeline.js'
import { deepCopy } from './copy.js'
import { compareNatural, type Compare } from './order.js'
import {
  countPipeline,
  explained,
  ownRecords,
  pipelineChunks,
  pipelineRecords,
  politeChunks,
  runPipeline,
} from './run.js'
import { seededRandom, seedOf } from '../time/random.js'
import { boundsOf } from './partitioner.js'
import { ShuffleWriter, type ShuffleOutput } from './shuffle-writer.js'
import type { Partitioner } from './types.js'
import { statsOf, type Stats } from './stats.js'

export type Work =
  | { readonly kind: 'collect'; readonly limit: number }
  | { readonly kind: 'count' }
  | { readonly kind: 'fold'; readonly f: AnyFunction; readonly start: { readonly value: unknown } | undefined }
  | { readonly kind: 'each'; readonly f: AnyFunction }
  | { readonly kind: 'each-partition'; readonly f: AnyFunction }
  | {
      readonly kind: 'top'
      readonly n: number
      readonly compare: Compare<never> | undefined
      readonly descending: boolean
    }
  | { readonly kind: 'stats' }
  | { readonly kind: 'sample'; readonly n: number; readonly seed: number }
  /** Up to `partitions - 1` bounds that cut the records, a sample, into ranges of like size. */
  | { readonly kind: 'bounds'; readonly partitions: number; readonly compare: Compare<unknown> }
  /** The partition of each record, a key. */
  | { readonly kind: 'locate'; readonly partitioner: Partitioner }
  | {
      readonly kind: 'shuffle'
      readonly shuffle: string
      readonly partitioner: Partitioner
      readonly aggregator: Aggregator | undefined
    }
  /** Of the driver only: never leaves it. */
  | { readonly kind: 'driver'; run(chunks: Chunks, info: TaskInfo): Promise<unknown> }

/** A unit of work, as data: everything but the functions can be serialised, and they are known by name. */
export interface Task {
  readonly pipeline: Pipeline
  readonly work: Work
  readonly info: TaskInfo
}

/** Results of `sample`: all records were counted, at most n of them kept. */
export interface SampleResult {
  readonly count: number
  readonly sample: readonly unknown[]
}

/** Does the work of one task; the result can be sent to another thread. */
export async function performWork({ pipeline, work, info }: Task, env: TaskEnv): Promise<unknown> {
  switch (work.kind) {
    case 'collect':
      return collect(pipeline, work.limit, info, env)
    case 'count':
      return countPipeline(pipeline, info.operator, env)
    case 'fold':
      return fold(pipeline, work, info, env)
    case 'each':
      return runPipeline(pipeline, new EachOut(info.operator, work.f), env)
    case 'each-partition':
      return eachPartition(pipeline, work.f, info, env)
    case 'top':
      return top(pipeline, work, info, env)
    case 'stats':
      return statsOfPipeline(pipeline, env)
    case 'sample':
      return reservoir(pipeline, work, info, env)
    case 'bounds':
      return bounds(pipeline, work, info, env)
    case 'locate':
      return (await pipelineRecords(pipeline, env)).map((key) => work.partitioner.partitionOf(key))
    case 'shuffle':
      return writeShuffle(pipeline, work, info, env)
    case 'driver':
      return work.run(pipelineChunks(pipeline, env), info)
  }
}

async function collect(pipeline: Pipeline, limit: number, info: TaskInfo, env: TaskEnv): Promise<unknown[]> {
  if (limit === Infinity) {
    const records = await pipelineRecords(pipeline, env)
    // Without operators they may be those that others hold.
    return pipeline.ops.length > 0 ? (records as unknown[]) : records.slice()
  }
  const out = new CollectOut(info.operator, limit)
  await runPipeline(pipeline, out, env)
  return out.records.slice(0, limit)
}

/** The folded value, or undefined for no record and no start. */
async function fold(
  pipeline: Pipeline,
  work: Extract<Work, { kind: 'fold' }>,
  info: TaskInfo,
  env: TaskEnv,
): Promise<{ readonly value: unknown } | undefined> {
  // The function may change its start value in place: each partition has its own.
  const out = new FoldOut(
    info.operator,
    work.f,
    work.start === undefined ? undefined : { value: deepCopy(work.start.value) },
  )
  await runPipeline(pipeline, out, env)
  return out.has ? { value: refusePromise(out.acc, info.operator) } : undefined
}

async function eachPartition(pipeline: Pipeline, f: AnyFunction, info: TaskInfo, env: TaskEnv): Promise<void> {
  const records = await ownRecords(pipeline, env)
  try {
    await f(records, info)
  } catch (error) {
    throw explained(error, info.operator, info)
  }
}

/** Candidates that `top` gathers before it sorts them; more where it wants more records. */
const TOP_CANDIDATES = 1_024

/** The first n of the order; holds some 2 n records. Equal ones: the first come. */
async function top(
  pipeline: Pipeline,
  { n, compare, descending }: Extract<Work, { kind: 'top' }>,
  info: TaskInfo,
  env: TaskEnv,
): Promise<unknown[]> {
  const natural = (compare ?? compareNatural) as Compare<unknown>
  const order: Compare<unknown> = descending ? (a, b) => natural(b, a) : natural
  const most = n + Math.max(n, TOP_CANDIDATES)
  let best: unknown[] = []
  // Once n records are known, most of the others are no better than the last of them.
  let last: { readonly record: unknown } | undefined
  try {
    for await (const chunk of politeChunks(pipeline, env)) {
      for (const record of chunk) {
        if (last !== undefined && order(record, last.record) >= 0) continue
        best.push(record)
        if (best.length < most) continue
        best = best.sort(order).slice(0, n)
        last = { record: best[n - 1] }
      }
    }
    return best.sort(order).slice(0, n)
  } catch (error) {
    throw explained(error, info.operator, info)
  }
}

async function bounds(
  pipeline: Pipeline,
  { partitions, compare }: Extract<Work, { kind: 'bounds' }>,
  info: TaskInfo,
  env: TaskEnv,
): Promise<unknown[]> {
  const sample = await pipelineRecords(pipeline, env)
  try {
    return boundsOf(sample, partitions, compare)
  } catch (error) {
    throw explained(error, info.operator, info)
  }
}

async function statsOfPipeline(pipeline: Pipeline, env: TaskEnv): Promise<Stats> {
  const stats = statsOf()
  for await (const chunk of politeChunks(pipeline, env)) for (const value of chunk) stats.add(value as number)
  return stats.result()
}

/** Algorithm R (Vitter 1985): every record has the same chance, in one pass. */
async function reservoir(
  pipeline: Pipeline,
  { n, seed }: Extract<Work, { kind: 'sample' }>,
  info: TaskInfo,
  env: TaskEnv,
): Promise<SampleResult> {
  const random = seededRandom(seedOf(info.operator, seed, info.batchTime ?? 0, info.partition))
  const sample: unknown[] = []
  let count = 0
  for await (const chunk of politeChunks(pipeline, env)) {
    for (const record of chunk) {
      if (sample.length < n) sample.push(record)
      else {
        const at = random.integer(count + 1)
        if (at < n) sample[at] = record
      }
      count++
    }
  }
  return { count, sample }
}

async function writeShuffle(
  pipeline: Pipeline,
  work: Extract<Work, { kind: 'shuffle' }>,
  info: TaskInfo,
  env: TaskEnv,
): Promise<ShuffleOutput> {
  const { partitioner, aggregator } = work
  const writer = new ShuffleWriter(
    `${work.shuffle}/${String(info.partition)}/${String(info.attempt)}`,
    partitioner,
    env,
  )
  try {
    if (aggregator === undefined) {
      await runPipeline(pipeline, new BucketOut(info.operator, partitioner, writer), env)
    } else {
      const out = new CombineOut(info.operator, aggregator, {
        limit: env.spillRecords,
        onFull: (keyed) => {
          writer.take(keyed)
        },
        settle: () => writer.settle(),
      })
      await runPipeline(pipeline, out, env)
      writer.take(out.keyed)
    }
    return await writer.finish()
  } catch (error) {
    throw namingOperator(error, info.operator)
  }
}

// A partitioner does not know for whom it works.
function namingOperator(error: unknown, operator: string): unknown {
  if (!isSluiceError(error, 'KEY_INVALID') || error.component !== 'partitioner') return error
  const message = error.message.replace('[partitioner] ', '')
  return new SluiceError({ code: 'KEY_INVALID', component: operator, message, cause: error })
}
