/** What an output is to the scheduler. */
import type { RddNode } from '../rdd/lineage.js'
import type { RddScope } from '../rdd/scope.js'
import type { OutputOptions, Sink } from '../sink/sink.js'
import type { BatchTime } from '../time/duration.js'

/** A stream as its outputs and its graph see it. */
export interface StreamAtTimes {
  readonly id: string
  /** The RDD of a batch; undefined where the stream has none. */
  at(time: BatchTime): RddNode | undefined
  /** Forgets RDDs that are no longer remembered after the batch `time`, and gives them. */
  clearBefore(time: BatchTime): RddNode[]
}

/** One output's run of one batch: the scope its RDDs belong to, and how sinks are written. */
export interface OutputRun {
  readonly time: BatchTime
  /** What the user's function is given: its operators and actions belong to the batch. */
  readonly scope: RddScope
  /** Writes every partition of `rdd` and commits; retries as the options say. */
  write(rdd: RddNode, sink: Sink<unknown>, options: OutputOptions | undefined): Promise<void>
}

export interface OutputStream {
  readonly id: string
  readonly parent: StreamAtTimes
  /** Opened before the first batch, closed after the last. */
  readonly sink: Sink<unknown> | undefined
  run(rdd: RddNode, run: OutputRun): Promise<void>
}
