/** The batch log as those see it who run batches: what was planned, started and committed. A batch runs only after its plan is in the log. */
import { createHash } from 'node:crypto'
import { jsonOf } from '../observe/format.js'
import type { Chunks } from '../rdd/pipeline.js'
import type { ProcessIdentity } from '../storage/process-table.js'
import type { BatchTime } from '../time/duration.js'
import { newIdentity } from '../time/random.js'
import type { PlanEntry, PlanRecord, StartRecord } from './entries.js'
import type { LoggedBatch } from './log-image.js'

export type { PlanRecord } from './entries.js'

export interface BatchLog {
  /** Identity of the application (E1). */
  readonly app: string
  readonly epoch: number
  /** Processes of this machine from which the log was taken while they lived. */
  readonly replaced: readonly ProcessIdentity[]
  /** Time of the last batch planned before this run. */
  readonly lastPlanned: BatchTime | undefined
  /** Whether anything outlives the process. */
  readonly isDurable: boolean
  /** What an earlier run has logged of a batch that is not committed. */
  batch(time: BatchTime): LoggedBatch | undefined
  /**
   * Resolves when the entry is durable. With `startsAtOnce` it becomes so together with the start of the batch, which comes
   * next: nothing is written anywhere before that.
   */
  plan(record: PlanEntry, startsAtOnce: boolean): Promise<void>
  /**
   * Resolves when the entry is durable and this process still owns the log: only then may outputs be written, some of which
   * cannot shut out an older process (E7).
   */
  start(record: StartRecord): Promise<void>
  /** An output made by `writeTo`, before it is written (E25). */
  startOutput(time: BatchTime, output: string, partitions: number): Promise<void>
  /** An output has finished; for whose durability nobody waits (E13). */
  done(time: BatchTime, output: string): void
  /** Keeps one partition of a stream's RDD, for those who ask for it after a restart. Durable with {@link kept}. */
  keep(stream: string, time: BatchTime, partition: number, chunks: Chunks): Promise<void>
  /** All partitions of the stream's RDD are kept; resolves when they are durable. */
  kept(stream: string, time: BatchTime, partitions: number): Promise<void>
  /** With the changes of all states. Resolves when it is durable and this process still owns the log (E7). */
  commit(time: BatchTime): Promise<void>
  /** Why a batch failed: the error, or `FENCED` when this process does not own the log any more, of which the error is but a sign (E7). */
  causeOf(error: unknown): Promise<unknown>
  /** Ticks that are left out, both ends excluded (E12). */
  skip(after: BatchTime, before: BatchTime): void
  /** Nothing will ask for what batches up to this time gave again, nor for plans up to that. */
  forget(upTo: BatchTime, plansUpTo: BatchTime): void
  close(): Promise<void>
}

/** A log for applications without a checkpoint: nothing outlives the process, so nothing is written. */
export function volatileLog(app = newIdentity()): BatchLog {
  const written = Promise.resolve()
  return {
    app,
    epoch: 0,
    replaced: [],
    lastPlanned: undefined,
    isDurable: false,
    batch: () => undefined,
    plan: () => written,
    start: () => written,
    startOutput: () => written,
    done: () => undefined,
    keep: () => written,
    kept: () => written,
    commit: () => written,
    causeOf: (error) => Promise.resolve(error),
    skip: () => undefined,
    forget: () => undefined,
    close: () => written,
  }
}

/** Digest of what a batch covers. */
export function digestOf({ time, inputs }: PlanRecord): string {
  return createHash('sha256').update(jsonOf({ time, inputs })).digest('hex').slice(0, 32)
}
