/** The DStream as users see it: an RDD for every tick. */
import type { Combiner, Rdd } from '../rdd/rdd.js'
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
import type { OutputOptions, Sink } from '../sink/sink.js'
import type { State } from '../state/map-with-state.js'
import type { BatchTime, Duration } from '../time/duration.js'

export interface WindowOptions extends ShuffleOptions {
  /** How much each result covers. A multiple of the stream's slide. */
  readonly window: Duration
  /** How often there is a result. A multiple of the stream's slide. Default: the stream's slide. */
  readonly slide?: Duration | undefined
}

/** Options of operators with state, for applications with a checkpoint. */
export interface StateOptions<S> {
  /** The id under which an earlier program kept this state, e.g. `updateStateByKey-0`: it is taken over. */
  readonly was?: string | undefined
  /** Version of the shape of the state's values; raise it when the shape changes. Default: 0. */
  readonly version?: number | undefined
  /** Makes a value that was written by another version into one of this. Needed where a checkpoint holds another version. */
  readonly migrate?: ((value: unknown, fromVersion: number) => S) | undefined
}

export interface ReduceWindowOptions<K, V> extends WindowOptions, StateOptions<NoInfer<V>> {
  /**
   * Takes a value out again: `inverse(f(a, b), b)` must equal `a`. With it, a result costs what enters and leaves, not
   * what is inside. The results are the same: a key goes when no batch in the window holds it any more.
   */
  readonly inverse?: ((a: V, b: V) => V) | undefined
  /** Leaves keys out of the results; they stay in the window. */
  readonly keep?: ((key: K, value: V) => boolean) | undefined
}

export interface MapWithStateOptions<K, S> extends ShuffleOptions, StateOptions<NoInfer<S>> {
  /**
   * A key that was not written for longer than this is passed to the function once more, with value undefined and
   * `state.isTimingOut()`, in the first batch after that, and then removed. Default: never.
   */
  readonly timeout?: Duration | undefined
  /** State before the first batch; it counts as written in the first batch. */
  readonly initialState?: Iterable<Pair<K, S>> | undefined
}

export interface TransformOptions<D> extends OpOptions {
  /**
   * Reads what else the function needs, e.g. a list that changes while the application runs. It is called when a batch
   * first starts, and its value (plain data) is recorded with the batch: a batch that is run again sees the same.
   */
  readonly sideData?: (() => D | Promise<D>) | undefined
}

/**
 * Streams are declared before the context starts. Functions must be deterministic and must not change what they are given:
 * a batch may be run again.
 */
export interface DStream<out T> {
  readonly '~sluice': 'dstream/1'
  /** How often this stream has a batch. */
  readonly slideDuration: Duration

  // Record by record
  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): DStream<U>
  filter<U extends T>(f: (record: T) => record is U, options?: OpOptions): DStream<U>
  filter(f: (record: T) => boolean, options?: OpOptions): DStream<T>
  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): DStream<U>
  mapValues<K, V, U extends Rec>(
    this: DStream<Pair<K, V>>,
    f: (value: V) => U,
    options?: OpOptions,
  ): DStream<Pair<K, U>>
  flatMapValues<K, V, U extends Rec>(
    this: DStream<Pair<K, V>>,
    f: (value: V) => Iterable<U>,
    options?: OpOptions,
  ): DStream<Pair<K, U>>
  /** Results in input order; at most `concurrency` calls (default 16) are under way in a partition. */
  mapAsync<U extends Rec>(
    f: (record: T) => Promise<U>,
    options?: OpOptions & { readonly concurrency?: number | undefined },
  ): DStream<U>

  // Partition by partition
  /** Each partition as one record. */
  glom(options?: OpOptions): DStream<T[]>
  mapPartitions<U extends Rec>(
    f: (records: readonly T[], info: PartitionInfo) => Iterable<U> | AsyncIterable<U>,
    options?: OpOptions & { readonly preservesPartitioning?: boolean | undefined },
  ): DStream<U>
  /** Records dealt out evenly over `partitions`. */
  repartition(partitions: number, options?: OpOptions): DStream<T>
  /** The records of both, this stream's first. Both need the same slide. */
  union<U>(other: DStream<U>, options?: OpOptions): DStream<T | U>

  // Whole batches
  /** The number of records: one record per batch, 0 for none. */
  count(options?: OpOptions): DStream<number>
  countByValue(options?: ShuffleOptions): DStream<Pair<T, number>>
  /** One record per batch; none for a batch without records. */
  reduce(f: (a: T, b: T) => T, options?: OpOptions): DStream<T>
  /** Any function from the batch's RDD to another. It is called in the driver, once in each run of a batch, when the batch starts. */
  transform<U, D = undefined>(
    f: (rdd: Rdd<T>, time: BatchTime, sideData: D) => Rdd<U> | Promise<Rdd<U>>,
    options?: TransformOptions<D>,
  ): DStream<U>
  transformWith<U, R, D = undefined>(
    other: DStream<U>,
    f: (rdd: Rdd<T>, otherRdd: Rdd<U>, time: BatchTime, sideData: D) => Rdd<R> | Promise<Rdd<R>>,
    options?: TransformOptions<D>,
  ): DStream<R>

  // By key, within a batch
  groupByKey<K, V>(this: DStream<Pair<K, V>>, options?: ShuffleOptions): DStream<Pair<K, V[]>>
  reduceByKey<K, V>(this: DStream<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): DStream<Pair<K, V>>
  combineByKey<C>(
    this: DStream<Pair<unknown, unknown>>,
    f: Combiner<ValueOf<T>, C>,
    options?: ShuffleOptions & { readonly mapSideCombine?: boolean | undefined },
  ): DStream<Pair<KeyOf<T>, C>>
  partitionBy<K, V>(this: DStream<Pair<K, V>>, partitioner: Partitioner, options?: OpOptions): DStream<Pair<K, V>>
  join<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V, W]>>
  leftOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V, W | undefined]>>
  rightOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V | undefined, W]>>
  fullOuterJoin<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V | undefined, W | undefined]>>
  cogroup<K, V, W>(
    this: DStream<Pair<K, V>>,
    other: DStream<Pair<K, W>>,
    options?: ShuffleOptions,
  ): DStream<Pair<K, readonly [V[], W[]]>>

  // Over windows
  /** The records of the last batches. There is a result at every slide, at first of what there is so far. */
  window(window: Duration, slide?: Duration, options?: OpOptions): DStream<T>
  countByWindow(options: WindowOptions): DStream<number>
  countByValueAndWindow(options: WindowOptions): DStream<Pair<T, number>>
  reduceByWindow<V>(this: DStream<V>, f: (a: V, b: V) => V, options: ReduceWindowOptions<null, V>): DStream<V>
  groupByKeyAndWindow<K, V>(this: DStream<Pair<K, V>>, options: WindowOptions): DStream<Pair<K, V[]>>
  reduceByKeyAndWindow<K, V>(
    this: DStream<Pair<K, V>>,
    f: (a: V, b: V) => V,
    options: ReduceWindowOptions<K, V>,
  ): DStream<Pair<K, V>>

  // With state
  /** Calls `f` for every key that has state or values, in every batch; undefined removes the key. The state must not be changed in place. */
  updateStateByKey<S>(
    this: DStream<Pair<unknown, unknown>>,
    f: (values: readonly ValueOf<T>[], state: Readonly<S> | undefined) => S | undefined,
    options?: ShuffleOptions & StateOptions<NoInfer<S>>,
  ): DStream<Pair<KeyOf<T>, S>>
  /** Calls `f` for every record, and for keys that time out. What it returns makes the stream, except undefined. */
  mapWithState<S, E extends Rec>(
    this: DStream<Pair<unknown, unknown>>,
    f: (key: KeyOf<T>, value: ValueOf<T> | undefined, state: State<S>) => E,
    options?: MapWithStateOptions<KeyOf<T>, S>,
  ): MapWithStateDStream<KeyOf<T>, S, Exclude<E, undefined>>

  // Kept for later use
  /** `persist('memory')`. */
  cache(): this
  /** Keeps each batch's RDD once computed, as long as it is remembered. Default level: `memory-and-disk`. */
  persist(level?: StorageLevel): this
  /** Keeps RDDs for at least this long, for `slice` and for windows of others. */
  remember(duration: Duration): this
  /** Makes the records of each batch durable before any output starts (E10). Needs a checkpoint. */
  checkpoint(): this
  /** The RDDs of the batches from `from` to `to`, both included. To be called while a batch runs. */
  slice(from: BatchTime, to: BatchTime): Rdd<T>[]

  // Outputs
  foreachRDD(f: (rdd: Rdd<T>, time: BatchTime) => void | Promise<void>, options?: OpOptions): void
  /** Writes the first `limit` (default 10) records of each batch to stdout. */
  print(options?: OpOptions & { readonly limit?: number | undefined }): void
  /** A folder `prefix-TIME.suffix` of text files per batch. Batches without records are left out unless `skipEmpty` is false. */
  saveAsTextFiles(
    prefix: string,
    suffix?: string,
    options?: OpOptions & { readonly skipEmpty?: boolean | undefined },
  ): void
  /** Like `saveAsTextFiles`, in a binary form that keeps types; `SluiceContext.objectFile` reads it. */
  saveAsObjectFiles(
    prefix: string,
    suffix?: string,
    options?: OpOptions & { readonly skipEmpty?: boolean | undefined },
  ): void
  to(sink: Sink<T>, options?: OutputOptions<T>): void
}

/**
 * The stream of what the function returned, and the state behind it. An intersection, as an interface of its own would be
 * compared method by method and be no `DStream<unknown>`.
 */
export type MapWithStateDStream<K, S, E> = DStream<E> & {
  /** All keys with their state, after each batch. */
  stateSnapshots(options?: OpOptions): DStream<Pair<K, S>>
}
