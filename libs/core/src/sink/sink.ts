/**
 * The sink contract: what an output connector implements. Policy (retries, time-outs, dead letters) is written once, in
 * core; a sink is only the calls of its system.
 */
import { requireArgument } from '../errors.js'
import type { Duration } from '../time/duration.js'
import type { Clock } from '../time/clock.js'
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
  /** Releases all. Called once after `open`, also after one that rejected; nothing else is called after it. */
  close?(): Promise<void>
}

/** How the engine drives a sink: written once, here, for every sink. */
export interface OutputOptions {
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
}

export interface RetryOptions {
  readonly retries?: number | undefined
  readonly minDelay?: Duration | undefined
  readonly maxDelay?: Duration | undefined
}

/** Throws `ARGUMENT_INVALID` for options that no sink can be driven by. */
export function requireOutputOptions(options: OutputOptions | undefined, component: string): void {
  const { batchSize = 1, maxInFlight = 1, timeoutMs = 1, retry = {} } = options ?? {}
  for (const [name, value] of Object.entries({ batchSize, maxInFlight, timeoutMs })) {
    requireArgument(value >= 1, component, `${name} must be at least 1, not ${String(value)}`)
  }
  const { retries = 0, minDelay = 0, maxDelay = 0 } = retry
  for (const [name, value] of Object.entries({ retries, minDelay, maxDelay })) {
    requireArgument(value >= 0, component, `retry.${name} must be at least 0, not ${String(value)}`)
  }
}

/** All records of a partition in one array, for sinks that need the whole of it. */
export async function collectChunks<T>(chunks: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = []
  for await (const chunk of chunks) for (const record of chunk) all.push(record)
  return all
}
