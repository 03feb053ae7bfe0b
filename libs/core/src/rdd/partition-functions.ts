/** Operators that see a whole partition, or several at once: mapPartitions, zip, cartesian, mapAsync. */
import { isSluiceError, SluiceError } from '../errors.js'
import type { AnyFunction } from './functions.js'
import type { Source, TaskEnv } from './pipeline.js'
import { explained, ownRecords, pipelineChunks, pipelineRecords, userFunctionFailed } from './run.js'

/** Without a function: the partition as one record (glom). With one: what it makes of the partition's records. */
export async function* partitionFunctionChunks(
  source: Extract<Source, { kind: 'partition' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const records = await ownRecords(source.input, env)
  if (source.fn === undefined) {
    yield [records]
    return
  }
  const args = source.index === undefined ? [records, env.info] : [source.index, records]
  yield* chunked(guarded(source.operator, env, source.fn, ...args), source.operator, env)
}

/** Calls a user's function that works on whole partitions. */
function guarded(operator: string, env: TaskEnv, fn: AnyFunction, ...args: readonly unknown[]): unknown {
  try {
    return fn(...args)
  } catch (error) {
    throw explained(error, operator, env.info)
  }
}

const CHUNK = 1_024

type AnyIterable = Iterable<unknown> | AsyncIterable<unknown>

/** Cuts an iterable into chunks; a promise of one is awaited first. */
async function* chunked(result: unknown, operator: string, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  try {
    const iterable = (await result) as AnyIterable
    if (Array.isArray(iterable)) {
      yield iterable
      return
    }
    let chunk: unknown[] = []
    for await (const record of iterable) {
      chunk.push(record)
      if (chunk.length < CHUNK) continue
      if (env.pacer.ran(chunk.length)) await env.pacer.yield()
      yield chunk
      chunk = []
    }
    if (chunk.length > 0) yield chunk
  } catch (error) {
    throw explained(error, operator, env.info)
  }
}

/** Without a function: records side by side, which needs partitions of equal size. With one: what it makes of the partitions. */
export async function* zippedChunks(
  source: Extract<Source, { kind: 'zip' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const sides: (readonly unknown[])[] = []
  for (const input of source.inputs) sides.push(await ownRecords(input, env))
  if (source.fn !== undefined) {
    yield* chunked(guarded(source.operator, env, source.fn, ...sides), source.operator, env)
    return
  }
  const length = sides[0]?.length ?? 0
  if (sides.some((side) => side.length !== length)) {
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: source.operator,
      message: `zip needs the same number of records on both sides of partition ${String(env.info.partition)}, got ${sides.map((side) => side.length).join(' and ')}; join by key or use zipPartitions`,
    })
  }
  yield Array.from({ length }, (_, i) => sides.map((side) => side[i]))
}

/** Each left record with each right one: left order, then right order. */
export async function* cartesianChunks(
  source: Extract<Source, { kind: 'cartesian' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const right = await pipelineRecords(source.right, env)
  let out: unknown[] = []
  for await (const chunk of pipelineChunks(source.left, env)) {
    for (const left of chunk) {
      for (const record of right) {
        out.push([left, record])
        if (out.length < CHUNK) continue
        yield out
        out = []
        if (env.pacer.ran(CHUNK)) await env.pacer.yield()
      }
    }
  }
  if (out.length > 0) yield out
}

/**
 * Results of an asynchronous function in input order, at most `concurrency` under way. The next call starts when the oldest
 * has been taken, so that a slow record holds back the ones behind it and nothing piles up.
 */
export async function* asyncMappedChunks(
  source: Extract<Source, { kind: 'async-map' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const { fn, concurrency, operator, input } = source
  const underWay: Promise<unknown>[] = []
  let out: unknown[] = []
  for await (const chunk of pipelineChunks(input, env)) {
    for (const record of chunk) {
      const call = callAsync(fn, record, operator, env)
      // It is awaited later, in its turn; until then its rejection must not count as unhandled.
      call.catch(() => undefined)
      underWay.push(call)
      // Waiting for what is done already lets nothing else run.
      if (env.pacer.ran(1)) await env.pacer.yield()
      if (underWay.length < concurrency) continue
      out.push(await underWay.shift())
      if (out.length < CHUNK) continue
      yield out
      out = []
    }
  }
  for (const call of underWay) out.push(await call)
  if (out.length > 0) yield out
}

async function callAsync(fn: AnyFunction, record: unknown, operator: string, env: TaskEnv): Promise<unknown> {
  try {
    return await fn(record)
  } catch (error) {
    throw isSluiceError(error) ? error : userFunctionFailed(error, operator, env.info, { record })
  }
}
