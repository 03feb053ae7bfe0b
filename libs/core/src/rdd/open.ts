/** Opens a source: from what a task computes to the chunks it reads. */
import { SluiceError } from '../errors.js'
import { aggregatedChunks } from './aggregate.js'
import { cogroupedChunks } from './cogroup.js'
import { handOut, keepSafe } from './freeze.js'
import { joinedChunks } from './join.js'
import { sortedChunks } from './sort.js'
import { asyncMappedChunks, cartesianChunks, partitionFunctionChunks, zippedChunks } from './partition-functions.js'
import type { AnyFunction } from './functions.js'
import type { BlockRecords, Chunks, Pipeline, Source, TaskEnv } from './pipeline.js'
import { FoldOut, refusePromise } from './out.js'
import { countPipeline, explained, ownRecords, pipelineChunks, runPipeline } from './run.js'

const RANGE_CHUNK = 4_096

/** The chunks of a source. Nothing is read before the first is asked for. */
export function openSource(source: Source, env: TaskEnv): Chunks {
  switch (source.kind) {
    case 'records':
      return [source.records]
    case 'range':
      return rangeChunks(source)
    case 'block':
      return blockChunks(env.block(source.id), source.id)
    case 'text':
      return env.lines(source.path, source.start, source.length)
    case 'bytes':
      return bytesChunk(source.path, env)
    case 'shuffle':
      return shuffleChunks(env.shuffleBlocks(source.shuffle, source.partition))
    case 'concat':
      return concatChunks(source.inputs, env)
    case 'aggregate':
      return aggregatedChunks(source, env)
    case 'count':
      return countedChunk(source, env)
    case 'fold':
      return foldedChunk(source, env)
    case 'cogroup':
      return cogroupedChunks(source, env)
    case 'join':
      return joinedChunks(source, env)
    case 'sort':
      return sortedChunks(source, env)
    case 'cartesian':
      return cartesianChunks(source, env)
    case 'zip':
      return zippedChunks(source, env)
    case 'partition':
      return partitionFunctionChunks(source, env)
    case 'async-map':
      return asyncMappedChunks(source, env)
    case 'unpack':
      return unpackedChunks(source, env)
    case 'cached':
      return cachedChunks(source, env)
    case 'driver':
      return source.open(env)
  }
}

function* rangeChunks(source: Extract<Source, { kind: 'range' }>): Generator<readonly unknown[]> {
  for (let from = 0; from < source.count; from += RANGE_CHUNK) {
    const length = Math.min(RANGE_CHUNK, source.count - from)
    const chunk = new Array<number>(length)
    for (let i = 0; i < length; i++) chunk[i] = source.start + (from + i) * source.step
    yield chunk
  }
}

async function* blockChunks(block: BlockRecords | undefined, id: string): AsyncGenerator<readonly unknown[]> {
  if (block === undefined) throw droppedBlock(id)
  yield await block
}

function droppedBlock(id: string): SluiceError {
  return new SluiceError({
    code: 'RDD_DROPPED',
    component: 'block-store',
    message: `block ${id} is not there any more; keep the batches that are read again with remember() or a window`,
  })
}

async function* bytesChunk(path: string, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  yield [[path, await env.bytes(path)]]
}

async function* shuffleChunks(blocks: Iterable<BlockRecords>): AsyncGenerator<readonly unknown[]> {
  for (const block of blocks) yield await block
}

async function* concatChunks(inputs: readonly Pipeline[], env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  for (const input of inputs) yield* pipelineChunks(input, env)
}

async function* countedChunk(
  { operator, input }: Extract<Source, { kind: 'count' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  yield [await countPipeline(input, operator, env)]
}

async function* foldedChunk(
  { operator, input, f, start }: Extract<Source, { kind: 'fold' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const out = new FoldOut(operator, f, start === undefined ? undefined : { value: start })
  await runPipeline(input, out, env)
  yield out.has ? [refusePromise(out.acc, operator)] : []
}

/** Piece by piece: what one gives is used up before the next is unpacked, so that it dies young. */
async function* unpackedChunks(
  { operator, block, fn }: Extract<Source, { kind: 'unpack' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const loan = env.lend(block)
  if (loan === undefined) throw droppedBlock(block)
  try {
    for (const piece of await loan.records) yield unpacked(fn, piece, operator, env)
  } finally {
    loan.giveBack()
  }
}

function unpacked(fn: AnyFunction, piece: unknown, operator: string, env: TaskEnv): readonly unknown[] {
  try {
    return refusePromise(fn(piece), operator) as readonly unknown[]
  } catch (error) {
    throw explained(error, operator, env.info)
  }
}

async function* cachedChunks(
  source: Extract<Source, { kind: 'cached' }>,
  env: TaskEnv,
): AsyncGenerator<readonly unknown[]> {
  const kept = env.block(source.block)
  if (kept !== undefined) {
    yield handOut(await kept)
    return
  }
  const records = await ownRecords(source.input, env)
  keepSafe(records)
  await env.putBlock(source.block, records, source.level)
  yield handOut(records)
}
