/**
 * The input contract: a source that is asked at each tick what the batch covers, and read when the batch runs. Kafka read
 * directly, files and queues are such sources.
 */
import type { BatchTime } from '../time/duration.js'
import type { Clock } from '../time/clock.js'
import type { Logger } from '../observe/logger.js'

/** What a batch covers of an input. `data` is plain data: it is written to the batch log. */
export interface InputPlan<P> {
  readonly data: P
  /** How many records it is, where that is known. */
  readonly records?: number | undefined
  /** For people: what it covers. */
  readonly description?: string | undefined
  /** What the input must know, besides its plans, to go on after this one in another process; plain data. See `InputContext.resumed`. */
  readonly head?: unknown
}

/** What earlier runs of the application have planned, where it has a checkpoint. */
export interface ResumedInput {
  /** `head` of the last plan. */
  readonly head: unknown
  /** Plans of batches that are run again, or that windows may ask for, in order. */
  readonly plans: readonly { readonly time: BatchTime; readonly data: unknown }[]
  readonly lastPlanned: BatchTime | undefined
  /** One interval before the first batch of all. */
  readonly zeroTime: BatchTime
}

export interface InputContext {
  readonly streamId: number
  /** Stable id of the stream in its application (E11). */
  readonly id: string
  /** The label of the application. */
  readonly appName: string
  readonly clock: Clock
  readonly logger: Logger
  /** Aborted when the application stops at once. */
  readonly signal: AbortSignal
  /** Undefined at the first start, and without a checkpoint. */
  readonly resumed?: ResumedInput | undefined
}

/**
 * A direct source. The engine calls `start`, then for each batch in order `plan` at its tick, `partitions` and `read` when it
 * runs (again whenever it is run again), and `commit` when it is committed; at last `stop`, after the last batch of a graceful
 * stop. `plan` is never called while another `plan` runs; it may be called while earlier batches run. `stop` is called once
 * where `start` was, also when that failed.
 */
export interface InputSource<T, P = unknown> {
  readonly '~sluice': 'input/1'
  /** For messages and listeners. */
  readonly name: string
  /** Whether `read` gives the same records for the same plan, also after a restart. */
  readonly replayable: boolean
  /** Milliseconds that plans of committed batches are kept at least, so that a restart finds them in `InputContext.resumed`. Default: as long as windows ask for them. */
  readonly keepPlansMs?: number | undefined
  start?(context: InputContext): Promise<void>
  /** What the batch covers, from where the last plan ended, also that of an earlier run (`InputContext.resumed`); undefined when the input has no RDD at all for it. */
  plan(time: BatchTime): InputPlan<P> | undefined | Promise<InputPlan<P> | undefined>
  /** Splits a plan into what is read together: one RDD partition each. */
  partitions(data: P): readonly unknown[]
  /** The records of one partition, in chunks and in order. */
  read(partition: never, signal: AbortSignal | undefined): Iterable<readonly T[]> | AsyncIterable<readonly T[]>
  /**
   * How many records `read` would give, where that can be known for less than reading them: `count()` of the stream's own RDD
   * then asks this. Default: they are read.
   */
  count?(partition: never, signal: AbortSignal | undefined): Promise<number>
  /** The batch is committed: what it covers need not be kept for recovery. */
  commit?(data: P, time: BatchTime): Promise<void>
  /**
   * How many records per second the next plans may cover: called after `start` with the initial rate, where there is one, and
   * after batches that tell another. Only when back-pressure is on; a source without it is asked for as much as it has.
   */
  setRate?(recordsPerSecond: number): void
  stop?(): Promise<void>
}
