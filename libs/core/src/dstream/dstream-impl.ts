/**
 * The methods of a stream. Most apply the RDD's operator of the same name to each batch: what it does, and what it checks, is
 * written there once.
 */
import { requireArgument } from '../errors.js'
import { SourceNode, type RddNode } from '../rdd/lineage.js'
import type { AnyFunction } from '../rdd/functions.js'
import type { Combiner, Rdd } from '../rdd/rdd.js'
import { RddImpl, self as selfRdd } from '../rdd/rdd-impl.js'
import { unionOf } from '../rdd/union.js'
import type {
  KeyOf,
  OpOptions,
  Pair,
  Partitioner,
  PartitionInfo,
  Rec,
  ShuffleOptions,
  StorageLevel,
  ValueOf,
} from '../rdd/types.js'
import type { State, StateFunction } from '../state/map-with-state.js'
import type { UpdateFunction } from '../state/update-state.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { counted, reduced } from './count.js'
import { declarationScope } from './declaration-scope.js'
import type {
  DStream,
  MapWithStateOptions,
  ReduceWindowOptions,
  StateOptions,
  TransformOptions,
  UpdateStateOptions,
  WindowOptions,
} from './dstream.js'
import { DStreamOutputs, type StreamEnvironment } from './dstream-outputs.js'
import { MapWithStateStream, ReducedWindowStream, SnapshotStream, UpdateStateStream } from './state-stream.js'
import { DerivedStream, type StreamNode } from './stream-node.js'
import { TransformStream, type TransformFunction } from './transform-stream.js'
import { slicesOf, WindowStream } from './window-stream.js'

type AnyPair = Pair<unknown, unknown>

export class DStreamImpl<out T> extends DStreamOutputs<T> implements DStream<T> {
  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): DStream<U> {
    return this.#each('map', options, (rdd) => rdd.map(f))
  }

  filter(f: (record: T) => boolean, options?: OpOptions): DStream<never> {
    return this.#each('filter', options, (rdd) => rdd.filter(f) as Rdd<never>)
  }

  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): DStream<U> {
    return this.#each('flatMap', options, (rdd) => rdd.flatMap(f))
  }

  mapValues<K, V, U extends Rec>(
    this: DStream<Pair<K, V>>,
    f: (value: V) => U,
    options?: OpOptions,
  ): DStream<Pair<K, U>> {
    return self(this).#each('mapValues', options, (rdd) => rdd.mapValues(f))
  }

  flatMapValues<K, V, U extends Rec>(
    this: DStream<Pair<K, V>>,
    f: (value: V) => Iterable<U>,
    options?: OpOptions,
  ): DStream<Pair<K, U>> {
    return self(this).#each('flatMapValues', options, (rdd) => rdd.flatMapValues(f))
  }

  mapAsync<U extends Rec>(
    f: (record: T) => Promise<U>,
    options?: OpOptions & { readonly concurrency?: number | undefined },
  ): DStream<U> {
    const concurrency = options?.concurrency
    const mapped = this.#each('mapAsync', options, (rdd) => rdd.mapAsync(f, { concurrency }))
    self(mapped).node.isNondeterministic = true
    return mapped
  }

  glom(options?: OpOptions): DStream<T[]> {
    return this.#each('glom', options, (rdd) => rdd.glom())
  }

  mapPartitions<U extends Rec>(
    f: (records: readonly T[], info: PartitionInfo) => Iterable<U> | AsyncIterable<U>,
    options?: OpOptions & { readonly preservesPartitioning?: boolean | undefined },
  ): DStream<U> {
    const preservesPartitioning = options?.preservesPartitioning
    return this.#each('mapPartitions', options, (rdd) => rdd.mapPartitions(f, { preservesPartitioning }))
  }

  repartition(partitions: number, options?: OpOptions): DStream<T> {
    return this.#each('repartition', options, (rdd) => rdd.repartition(partitions))
  }

  union<U>(other: DStream<U>, options?: OpOptions): DStream<T | U> {
    return unionStreams<T | U>([this.node, self(other).node], this.environment, options)
  }

  count(options?: OpOptions): DStream<number> {
    return this.#lineage('count', options, (rdd, id) => counted(rdd, id))
  }

  countByValue(options?: ShuffleOptions): DStream<Pair<T, number>> {
    return this.#each('countByValue', options, (rdd) => {
      return rdd.map((record) => [record, 1] as Pair<T, number>).reduceByKey(add, unnamed(options))
    })
  }

  reduce(f: (a: T, b: T) => T, options?: OpOptions): DStream<T> {
    requireFunction('reduce', f)
    return this.#lineage('reduce', options, (rdd, id) => reduced(rdd, id, f))
  }

  transform<U, D = undefined>(
    f: (rdd: Rdd<T>, time: BatchTime, sideData: D) => Rdd<U> | Promise<Rdd<U>>,
    options?: TransformOptions<D>,
  ): DStream<U> {
    requireFunction('transform', f)
    const apply: TransformFunction = ([rdd], time, side) => f(rdd as Rdd<T>, time, side as D)
    return transformStreams<U>([this.node], this.environment, apply, 'transform', options)
  }

  transformWith<U, R, D = undefined>(
    other: DStream<U>,
    f: (rdd: Rdd<T>, otherRdd: Rdd<U>, time: BatchTime, sideData: D) => Rdd<R> | Promise<Rdd<R>>,
    options?: TransformOptions<D>,
  ): DStream<R> {
    requireFunction('transformWith', f)
    const nodes = [this.node, self(other).node]
    const apply: TransformFunction = ([left, right], time, side) => {
      return f(left as Rdd<T>, right as Rdd<U>, time, side as D)
    }
    return transformStreams<R>(nodes, this.environment, apply, 'transformWith', options)
  }

  groupByKey<K, V>(this: DStream<Pair<K, V>>, options?: ShuffleOptions): DStream<Pair<K, V[]>> {
    return self(this).#each('groupByKey', options, (rdd) => rdd.groupByKey(unnamed(options)))
  }

  reduceByKey<K, V>(this: DStream<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): DStream<Pair<K, V>> {
    return self(this).#each('reduceByKey', options, (rdd) => rdd.reduceByKey(f, unnamed(options)))
  }

  combineByKey<C>(
    this: DStream<AnyPair>,
    f: Combiner<ValueOf<T>, C>,
    options?: ShuffleOptions & { readonly mapSideCombine?: boolean | undefined },
  ): DStream<Pair<KeyOf<T>, C>> {
    const combiner = f as Combiner<unknown, C>
    return self(this).#each('combineByKey', options, (rdd) => {
      return rdd.combineByKey<C>(combiner, unnamed(options)) as Rdd<Pair<KeyOf<T>, C>>
    })
  }

  partitionBy<K, V>(this: DStream<Pair<K, V>>, partitioner: Partitioner, options?: OpOptions): DStream<Pair<K, V>> {
    return self(this).#each('partitionBy', options, (rdd) => rdd.partitionBy(partitioner))
  }

  join<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V, W]>> {
    return self(this).#both('join', other, options, (left, right) => left.join(right, unnamed(options)))
  }

  leftOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V, W | undefined]>> {
    return self(this).#both('leftOuterJoin', other, options, (left, right) => {
      return left.leftOuterJoin(right, unnamed(options))
    })
  }

  rightOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V | undefined, W]>> {
    return self(this).#both('rightOuterJoin', other, options, (left, right) => {
      return left.rightOuterJoin(right, unnamed(options))
    })
  }

  fullOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V | undefined, W | undefined]>> {
    return self(this).#both('fullOuterJoin', other, options, (left, right) => {
      return left.fullOuterJoin(right, unnamed(options))
    })
  }

  cogroup<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V[], W[]]>> {
    return self(this).#both('cogroup', other, options, (left, right) => left.cogroup(right, unnamed(options)))
  }

  window(window: Duration, slide: Duration = this.slideDuration, options?: OpOptions): DStream<T> {
    const id = this.node.graph.opId('window', options)
    return this.#of(new WindowStream(this.node, id, window, slide))
  }

  countByWindow(options: WindowOptions): DStream<number> {
    // The counts of empty batches are records too: so there is a result from the first slide on.
    return this.count().reduceByWindow(add, options)
  }

  countByValueAndWindow(options: WindowOptions): DStream<Pair<T, number>> {
    const ones = this.map((record): Pair<T, number> => [record, 1])
    return ones.reduceByKeyAndWindow(add, { ...options, inverse: subtract })
  }

  reduceByWindow<V>(this: DStream<V>, f: (a: V, b: V) => V, options: ReduceWindowOptions<null, V>): DStream<V> {
    requireFunction('reduceByWindow', f)
    const { window, slide, inverse, keep } = options
    if (inverse === undefined) {
      const reduced = this.reduce(f).window(window, slide).reduce(f, nameOf(options))
      return keep === undefined ? reduced : reduced.filter((value) => keep(null, value))
    }
    const keyed = this.map((record): Pair<null, V> => [null, record])
    const values = self(keyed.reduceByKeyAndWindow(f, { ...options, partitions: 1, partitioner: undefined }))
    return values.#each('values', undefined, (rdd) => rdd.values())
  }

  groupByKeyAndWindow<K, V>(this: DStream<Pair<K, V>>, options: WindowOptions): DStream<Pair<K, V[]>> {
    const slices = self(this.groupByKey(unnamed(options)))
    const windowed = slices.window(options.window, options.slide) as DStream<Pair<K, V[]>>
    return windowed.combineByKey<V[]>(
      {
        create: (list) => [...list],
        add: appendAll,
        merge: appendAll,
      },
      { ...unnamed(options), ...nameOf(options) },
    ) as DStream<Pair<K, V[]>>
  }

  reduceByKeyAndWindow<K, V>(
    this: DStream<Pair<K, V>>,
    f: (a: V, b: V) => V,
    options: ReduceWindowOptions<K, V>,
  ): DStream<Pair<K, V>> {
    const me = self(this)
    requireFunction('reduceByKeyAndWindow', f)
    if (options.keep !== undefined) requireFunction('reduceByKeyAndWindow', options.keep)
    const partitioner = me.partitioner(options)
    const slices = self(this.reduceByKey(f, { partitioner }))
    const { window, slide = me.slideDuration, inverse, keep } = options
    if (inverse === undefined) {
      const windowed = slices.window(window, slide) as DStream<Pair<K, V>>
      const all = windowed.reduceByKey(f, { partitioner, ...nameOf(options) })
      return keep === undefined ? all : all.filter(([key, value]) => keep(key, value))
    }
    const operator = me.node.graph.opId('reduceByKeyAndWindow', options)
    requireFunction(operator, inverse)
    const functions = { operator, reduce: f, inverse, keep } as ConstructorParameters<typeof ReducedWindowStream>[1]
    return me.#of(
      new ReducedWindowStream(slices.node, functions, window, slide, partitioner, stateOptions(operator, options)),
    )
  }

  updateStateByKey<S>(
    this: DStream<AnyPair>,
    f: (values: readonly ValueOf<T>[], state: Readonly<S> | undefined) => S | undefined,
    options?: UpdateStateOptions<KeyOf<T>, NoInfer<S>>,
  ): DStream<Pair<KeyOf<T>, S>> {
    const me = self(this)
    requireFunction('updateStateByKey', f)
    const id = me.node.graph.opId('updateStateByKey', options)
    return me.#of(
      new UpdateStateStream(me.node, id, f as UpdateFunction, me.partitioner(options), {
        ...stateOptions(id, options),
        initial: options?.initialState,
      }),
    )
  }

  mapWithState<S, E extends Rec>(
    this: DStream<AnyPair>,
    f: (key: KeyOf<T>, value: ValueOf<T> | undefined, state: State<S>) => E,
    options?: MapWithStateOptions<KeyOf<T>, S>,
  ): MapWithStateImpl<KeyOf<T>, S, Exclude<E, undefined>> {
    const me = self(this)
    requireFunction('mapWithState', f)
    const operator = me.node.graph.opId('mapWithState', options)
    const timeout = options?.timeout ?? 0
    requireArgument(
      timeout >= 0,
      operator,
      `timeout must be a duration of at least 0, not ${String(timeout)}; use seconds()`,
    )
    const spec = { f: f as StateFunction, operator, timeoutMs: options?.timeout }
    const kept = { ...stateOptions(operator, options), initial: options?.initialState }
    const node = new MapWithStateStream(me.node, spec, me.partitioner(options), kept)
    return new MapWithStateImpl(node, me.environment)
  }

  cache(): this {
    return this.persist('memory')
  }

  persist(level: StorageLevel = 'memory-and-disk'): this {
    this.node.graph.requireOpen('persist')
    this.node.persist(level)
    return this
  }

  remember(duration: Duration): this {
    this.node.graph.requireOpen('remember')
    this.node.isRemembered = true
    this.node.remember(duration)
    return this
  }

  checkpoint(): this {
    this.node.graph.requireOpen('checkpoint')
    this.node.isCheckpointed = true
    this.node.level ??= 'memory-and-disk'
    return this
  }

  slice(from: BatchTime, to: BatchTime): Rdd<T>[] {
    const scope = this.node.graph.runningScope()
    const { lastBatch } = this.node.graph
    // The slide before, so that the batch that `from` lies in is there too. Later ones than that which runs are not made yet.
    const rdds = slicesOf(this.node, from - this.slideDuration, Math.min(to, lastBatch))
    return rdds.map((rdd) => new RddImpl<T>(rdd, scope))
  }

  /** The partitioner of a shuffle of this stream. */
  protected partitioner(options: ShuffleOptions | undefined): Partitioner {
    return declarationScope('partitioner', this.node.graph.owner.parallelism).partitioner(options)
  }

  /** Applies an RDD operator to every batch. It is tried on an empty RDD at once, so that what it refuses is refused here. */
  #each<U>(kind: string, options: OpOptions | undefined, apply: (rdd: Rdd<T>) => Rdd<U>): DStream<U> {
    const { graph } = this.node
    const scope = declarationScope(kind, graph.owner.parallelism)
    apply(new RddImpl<T>(new SourceNode([]), scope))
    const id = graph.opId(kind, options)
    const fixed = declarationScope(id, graph.owner.parallelism)
    return this.#derive(id, (rdd) => selfRdd(apply(new RddImpl<T>(rdd, fixed))).node)
  }

  #both<U, R>(
    kind: string,
    other: DStream<U>,
    options: OpOptions | undefined,
    apply: (left: Rdd<T>, right: Rdd<U>) => Rdd<R>,
  ): DStream<R> {
    const { graph } = this.node
    const id = graph.opId(kind, options)
    requireTogether(id, [this.node, self(other).node])
    const scope = declarationScope(id, graph.owner.parallelism)
    return this.#of(
      new DerivedStream([this.node, self(other).node], id, 'fail', ([left, right]) => {
        return selfRdd(apply(new RddImpl<T>(left as RddNode, scope), new RddImpl<U>(right as RddNode, scope))).node
      }),
    )
  }

  #lineage<U>(kind: string, options: OpOptions | undefined, derive: (rdd: RddNode, id: string) => RddNode): DStream<U> {
    const id = this.node.graph.opId(kind, options)
    return this.#derive(id, (rdd) => derive(rdd, id))
  }

  #derive<U>(id: string, derive: (rdd: RddNode) => RddNode): DStream<U> {
    return this.#of(new DerivedStream([this.node], id, 'skip', ([rdd]) => derive(rdd as RddNode)))
  }

  #of<U>(node: StreamNode): DStream<U> {
    return new DStreamImpl<U>(node, this.environment)
  }
}

export class MapWithStateImpl<K, S, out E> extends DStreamImpl<E> {
  stateSnapshots(options?: OpOptions): DStream<Pair<K, S>> {
    const id = this.node.graph.opId('stateSnapshots', options)
    return new DStreamImpl<Pair<K, S>>(new SnapshotStream(this.node as MapWithStateStream, id), this.environment)
  }
}

/** The implementation behind the interface. There is one only. */
export function self<T>(stream: DStream<T>): DStreamImpl<T> {
  return stream as DStreamImpl<T>
}

/** The records of all streams, one after another. */
export function unionStreams<T>(
  nodes: readonly StreamNode[],
  environment: StreamEnvironment,
  options?: OpOptions,
): DStream<T> {
  const parents = requireSome(nodes, 'union')
  const id = parents[0].graph.opId('union', options)
  requireTogether(id, nodes)
  return new DStreamImpl<T>(new DerivedStream(parents, id, 'fail', unionOf), environment)
}

/** A stream made by a user's function from the RDDs of several. */
export function transformStreams<U>(
  nodes: readonly StreamNode[],
  environment: StreamEnvironment,
  f: TransformFunction,
  kind: string,
  options: (OpOptions & { readonly sideData?: (() => unknown) | undefined }) | undefined,
): DStream<U> {
  const parents = requireSome(nodes, kind)
  const id = parents[0].graph.opId(kind, options)
  requireTogether(id, nodes)
  return new DStreamImpl<U>(new TransformStream(parents, id, f, options?.sideData), environment)
}

function requireSome(nodes: readonly StreamNode[], kind: string): readonly [StreamNode, ...StreamNode[]] {
  requireArgument(nodes.length > 0, kind, 'at least one stream is needed')
  return nodes as readonly [StreamNode, ...StreamNode[]]
}

/** Streams that come together must be of one context, and have batches at the same times. */
function requireTogether(id: string, nodes: readonly StreamNode[]): void {
  const [node] = requireSome(nodes, id)
  for (const other of nodes) {
    requireArgument(other.graph === node.graph, id, 'the streams belong to different contexts; make them from one')
    requireArgument(
      other.slideDuration === node.slideDuration,
      id,
      `the streams have different slides, ${String(node.slideDuration)} ms and ${String(other.slideDuration)} ms; ` +
        'window one of them to the slide of the other',
    )
  }
}

function requireFunction(component: string, f: AnyFunction): void {
  requireArgument(typeof f === 'function', component, 'the argument must be a function')
}

/** Of the options, those that the log needs of an operator with state. */
function stateOptions<S>(id: string, { was, version = 0, migrate }: StateOptions<S> = {}): StateOptions<S> {
  requireArgument(
    Number.isSafeInteger(version) && version >= 0,
    id,
    `version must be a whole number of at least 0, not ${String(version)}`,
  )
  return { was, version, migrate }
}

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b

function appendAll<V>(list: V[], values: readonly V[]): V[] {
  for (const value of values) list.push(value)
  return list
}

/** Options for the RDD operator behind a stream's: the name is the stream operator's. */
function unnamed<O extends OpOptions>(options: O | undefined): Omit<O, 'name'> | undefined {
  if (options === undefined) return undefined
  const { name: _name, ...rest } = options
  return rest
}

function nameOf(options: OpOptions): OpOptions {
  return options.name === undefined ? {} : { name: options.name }
}
