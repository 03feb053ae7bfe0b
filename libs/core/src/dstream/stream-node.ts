/** A stream inside the engine: knows its parents, its interval, and how to make the RDD of a time. Holds no data. */
import type { RddNode } from '../rdd/lineage.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { isValidTime } from '../time/ticks.js'
import type { StreamGraph } from './graph.js'

export abstract class StreamNode {
  readonly graph: StreamGraph
  readonly id: string
  abstract readonly parents: readonly StreamNode[]
  /** How long the RDD of a batch can still be asked for. */
  rememberMs: number
  readonly #generated = new Map<BatchTime, RddNode>()

  constructor(graph: StreamGraph, id: string) {
    this.graph = graph
    this.id = id
    this.rememberMs = graph.batchInterval
    graph.addStream(this)
  }

  abstract readonly slideDuration: Duration

  /** The RDD of this batch, made once; undefined where the stream has none. */
  at(time: BatchTime): RddNode | undefined {
    if (!isValidTime(time, this.graph.zeroTime, this.slideDuration)) return undefined
    let rdd = this.#generated.get(time)
    if (rdd === undefined) {
      rdd = this.compute(time)
      if (rdd === undefined) return undefined
      rdd.ofStream = true
      this.#generated.set(time, rdd)
    }
    return rdd
  }

  /** Forgets RDDs that are no longer remembered after the batch `time`, and gives them. */
  clearBefore(time: BatchTime): RddNode[] {
    const removed: RddNode[] = []
    for (const [at, rdd] of this.#generated) {
      if (at > time - this.rememberMs) continue
      this.#generated.delete(at)
      removed.push(rdd)
    }
    return removed
  }

  protected abstract compute(time: BatchTime): RddNode | undefined
}

/** A stream made batch by batch from that of its parent. */
export class DerivedStream extends StreamNode {
  readonly parents: readonly [StreamNode]
  readonly #derive: (rdd: RddNode, time: BatchTime) => RddNode

  constructor(parent: StreamNode, id: string, derive: (rdd: RddNode, time: BatchTime) => RddNode) {
    super(parent.graph, id)
    this.parents = [parent]
    this.#derive = derive
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  protected compute(time: BatchTime): RddNode | undefined {
    const rdd = this.parents[0].at(time)
    return rdd === undefined ? undefined : this.#derive(rdd, time)
  }
}
