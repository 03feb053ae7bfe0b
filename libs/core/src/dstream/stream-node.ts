/** A stream inside the engine: knows its parents, its interval, and how to make the RDD of a time. Holds no data. */
import { SluiceError } from '../errors.js'
import { PartitionwiseNode, UnionNode, type RddNode } from '../rdd/lineage.js'
import type { Pipeline } from '../rdd/pipeline.js'
import type { Partitioner } from '../rdd/types.js'
import type { StorageLevel } from '../storage/storage-level.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { isValidTime } from '../time/ticks.js'
import type { StreamGraph } from './graph.js'
import type { StreamAtTimes } from './output.js'

export abstract class StreamNode implements StreamAtTimes {
  readonly graph: StreamGraph
  readonly id: string
  abstract readonly parents: readonly StreamNode[]
  abstract readonly slideDuration: Duration
  /** Where RDDs are kept once computed; undefined: computed again for each use. */
  level: StorageLevel | undefined
  /** Whether the user asked for older RDDs than those of windows. */
  isRemembered = false
  /** Whether a window reads older RDDs of this stream. */
  isSliced = false
  /** Whether its functions may answer differently when they are called again. */
  isNondeterministic = false
  /** Whether the user wants each batch's records durable before any output starts. */
  isCheckpointed = false
  /** How long after its batch an RDD can still be asked for. */
  #rememberMs = 0
  readonly #generated = new Map<BatchTime, RddNode>()
  #clearedTo = -Infinity
  /** Time of the last batch that an earlier run has committed. */
  #resumedAfter = -Infinity

  constructor(graph: StreamGraph, id: string) {
    this.graph = graph
    this.id = id
    graph.addStream(this)
  }

  get rememberMs(): number {
    return Math.max(this.#rememberMs, this.slideDuration)
  }

  /** Whether an RDD can be asked for after its batch. */
  get outlivesBatch(): boolean {
    return this.rememberMs > this.slideDuration
  }

  /** Whether an older RDD can be made again from what its inputs planned, the same as before (E4). */
  get isRecomputable(): boolean {
    return !this.isNondeterministic && this.parents.every((parent) => parent.isRecomputable)
  }

  /** How every RDD of this stream is spread, where that is known without making one. */
  get knownPartitioner(): Partitioner | undefined {
    return undefined
  }

  resumeAfter(time: BatchTime): void {
    this.#resumedAfter = time
    this.#clearedTo = time - this.rememberMs
  }

  /** Takes over what an earlier run's batch has kept. */
  resumeAt(time: BatchTime, kept: RddNode): void {
    const partitioner = this.knownPartitioner
    const isSpread = partitioner !== undefined && partitioner.partitions === kept.partitions
    const rdd = isSpread ? new PartitionwiseNode([kept], ([input]) => (input as Pipeline).source, partitioner) : kept
    rdd.isOwned = true
    this.#generated.set(time, rdd)
  }

  /** Keeps RDDs for at least this long, and what they are made of. */
  remember(ms: number): void {
    if (ms <= this.#rememberMs) return
    this.#rememberMs = ms
    for (const parent of this.parents) parent.remember(this.parentRememberMs())
  }

  /** Called once when the graph starts, children first: tells the parents how long they are needed. */
  settleRemember(ms: number): void {
    this.remember(ms)
    for (const parent of this.parents) parent.remember(this.parentRememberMs())
  }

  /** What the user asks for by `persist`. */
  persist(level: StorageLevel): void {
    this.level = level
  }

  isValidTime(time: BatchTime): boolean {
    return isValidTime(time, this.graph.zeroTime, this.slideDuration)
  }

  /** The RDD of this batch, made once; undefined where the stream has none. Throws `RDD_DROPPED` for one that is forgotten. */
  at(time: BatchTime): RddNode | undefined {
    if (!this.isValidTime(time) || this.graph.wasSkipped(time)) return undefined
    const known = this.#generated.get(time)
    if (known !== undefined) return known
    if (time <= this.#clearedTo) throw this.#dropped(time)
    if (time <= this.#resumedAfter && !this.isRecomputable) {
      // Nobody asked for it then: a window that is new in the program begins without.
      if (this.outlivesBatch) return undefined
      throw this.#dropped(time)
    }
    const computed = this.compute(time)
    if (computed === undefined) return undefined
    // One that belongs to another stream, or to the user, is theirs to keep and to release.
    const rdd = computed.isOwned ? new UnionNode([computed]) : computed
    rdd.isOwned = true
    rdd.level ??= this.level
    this.#generated.set(time, rdd)
    return rdd
  }

  /** Forgets RDDs that are no longer remembered after the batch `time`, and gives them. */
  clearBefore(time: BatchTime): RddNode[] {
    this.#clearedTo = time - this.rememberMs
    const removed: RddNode[] = []
    for (const [at, rdd] of this.#generated) {
      if (at > this.#clearedTo) continue
      this.#generated.delete(at)
      removed.push(rdd)
    }
    return removed
  }

  protected parentRememberMs(): number {
    return this.rememberMs
  }

  protected abstract compute(time: BatchTime): RddNode | undefined

  /** The RDD of a parent that must have one. */
  protected required(parent: StreamNode, time: BatchTime): RddNode {
    const rdd = parent.at(time)
    if (rdd !== undefined) return rdd
    throw new SluiceError({
      code: 'RDD_MISSING',
      component: this.id,
      message: `its parent ${parent.id} has no RDD for batch ${String(time)}; give an empty one where there are no records`,
    })
  }

  #dropped(time: BatchTime): SluiceError {
    return new SluiceError({
      code: 'RDD_DROPPED',
      component: this.id,
      message: `the RDD of batch ${String(time)} has been dropped; keep older ones with remember() on the stream or the context`,
    })
  }
}

/** A stream made batch by batch from those of its parents; none where a parent has none. */
export class DerivedStream extends StreamNode {
  readonly parents: readonly [StreamNode, ...StreamNode[]]
  readonly #derive: (rdds: readonly RddNode[], time: BatchTime) => RddNode
  readonly #missing: 'skip' | 'fail'

  /** With `missing: 'fail'`, a parent without RDD is an error, as in Spark where several streams come together. */
  constructor(
    parents: readonly [StreamNode, ...StreamNode[]],
    id: string,
    missing: 'skip' | 'fail',
    derive: (rdds: readonly RddNode[], time: BatchTime) => RddNode,
  ) {
    super(parents[0].graph, id)
    this.parents = parents
    this.#missing = missing
    this.#derive = derive
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  protected compute(time: BatchTime): RddNode | undefined {
    if (this.#missing === 'fail')
      return this.#derive(
        this.parents.map((parent) => this.required(parent, time)),
        time,
      )
    const rdd = this.parents[0].at(time)
    return rdd === undefined ? undefined : this.#derive([rdd], time)
  }
}
