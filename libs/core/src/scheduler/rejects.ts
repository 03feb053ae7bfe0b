/** What becomes of the records that a sink refuses: they fail the batch, or go to another sink before the good ones (E18). */
import { SluiceError } from '../errors.js'
import type { TaskInfo } from '../rdd/op.js'
import type { Chunks } from '../rdd/pipeline.js'
import {
  deadLetterId,
  type BatchId,
  type BatchPartitionId,
  type PlannedOffsets,
  type Rejected,
  type Sink,
  type WriteContext,
} from '../sink/sink.js'

/** One try of one partition: the chunks that its sink is given, and what it is told of rejects. */
export interface RejectRun {
  readonly chunks: Chunks
  readonly context: WriteContext
}

/** Any refused record fails the batch. */
export function failOnReject(chunks: Chunks, info: TaskInfo, signal: AbortSignal): RejectRun {
  let first: { readonly index: number; readonly error: Error } | undefined
  let rejects = 0
  const context: WriteContext = {
    signal,
    reject(index, error) {
      rejects++
      first ??= { index, error }
    },
    settleRejects() {
      return first === undefined ? Promise.resolve() : Promise.reject(rejected(info, first.index, first.error, rejects))
    },
  }
  return { chunks, context }
}

/** The dead letters of one output. */
export class DeadLetters {
  readonly #sink: Sink<Rejected<unknown>>

  constructor(sink: Sink<Rejected<never>>) {
    // It is given the records that the output's own sink was given.
    this.#sink = sink as Sink<unknown>
  }

  /** Records whose index was settled by a run before are left out of the chunks. */
  async begin(id: BatchPartitionId, chunks: Chunks, info: TaskInfo, signal: AbortSignal): Promise<RejectRun> {
    const letters = { ...id, output: deadLetterId(id.output) }
    const settled = new Set(await this.#sink.settledIndexes?.(letters))
    const given: { readonly index: number; readonly record: unknown }[] = []
    const fresh = new Map<number, Rejected<unknown>>()
    let writes = 0
    const context: WriteContext = {
      signal,
      reject(at, error) {
        const { index, record } = given[at] ?? noSuchRecord(info, at)
        if (!settled.has(index)) fresh.set(index, letterOf(id, index, record, error))
      },
      settleRejects: async () => {
        if (fresh.size === 0) return
        const records = [...fresh.values()].sort((a, b) => a.index - b.index)
        if (this.#sink.settledIndexes === undefined && writes > 0) throw cannotAppend(this.#sink, records)
        await this.#write(letters, records, info, signal)
        writes++
        for (const { index } of records) {
          settled.add(index)
          fresh.delete(index)
        }
      },
    }
    return { chunks: without(chunks, new Set(settled), given), context }
  }

  async #write(
    id: BatchPartitionId,
    records: readonly Rejected<unknown>[],
    info: TaskInfo,
    signal: AbortSignal,
  ): Promise<void> {
    const { chunks, context } = failOnReject(oneChunk(records), { ...info, operator: id.output }, signal)
    const indexes = records.map(({ index }) => index)
    await this.#sink.writePartition(id, chunks as AsyncIterable<readonly Rejected<unknown>[]>, { ...context, indexes })
    await context.settleRejects()
  }

  async commit(id: BatchId, offsets: PlannedOffsets, signal: AbortSignal): Promise<void> {
    await this.#sink.commitBatch?.({ ...id, output: deadLetterId(id.output) }, { offsets, signal })
  }
}

async function* oneChunk(records: readonly unknown[]): AsyncGenerator<readonly unknown[]> {
  yield await Promise.resolve(records)
}

/** Notes each record that is given on, with its index in the partition. */
async function* without(
  chunks: Chunks,
  leftOut: ReadonlySet<number>,
  given: { index: number; record: unknown }[],
): AsyncGenerator<readonly unknown[]> {
  let index = 0
  for await (const chunk of chunks) {
    const kept: unknown[] = []
    for (const record of chunk) {
      if (!leftOut.has(index)) {
        kept.push(record)
        given.push({ index, record })
      }
      index++
    }
    if (kept.length > 0) yield kept
  }
}

function letterOf(id: BatchPartitionId, index: number, record: unknown, error: Error): Rejected<unknown> {
  const { output, batchTime, partition } = id
  const { code } = error as { code?: unknown }
  const text = typeof code === 'string' ? code : undefined
  return { record, message: error.message, code: text, output, batchTime, partition, index }
}

function rejected(info: TaskInfo, index: number, error: Error, rejects: number): SluiceError {
  return new SluiceError({
    code: 'RECORD_REJECTED',
    component: info.operator,
    message: `the sink refuses ${String(rejects)} record(s) of partition ${String(info.partition)}, the first is number ${String(index)}: ${error.message}; filter such records out, or send them to a dead-letter sink with onError`,
    cause: error,
  })
}

function cannotAppend({ name }: Sink<never>, [first]: readonly Rejected<unknown>[]): SluiceError {
  return new SluiceError({
    code: 'RECORD_REJECTED',
    component: name,
    message: `record ${String(first?.index)} was refused after the dead letters of its partition had been written (${String(first?.message)}); use a dead-letter sink that has settledIndexes`,
  })
}

function noSuchRecord(info: TaskInfo, at: number): never {
  throw new SluiceError({
    code: 'ARGUMENT_INVALID',
    component: info.operator,
    message: `the sink rejects record ${String(at)}, which it was not given; count over all chunks, from 0`,
  })
}
