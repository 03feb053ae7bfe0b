/** Streams with state: their RDDs read what was committed with the batch before, and change it when the batch is committed. */
import { aggregated, partitioned, PartitionwiseNode, SourceNode, type RddNode } from '../rdd/lineage.js'
import type { Pipeline, Source, TaskEnv } from '../rdd/pipeline.js'
import { grouping } from '../rdd/engine-functions.js'
import { pipelineChunks, pipelineRecords } from '../rdd/run.js'
import type { Pair, Partitioner } from '../rdd/types.js'
import { mapWithState, type StateSpec } from '../state/map-with-state.js'
import { StateOperator, type Results } from '../state/state-operator.js'
import type { StateFormat } from '../state/state-columns.js'
import type { StatePartition } from '../state/state-partition.js'
import { updateState, type UpdateFunction } from '../state/update-state.js'
import { slideWindow, type WindowChange, type WindowFunctions } from '../state/window-state.js'
import type { StorageLevel } from '../storage/storage-level.js'
import { formatDuration, type BatchTime, type Duration } from '../time/duration.js'
import type { StatefulStream } from './output.js'
import { StreamNode } from './stream-node.js'
import { requireWindow, slicesOf } from './window-stream.js'

/** What the log knows of a stateful operator. */
export interface StateStreamOptions {
  readonly kind: string
  readonly version?: number | undefined
  readonly migrate?: StateFormat['migrate']
  readonly was?: string | undefined
  readonly watchesIdle?: boolean | undefined
  /** What the state is before the first batch. */
  readonly initial?: Iterable<Pair<unknown, unknown>> | undefined
}

/** A stream whose partitions are evaluated once per batch, on the state of their keys. */
abstract class StateStream extends StreamNode implements StatefulStream {
  readonly parents: readonly [StreamNode]
  readonly partitioner: Partitioner
  readonly state: StateOperator
  /** Id under which an earlier program kept this state (E11). */
  readonly was: string | undefined
  #initial: Iterable<Pair<unknown, unknown>> | undefined

  constructor(parent: StreamNode, id: string, partitioner: Partitioner, options: StateStreamOptions) {
    super(parent.graph, id)
    this.parents = [parent]
    this.partitioner = partitioner
    this.was = options.was
    this.#initial = options.initial
    this.state = new StateOperator(id, {
      partitions: partitioner.partitions,
      partitionOf: (key) => partitioner.partitionOf(key),
      watchesIdle: options.watchesIdle,
      format: { kind: options.kind, version: options.version ?? 0, migrate: options.migrate },
    })
    this.graph.addState(this)
  }

  override get knownPartitioner(): Partitioner | undefined {
    return this.keepsKeys ? this.partitioner : undefined
  }

  // What it gave is made from state that has gone on since (E4).
  override get isRecomputable(): boolean {
    return false
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  protected compute(time: BatchTime): RddNode {
    this.#initialize(time)
    const inputs = this.inputs(time)
    const rdd = new PartitionwiseNode(
      // The first only says how many partitions there are.
      [this.#empty(), ...inputs],
      ([, ...pipelines], index) => this.#source(time, pipelines, index),
      this.keepsKeys ? this.partitioner : undefined,
    )
    if (this.outlivesBatch) rdd.level = durable(this.level)
    return rdd
  }

  isEvaluated(time: BatchTime): boolean {
    return this.state.isEvaluated(time)
  }

  /** Makes the batch's changes the state. */
  commit(time: BatchTime): void {
    this.state.commit(time)
  }

  rollback(): void {
    this.state.rollback()
  }

  /** What was there before the first batch is in the state since, unless this is the first. */
  resume(committed: readonly BatchTime[], isNew: boolean): void {
    this.state.resume(committed.at(-1) ?? this.graph.zeroTime)
    if (!isNew) this.#initial = undefined
  }

  /** Initial state counts as written in the first batch. */
  #initialize(time: BatchTime): void {
    for (const [key, value] of this.#initial ?? []) {
      this.state.partitions[this.partitioner.partitionOf(key)]?.initialize(key, value, time)
    }
    this.#initial = undefined
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
  ): Promise<Results>

  #empty(): RddNode {
    return new SourceNode(Array.from({ length: this.partitioner.partitions }, () => ({ kind: 'records', records: [] })))
  }

  #source(time: BatchTime, inputs: readonly Pipeline[], index: number): Source {
    const { state } = this
    const evaluate = (own: StatePartition, env: TaskEnv): Promise<Results> => this.evaluate(own, inputs, time, env)
    return {
      kind: 'driver',
      async *open(env) {
        const results = await state.evaluate(time, index, (own) => evaluate(own, env))
        yield* results()
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

  constructor(
    parent: StreamNode,
    id: string,
    update: UpdateFunction,
    partitioner: Partitioner,
    options: Omit<StateStreamOptions, 'kind'> = {},
  ) {
    super(parent, id, partitioner, { ...options, kind: 'updateStateByKey' })
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
  ): Promise<Results> {
    return updateState(state, pipelineChunks(groups as Pipeline, env), this.#update, this.id, env)
  }
}

export class MapWithStateStream extends StateStream {
  protected readonly keepsKeys = false
  readonly #spec: StateSpec

  constructor(
    parent: StreamNode,
    spec: StateSpec,
    partitioner: Partitioner,
    options: Omit<StateStreamOptions, 'kind'> = {},
  ) {
    super(parent, spec.operator, partitioner, {
      ...options,
      kind: 'mapWithState',
      watchesIdle: spec.timeoutMs !== undefined,
    })
    this.#spec = spec
  }

  protected inputs(time: BatchTime): readonly RddNode[] {
    return [this.placed(time)]
  }

  protected evaluate(
    state: StatePartition,
    [pairs]: readonly Pipeline[],
    time: BatchTime,
    env: TaskEnv,
  ): Promise<Results> {
    return mapWithState(state, pipelineChunks(pairs as Pipeline, env), this.#spec, time, env)
  }
}

/** Once the batch is committed, a result of state cannot be made again (E4): no level may lose it. */
function durable(level: StorageLevel | undefined): StorageLevel {
  return level === 'disk' ? level : 'memory-and-disk'
}

/** All keys with their state after each batch. */
export class SnapshotStream extends StreamNode implements StatefulStream {
  readonly parents: readonly [MapWithStateStream]

  constructor(mapped: MapWithStateStream, id: string) {
    super(mapped.graph, id)
    this.parents = [mapped]
    this.graph.addState(this)
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  // One that a later batch asks for must be made, and stored, in its own.
  isEvaluated(): boolean {
    return !this.outlivesBatch
  }

  commit(): void {
    // The state is the parent's.
  }

  rollback(): void {
    // The state is the parent's.
  }

  resume(): void {
    // The state is the parent's.
  }

  override get knownPartitioner(): Partitioner {
    return this.parents[0].partitioner
  }

  override get isRecomputable(): boolean {
    return false
  }

  protected compute(time: BatchTime): RddNode {
    const [mapped] = this.parents
    const rdd = new PartitionwiseNode(
      [this.required(mapped, time)],
      ([input], index) => this.#source(input as Pipeline, time, index),
      mapped.partitioner,
    )
    if (this.outlivesBatch) rdd.level = durable(this.level)
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
        yield* (state.partitions[index] as StatePartition).pairs()
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
    options: Omit<StateStreamOptions, 'kind'> = {},
  ) {
    requireWindow(reduced, functions.operator, window, slide)
    // Its state is of this window and of no other.
    const kind = `reduceByKeyAndWindow of ${formatDuration(window)} every ${formatDuration(slide)}`
    super(reduced, functions.operator, partitioner, { ...options, kind })
    reduced.isSliced = true
    this.#functions = functions
    this.#windowMs = window
    this.#slide = slide
    reduced.level ??= 'memory-and-disk'
  }

  override get slideDuration(): Duration {
    return this.#slide
  }

  // A slice is read when it leaves: after its window, with the next result.
  protected override parentRememberMs(): number {
    return this.rememberMs + this.#windowMs
  }

  protected inputs(time: BatchTime): readonly RddNode[] {
    const { leaving, entering } = this.#change(time)
    return [...leaving, ...entering]
  }

  protected evaluate(
    state: StatePartition,
    inputs: readonly Pipeline[],
    time: BatchTime,
    env: TaskEnv,
  ): Promise<Results> {
    const slices = inputs.map((input) => pipelineChunks(input, env))
    const { leaving, isNew } = this.#change(time)
    const change: WindowChange = {
      leaving: isNew ? 'all' : slices.slice(0, leaving.length),
      entering: slices.slice(leaving.length),
    }
    return slideWindow(state, change, this.#functions, env)
  }

  override commit(time: BatchTime): void {
    super.commit(time)
    if (this.isValidTime(time)) this.#last = time
  }

  // If its last result is not among those that are known, the window is made anew.
  override resume(committed: readonly BatchTime[], isNew: boolean): void {
    super.resume(committed, isNew)
    if (!isNew) this.#last = committed.findLast((time) => this.isValidTime(time))
  }

  /** Slices of the last window that are not in this one, and those of this window that were not in the last one. */
  #change(time: BatchTime): {
    readonly isNew: boolean
    readonly leaving: readonly RddNode[]
    readonly entering: readonly RddNode[]
  } {
    const [parent] = this.parents
    const last = this.#last ?? this.graph.zeroTime
    const start = time - this.#windowMs
    // Where a result was left out (E12), slices of the last one may be forgotten already: the window is made anew.
    const isNew = time - last > this.#slide
    const leaving = isNew ? [] : slicesOf(parent, last - this.#windowMs, Math.min(last, start))
    return { isNew, leaving, entering: slicesOf(parent, isNew ? start : Math.max(last, start), time) }
  }
}
