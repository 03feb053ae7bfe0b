/**
 * The sink contract: what an output connector implements. Policy (retries, time-outs, dead letters) is written once, in
 * core; a sink is only the calls of its system.
 */
import { requireArgument, SluiceError } from '../errors.js'
import type { Duration } from '../time/duration.js'
import type { Clock } from '../time/clock.js'
import type { ProcessIdentity } from '../storage/process-table.js'
import type { Logger } from '../observe/logger.js'

/** What a sink promises, and under which condition. Printed at `start()`. */
export interface SinkGuarantee {
  readonly level: 'exactly-once' | 'effectively-once' | 'at-least-once'
  /** In one sentence: what must hold for the level. */
  readonly condition: string
}

/** The identity of one partition of one batch of one output (E1). `epoch` and `attempt` never enter a key or a final name. */
export interface BatchPartitionId {
  /** Random id of the application, created with its log; without a log, one per run. */
  readonly app: string
  /** Stable id of the output (E11). */
  readonly output: string
  /** Batch time in milliseconds since the epoch. */
  readonly batchTime: number
  /** Index of the partition, from 0. */
  readonly partition: number
  /** How many partitions the batch has in this output; the same each time the batch is run. */
  readonly partitions: number
  /** Digest of what the batch covers; the same each time the batch is run. */
  readonly planDigest: string
  /** Ownership epoch of the running application. */
  readonly epoch: number
  /** Which try of this process it is, from 0. */
  readonly attempt: number
}

/** The identity of a whole batch of one output. */
export type BatchId = Omit<BatchPartitionId, 'partition'>

/** What the inputs planned for a batch, by input name. */
export type PlannedOffsets = Readonly<Record<string, unknown>>

export interface SinkContext {
  readonly app: string
  readonly output: string
  readonly epoch: number
  /** Batch time of the last batch planned in the log; undefined for a new log or none. */
  readonly lastPlanned: number | undefined
  /**
   * Processes of this machine from which the application was taken while they lived, because they hang. A sink whose system locks
   * by process ends them first, by `endProcess`, or refuses (E8); others need not care.
   */
  readonly replaced?: readonly ProcessIdentity[] | undefined
  readonly logger: Logger
  readonly clock: Clock
  /** Aborted when the application stops at once. */
  readonly signal: AbortSignal
}

export interface WriteContext {
  /** Aborted on time-out or stop: the outcome is then unknown, and the connection must not be used again (E9). */
  readonly signal: AbortSignal
  /** Marks record `index` (counted over all chunks, from 0) as one that the system refuses. */
  reject(index: number, error: Error): void
  /**
   * Settles what becomes of the records rejected so far; call it before good records become durable (E18). It rejects with
   * `RECORD_REJECTED`, naming the first of them, when the output's policy is that a rejected record fails the batch.
   */
  settleRejects(): Promise<void>
  /**
   * Given to sinks that have `settledIndexes`, when they are written as dead letters: the index, in the partition of the
   * output that they come from, of each record given, in their order (E18).
   */
  readonly indexes?: readonly number[] | undefined
}

/** A record that a sink refused, as it is given to the output's dead-letter sink. */
export interface Rejected<out T> {
  readonly record: T
  /** Why: the message of the sink's error. */
  readonly message: string
  /** The error's code, if it has one. */
  readonly code: string | undefined
  /** Id of the output that the record was meant for. */
  readonly output: string
  /** Batch time in milliseconds since the epoch. */
  readonly batchTime: number
  readonly partition: number
  /** Number of the record in its partition, from 0. */
  readonly index: number
}

/**
 * An output connector. The engine calls, for each batch: `writePartition` once or more for each partition, then
 * `commitBatch`. Before the first batch `open`, after the last `close`. Calls for different partitions may overlap unless
 * `unit` is `'batch'`; calls for different batches never do (E2).
 */
export interface Sink<in T> {
  readonly '~sluice': 'sink/1'
  readonly name: string
  /** What it writes to: a table, topic, key or path, never a host or credentials. Part of the output's id (E11). */
  readonly target: string
  readonly guarantee: SinkGuarantee
  /** `'batch'`: partitions are written in turn and nothing is durable until `commitBatch` resolves; if it fails, all are written again. Default: `'partition'`. */
  readonly unit?: 'partition' | 'batch' | undefined
  /** Connects and checks what can be checked: reachability, credentials, tables, permissions. A rejection fails `start()`; `close` is called then, too. */
  open?(context: SinkContext): Promise<void>
  /**
   * Applies one partition of one batch; resolves when it is durable. It may be called again for the same batch and
   * partition (another attempt or epoch): the second call must leave the system as the first did.
   */
  writePartition(id: BatchPartitionId, chunks: AsyncIterable<readonly T[]>, context: WriteContext): Promise<void>
  /** Called when every partition of the batch is written; may be called again. Default: nothing. */
  commitBatch?(id: BatchId, context: { readonly offsets: PlannedOffsets; readonly signal: AbortSignal }): Promise<void>
  /**
   * Of sinks that make good dead-letter sinks: the indexes stored with what was applied of this partition; none where it was
   * not. `writePartition` with `WriteContext.indexes` then applies only the records whose index is not stored yet, also where the
   * partition was applied before, and stores all of them in the same transaction. So a batch that is run again leaves out
   * what was rejected the first time, and no further reject is lost (E18).
   */
  settledIndexes?(id: BatchPartitionId): Promise<readonly number[]>
  /** Releases all. Called once after `open`, also after one that rejected; nothing else is called after it. */
  close?(): Promise<void>
}

/** How the engine drives a sink: written once, here, for every sink. */
export interface OutputOptions<T = unknown> {
  /** Name of the output; needed where the same sink and target occur more than once. */
  readonly name?: string | undefined
  /** Records in one chunk given to the sink. Default: 1,000. */
  readonly batchSize?: number | undefined
  /** Partitions written at the same time. Default: 1. */
  readonly maxInFlight?: number | undefined
  /** Milliseconds until one `writePartition` or `commitBatch` counts as failed. Default: 60,000. */
  readonly timeoutMs?: number | undefined
  /** Tries after the first one, and the pause before each. Default: 3 retries, from 100 ms doubling to 10 s. */
  readonly retry?: RetryOptions | undefined
  /**
   * What becomes of records that the sink refuses. `'fail'` fails the batch. `deadLetter` writes them to another sink, as output
   * `NAME/dead-letter`, before the good records of their partition; the records of a partition are then held in memory while it
   * is written. That sink's `unit` must be the partition, and it should have `settledIndexes`: without, records that are refused
   * only when a batch is run again are not added to those refused before. Default: `'fail'`.
   */
  readonly onError?: 'fail' | { readonly deadLetter: Sink<Rejected<T>> } | undefined
}

export interface RetryOptions {
  readonly retries?: number | undefined
  readonly minDelay?: Duration | undefined
  readonly maxDelay?: Duration | undefined
}

/** Throws `ARGUMENT_INVALID` for options that no sink can be driven by. */
export function requireOutputOptions(options: OutputOptions<never> | undefined, component: string): void {
  const { batchSize = 1, maxInFlight = 1, timeoutMs = 1, retry = {} } = options ?? {}
  for (const [name, value] of Object.entries({ batchSize, maxInFlight, timeoutMs })) {
    requireArgument(value >= 1, component, `${name} must be at least 1, not ${String(value)}`)
  }
  const { retries = 0, minDelay = 0, maxDelay = 0 } = retry
  for (const [name, value] of Object.entries({ retries, minDelay, maxDelay })) {
    requireArgument(value >= 0, component, `retry.${name} must be at least 0, not ${String(value)}`)
  }
  const dead = deadLetterOf(options)
  if (dead === undefined) return
  requireSink(dead, `${component}/dead-letter`)
  const remedy = 'use one that is durable by partition'
  requireArgument(
    dead.unit !== 'batch',
    component,
    `${dead.name} cannot take dead letters, it writes whole batches; ${remedy}`,
  )
}

/** The sink for what the output's own sink refuses; undefined where that fails the batch. */
export function deadLetterOf(options: OutputOptions<never> | undefined): Sink<Rejected<never>> | undefined {
  const { onError = 'fail' } = options ?? {}
  return onError === 'fail' ? undefined : onError.deadLetter
}

/** Id of the output that takes an output's dead letters. */
export function deadLetterId(output: string): string {
  return `${output}/dead-letter`
}

/** Throws `CONTRACT_VERSION` for what is no sink of this core. */
export function requireSink(sink: Sink<never>, component: string): void {
  const version: unknown = (sink as Partial<Sink<never>> | undefined)?.['~sluice']
  if (version === 'sink/1') return
  throw new SluiceError({
    code: 'CONTRACT_VERSION',
    component,
    message: `the sink says it is '${String(version)}', and this core knows 'sink/1'; install versions that belong together`,
  })
}

/** All records of a partition in one array, for sinks that need the whole of it. */
export async function collectChunks<T>(chunks: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = []
  for await (const chunk of chunks) for (const record of chunk) all.push(record)
  return all
}
