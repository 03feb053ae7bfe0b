/** What an output is to the scheduler. */
import type { RddNode } from '../rdd/lineage.js'
import type { RddScope } from '../rdd/scope.js'
import type { OutputOptions, Sink } from '../sink/sink.js'
import type { StateOperator } from '../state/state-operator.js'
import type { BatchTime } from '../time/duration.js'

/** What a batch gives to the functions that make its RDDs. */
export interface BatchScopes {
  /** The scope of the RDDs that this operator's function makes. */
  scope(operator: string): RddScope
  /** The operator's side data of this batch: read once, and recorded before anything of the batch is written (E10). */
  sideData(operator: string, read: () => unknown): Promise<unknown>
}

/** A stream as its outputs and its graph see it. */
export interface StreamAtTimes {
  readonly id: string
  readonly parents: readonly StreamAtTimes[]
  /** Whether the user asked for older RDDs than those of windows. */
  readonly isRemembered: boolean
  /** Whether a window reads older RDDs of this stream. */
  readonly isSliced: boolean
  readonly isCheckpointed: boolean
  readonly isNondeterministic: boolean
  /** Whether an older RDD can be made again from what its inputs planned, the same as before (E4). */
  readonly isRecomputable: boolean
  readonly rememberMs: number
  /** The RDD of a batch; undefined where the stream has none. */
  at(time: BatchTime): RddNode | undefined
  /** Forgets RDDs that are no longer remembered after the batch `time`, and gives them. */
  clearBefore(time: BatchTime): RddNode[]
  isValidTime(time: BatchTime): boolean
  /** Of streams that have something to run before the RDD of this time can be made: runs it. Once in each run of a batch. */
  prepare?(time: BatchTime, scopes: BatchScopes): Promise<void>
  /** Remembers for at least `ms`, and tells the parents how long they are needed. */
  settleRemember(ms: number): void
  /** Takes over the RDD of an earlier run's batch. */
  resumeAt(time: BatchTime, rdd: RddNode): void
}

/** A stream with state, or of it: what it gives in a batch can only be made while that batch runs. */
export interface StatefulStream extends StreamAtTimes {
  /** Whether nothing of this batch is left to be made. */
  isEvaluated(time: BatchTime): boolean
  /** The batch's changes become the state. */
  commit(time: BatchTime): void
  /** The batch's changes are forgotten. */
  rollback(): void
  /** Its keys; undefined where the state is another stream's. */
  readonly state?: StateOperator
  /** Id under which an earlier program kept this state (E11). */
  readonly was?: string | undefined
  /** An earlier run has committed these batches, of which the last are known; the keys have been restored. */
  resume(committed: readonly BatchTime[]): void
}

/** One output's run of one batch: the scope its RDDs belong to, and how sinks are written. */
interface OutputRun {
  readonly time: BatchTime
  /** What the user's function is given: its operators and actions belong to the batch. */
  readonly scope: RddScope
  /** Writes every partition of `rdd` and commits; retries as the options say. */
  write(rdd: RddNode, sink: Sink<unknown>, options: OutputOptions<never> | undefined): Promise<void>
}

export interface OutputStream {
  readonly id: string
  readonly parent: StreamAtTimes
  /** Opened before the first batch, closed after the last. */
  readonly sink: Sink<unknown> | undefined
  /** Takes what `sink` refuses, under an output id of its own. */
  readonly deadLetter: Sink<unknown> | undefined
  run(rdd: RddNode, run: OutputRun): Promise<void>
}
