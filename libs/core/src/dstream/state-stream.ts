/** Streams with state: their RDDs read what was committed with the batch before, and change it when the batch is committed. */
import { aggregated, partitioned, PartitionwiseNode, SourceNode, type RddNode } from '../rdd/lineage.js'
import type { Pipeline, Source, TaskEnv } from '../rdd/pipeline.js'
import { grouping } from '../rdd/engine-functions.js'
import { pipelineChunks, pipelineRecords } from '../rdd/run.js'
import type { Pair, Partitioner } from '../rdd/types.js'
import { mapWithState, type StateSpec } from '../state/map-with-state.js'
import { StateOperator, type StatePartition } from '../state/state-operator.js'
import { updateState, type UpdateFunction } from '../state/update-state.js'
import { slideWindow, type WindowFunctions } from '../state/window-state.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { StreamNode } from './stream-node.js'
import { requireWindow, slicesOf, sliceTimes } from './window-stream.js'

/** A stream whose partitions are evaluated once per batch, on the state of their keys. */
export abstract class StateStream extends StreamNode {
  readonly parents: readonly [StreamNode]
  readonly partitioner: Partitioner
  readonly state: StateOperator

  constructor(parent: StreamNode, id: string, partitioner: Partitioner, watchesIdle = false) {
    super(parent.graph, id)
    this.parents = [parent]
    this.partitioner = partitioner
    this.state = new StateOperator(id, { partitions: partitioner.partitions, watchesIdle })
    this.graph.addState(this)
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  protected compute(time: BatchTime): RddNode {
    const inputs = this.inputs(time)
    const rdd = new PartitionwiseNode(
      // The first only says how many partitions there are.
      [this.#empty(), ...inputs],
      ([, ...pipelines], index) => this.#source(time, pipelines, index),
      this.keepsKeys ? this.partitioner : undefined,
    )
    // Once the batch is committed its result cannot be made again (E4).
    if (this.rememberMs > this.slideDuration) rdd.level = this.level ?? 'memory-and-disk'
    return rdd
  }

  /** Makes the batch's changes the state. */
  commit(time: BatchTime): void {
    this.state.commit(time)
  }

  /** Whether the results are pairs with the keys of the state. */
  protected abstract readonly keepsKeys: boolean
  /** RDDs that are spread by the partitioner; partition i of each goes to partition i of the state. */
  protected abstract inputs(time: BatchTime): readonly RddNode[]
  protected abstract evaluate(
    state: StatePartition,
    inputs: readonly Pipeline[],
    time: BatchTime,
    env: TaskEnv,
  ): Promise<readonly unknown[]>

  #empty(): RddNode {
    return new SourceNode(Array.from({ length: this.partitioner.partitions }, () => ({ kind: 'records', records: [] })))
  }

  #source(time: BatchTime, inputs: readonly Pipeline[], index: number): Source {
    const { state } = this
    const evaluate = (own: StatePartition, env: TaskEnv): Promise<readonly unknown[]> =>
      this.evaluate(own, inputs, time, env)
    return {
      kind: 'driver',
      async *open(env) {
        yield await state.evaluate(time, index, (own) => evaluate(own, env))
      },
    }
  }

  /** The parent's pairs in the partitions of their keys. A batch without parent has none. */
  protected placed(time: BatchTime): RddNode {
    return partitioned(this.parents[0].at(time) ?? new SourceNode([]), this.id, this.partitioner)
  }
}

export class UpdateStateStream extends StateStream {
  protected readonly keepsKeys = true
  readonly #update: UpdateFunction

  constructor(parent: StreamNode, id: string, update: UpdateFunction, partitioner: Partitioner) {
    super(parent, id, partitioner)
    this.#update = update
  }

  // A batch without parent still updates every key, with no values.
  protected inputs(time: BatchTime): readonly RddNode[] {
    const parent = this.parents[0].at(time) ?? new SourceNode([])
    return [aggregated(parent, this.id, grouping, this.partitioner, false)]
  }

  protected evaluate(
    state: StatePartition,
    [groups]: readonly Pipeline[],
    _time: BatchTime,
    env: TaskEnv,
  ): Promise<readonly unknown[]> {
    return updateState(state, pipelineChunks(groups as Pipeline, env), this.#update, this.id, env)
  }
}

export class MapWithStateStream extends StateStream {
  protected readonly keepsKeys = false
  readonly #spec: StateSpec
  #initial: Iterable<Pair<unknown, unknown>> | undefined

  constructor(
    parent: StreamNode,
    spec: StateSpec,
    partitioner: Partitioner,
    initial: Iterable<Pair<unknown, unknown>> | undefined,
  ) {
    super(parent, spec.operator, partitioner, spec.timeoutMs !== undefined)
    this.#spec = spec
    this.#initial = initial
  }

  // Initial state counts as written in the first batch.
  protected inputs(time: BatchTime): readonly RddNode[] {
    for (const [key, value] of this.#initial ?? []) {
      this.state.partitions[this.partitioner.partitionOf(key)]?.initialize(key, value, time)
    }
    this.#initial = undefined
    return [this.placed(time)]
  }

  protected evaluate(
    state: StatePartition,
    [pairs]: readonly Pipeline[],
    time: BatchTime,
    env: TaskEnv,
  ): Promise<readonly unknown[]> {
    return mapWithState(state, pipelineChunks(pairs as Pipeline, env), this.#spec, time, env)
  }
}

/** All keys with their state after each batch. */
export class SnapshotStream extends StreamNode {
  readonly parents: readonly [MapWithStateStream]

  constructor(mapped: MapWithStateStream, id: string) {
    super(mapped.graph, id)
    this.parents = [mapped]
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  protected compute(time: BatchTime): RddNode {
    const [mapped] = this.parents
    const rdd = new PartitionwiseNode(
      [this.required(mapped, time)],
      ([input], index) => this.#source(input as Pipeline, time, index),
      mapped.partitioner,
    )
    if (this.rememberMs > this.slideDuration) rdd.level = this.level ?? 'memory-and-disk'
    return rdd
  }

  #source(input: Pipeline, time: BatchTime, index: number): Source {
    const { state } = this.parents[0]
    return {
      kind: 'driver',
      async *open(env) {
        // The batch must have been evaluated before its state is there to be read.
        await pipelineRecords(input, env)
        state.requireCurrent(time)
        const partition = state.partitions[index] as StatePartition
        const out: unknown[] = []
        for (const box of partition.boxes()) {
          const value = partition.read(box)
          if (value !== undefined) out.push([box.k, value])
        }
        yield out
      },
    }
  }
}

/** reduceByKeyAndWindow with an inverse. Its parent is reduced by key already. */
export class ReducedWindowStream extends StateStream {
  protected readonly keepsKeys = true
  readonly #functions: WindowFunctions
  readonly #windowMs: number
  readonly #slide: Duration
  /** Time of the last result that was committed: windows go on from there, however much later the next one is (E12). */
  #last: BatchTime | undefined

  constructor(
    reduced: StreamNode,
    functions: WindowFunctions,
    window: Duration,
    slide: Duration,
    partitioner: Partitioner,
  ) {
    super(reduced, functions.operator, partitioner)
    requireWindow(reduced, functions.operator, window, slide)
    this.#functions = functions
    this.#windowMs = window
    this.#slide = slide
    reduced.level ??= 'memory-and-disk'
  }

  override get slideDuration(): Duration {
    return this.#slide
  }

  override needs(time: BatchTime): readonly (readonly [StreamNode, BatchTime])[] {
    const [parent] = this.parents
    return sliceTimes(parent, this.#from - this.#windowMs, time).map((at) => [parent, at])
  }

  // A slice is read when it leaves: one slide after its window.
  protected override parentRememberMs(): number {
    return this.rememberMs + this.#windowMs + this.#slide
  }

  protected inputs(time: BatchTime): readonly RddNode[] {
    return [...this.#leaving(time), ...this.#entering(time)].map(([, rdd]) => rdd)
  }

  protected evaluate(
    state: StatePartition,
    inputs: readonly Pipeline[],
    time: BatchTime,
    env: TaskEnv,
  ): Promise<readonly unknown[]> {
    const slices = inputs.map((input) => pipelineChunks(input, env))
    const leaving = this.#leaving(time).length
    return slideWindow(state, slices.slice(0, leaving), slices.slice(leaving), this.#functions, env)
  }

  override commit(time: BatchTime): void {
    super.commit(time)
    if (this.isValidTime(time)) this.#last = time
  }

  get #from(): BatchTime {
    return this.#last ?? this.graph.zeroTime
  }

  /** Slices of the last window that are not in this one. */
  #leaving(time: BatchTime): (readonly [BatchTime, RddNode])[] {
    return slicesOf(this.parents[0], this.#from - this.#windowMs, Math.min(this.#from, time - this.#windowMs))
  }

  /** Slices of this window that were not in the last one. */
  #entering(time: BatchTime): (readonly [BatchTime, RddNode])[] {
    return slicesOf(this.parents[0], Math.max(this.#from, time - this.#windowMs), time)
  }
}
