/** Where an RDD belongs: what its operators are called, and who runs its actions. */
import type { Sink } from '../sink/sink.js'
import type { RddNode } from './lineage.js'
import type { OpOptions } from './types.js'
import type { Work } from './work.js'

/** A context, or one batch's `transform` or `foreachRDD`. */
export interface RddScope {
  /** Set for a context: RDDs made there outlive batches, and what they keep is not released with those of a batch. */
  readonly outlivesBatches?: boolean
  /** Default number of partitions. */
  readonly parallelism: number
  /** Id of a new operator of this kind. */
  opId(kind: string, options?: OpOptions): string
  /** Runs `work` over the given partitions of `node` (default: all) and gives the results by partition. */
  run(node: RddNode, work: Work, operator: string, partitions?: readonly number[]): Promise<unknown[]>
  /** Told of every action as a whole; it may be several jobs. Absent where nobody need know. */
  track?<R>(action: Promise<R>): Promise<R>
  /** Runs `work` over records at hand, as a task: where user functions run, wherever that is. */
  runInline(records: readonly unknown[], work: Work, operator: string): Promise<unknown>
  dropBlocks(node: RddNode): void
  saveAsTextFile(node: RddNode, path: string): Promise<void>
  writeTo(node: RddNode, sink: Sink<unknown>, name: string | undefined): Promise<void>
}
