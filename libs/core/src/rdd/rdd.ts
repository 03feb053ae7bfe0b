/** The RDD as users see it: a lazy, partitioned, deterministic collection. Lineage, not data. */
import type { Sink } from '../sink/sink.js'
import type { Compare } from './order.js'
import type { Stats } from './stats.js'
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
} from './types.js'

export interface SortOptions extends ShuffleOptions {
  /** Largest first. Default: false. */
  readonly descending?: boolean | undefined
  /** Order of sort keys. Default: natural order (numbers, strings by code unit, dates, tuples). */
  readonly compare?: Compare<never> | undefined
}

export interface SampleOptions extends OpOptions {
  /** Whether a record may be taken more than once. Default: false. */
  readonly withReplacement?: boolean | undefined
  /** Same seed, same sample. Default: made of the operator's id, so that two samples of one RDD differ. */
  readonly seed?: number | undefined
}

export interface MapPartitionsOptions extends OpOptions {
  /** Set when `f` leaves every key in its partition. Default: false. */
  readonly preservesPartitioning?: boolean | undefined
}

/**
 * Transformations are lazy and give a new RDD; actions run tasks and give a promise. Functions must be deterministic and
 * must not change what they are given.
 */
export interface Rdd<out T> {
  readonly '~sluice': 'rdd/1'
  readonly partitions: number
  /** How pairs are spread, where it is known. */
  readonly partitioner: Partitioner | undefined
  /**
   * What the input planned for this batch (`InputPlan.data`), where this is a direct stream's own RDD or made of it record by record
   * (`map`, `filter`, `flatMap`, …), so that partition n is partition n of the plan. Undefined elsewhere. Connectors give it a
   * type, e.g. `offsetRanges(rdd)` of `@sluice/source-kafka`.
   */
  readonly inputPlan: unknown

  // Record by record
  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): Rdd<U>
  filter<U extends T>(f: (record: T) => record is U, options?: OpOptions): Rdd<U>
  filter(f: (record: T) => boolean, options?: OpOptions): Rdd<T>
  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): Rdd<U>
  keyBy<K extends Rec>(f: (record: T) => K, options?: OpOptions): Rdd<Pair<K, T>>
  mapValues<K, V, U extends Rec>(this: Rdd<Pair<K, V>>, f: (value: V) => U, options?: OpOptions): Rdd<Pair<K, U>>
  flatMapValues<K, V, U extends Rec>(
    this: Rdd<Pair<K, V>>,
    f: (value: V) => Iterable<U>,
    options?: OpOptions,
  ): Rdd<Pair<K, U>>
  keys<K>(this: Rdd<Pair<K, unknown>>, options?: OpOptions): Rdd<K>
  values<V>(this: Rdd<Pair<unknown, V>>, options?: OpOptions): Rdd<V>
  /** Results in input order; at most `concurrency` calls (default 16) are under way in a partition. */
  mapAsync<U extends Rec>(
    f: (record: T) => Promise<U>,
    options?: OpOptions & { readonly concurrency?: number | undefined },
  ): Rdd<U>
  /** Keeps each record with probability `fraction`; with replacement, `fraction` is the expected number of copies. */
  sample(fraction: number, options?: SampleOptions): Rdd<T>
  /** Splits at random into parts of these relative sizes; every record is in exactly one. */
  randomSplit(weights: readonly number[], options?: { readonly seed?: number | undefined }): Rdd<T>[]
  /** Each record with its index over all partitions. Counts the partitions first when there are several. */
  zipWithIndex(options?: OpOptions): Rdd<Pair<T, number>>

  // Partition by partition
  /** Each partition as one record. */
  glom(options?: OpOptions): Rdd<T[]>
  mapPartitions<U extends Rec>(
    f: (records: readonly T[], info: PartitionInfo) => Iterable<U> | AsyncIterable<U>,
    options?: MapPartitionsOptions,
  ): Rdd<U>
  mapPartitionsWithIndex<U extends Rec>(
    f: (index: number, records: readonly T[]) => Iterable<U> | AsyncIterable<U>,
    options?: MapPartitionsOptions,
  ): Rdd<U>
  /** Fewer partitions without moving records between them. */
  coalesce(partitions: number): Rdd<T>
  /** Records dealt out evenly over `partitions`, through a shuffle. */
  repartition(partitions: number, options?: OpOptions): Rdd<T>
  union<U>(...others: readonly Rdd<U>[]): Rdd<T | U>
  /** Records side by side; both need the same number of partitions and of records in each. */
  zip<U>(other: Rdd<U>, options?: OpOptions): Rdd<Pair<T, U>>
  zipPartitions<U, R extends Rec>(
    other: Rdd<U>,
    f: (left: readonly T[], right: readonly U[]) => Iterable<R>,
    options?: OpOptions,
  ): Rdd<R>
  cartesian<U>(other: Rdd<U>): Rdd<Pair<T, U>>

  // As sets, by content
  distinct(options?: ShuffleOptions): Rdd<T>
  intersection(other: Rdd<T>, options?: ShuffleOptions): Rdd<T>
  subtract(other: Rdd<T>, options?: ShuffleOptions): Rdd<T>

  // In order
  sortBy(f: (record: T) => unknown, options?: SortOptions): Rdd<T>
  sortByKey<K, V>(this: Rdd<Pair<K, V>>, options?: SortOptions): Rdd<Pair<K, V>>

  // By key
  partitionBy<K, V>(this: Rdd<Pair<K, V>>, partitioner: Partitioner, options?: OpOptions): Rdd<Pair<K, V>>
  /**
   * `f` must return a new value: what it is given may be records that others hold, too (a cache, a source). To change a
   * combiner in place use `foldByKey`, `aggregateByKey` or `combineByKey`, whose first argument is their own.
   */
  reduceByKey<K, V>(this: Rdd<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): Rdd<Pair<K, V>>
  foldByKey<K, V>(this: Rdd<Pair<K, V>>, zero: V, f: (a: V, b: V) => V, options?: ShuffleOptions): Rdd<Pair<K, V>>
  aggregateByKey<A>(
    this: Rdd<Pair<unknown, unknown>>,
    zero: A,
    add: (acc: A, value: ValueOf<T>) => A,
    merge: (a: A, b: A) => A,
    options?: ShuffleOptions,
  ): Rdd<Pair<KeyOf<T>, A>>
  combineByKey<C>(
    this: Rdd<Pair<unknown, unknown>>,
    f: Combiner<ValueOf<T>, C>,
    options?: ShuffleOptions & { readonly mapSideCombine?: boolean | undefined },
  ): Rdd<Pair<KeyOf<T>, C>>
  groupByKey<K, V>(this: Rdd<Pair<K, V>>, options?: ShuffleOptions): Rdd<Pair<K, V[]>>
  groupBy<K extends Rec>(f: (record: T) => K, options?: ShuffleOptions): Rdd<Pair<K, T[]>>
  join<K, V, W>(this: Rdd<Pair<K, V>>, other: Rdd<Pair<K, W>>, options?: ShuffleOptions): Rdd<Pair<K, readonly [V, W]>>
  leftOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V, W | undefined]>>
  rightOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V | undefined, W]>>
  fullOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V | undefined, W | undefined]>>
  cogroup<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V[], W[]]>>
  subtractByKey<K, V>(this: Rdd<Pair<K, V>>, other: Rdd<Pair<K, unknown>>, options?: ShuffleOptions): Rdd<Pair<K, V>>

  // Kept for later use
  /** `persist('memory')`. */
  cache(): this
  /** Keeps partitions once computed. Default level: `memory-and-disk`. A level once set can only be undone by `unpersist`. */
  persist(level?: StorageLevel): this
  unpersist(): this

  // Actions
  collect(): Promise<T[]>
  collectAsMap<K, V>(this: Rdd<Pair<K, V>>): Promise<Map<K, V>>
  count(): Promise<number>
  countByKey<K>(this: Rdd<Pair<K, unknown>>): Promise<Map<K, number>>
  countByValue(): Promise<Map<T, number>>
  /** Rejects with `EMPTY_COLLECTION` when there is none. */
  first(): Promise<T>
  take(n: number): Promise<T[]>
  /** `n` records at random, without replacement unless asked. */
  takeSample(n: number, options?: SampleOptions): Promise<T[]>
  /** The n largest, largest first. */
  top(n: number, compare?: Compare<T>): Promise<T[]>
  /** The n smallest, smallest first. */
  takeOrdered(n: number, compare?: Compare<T>): Promise<T[]>
  /** Rejects with `EMPTY_COLLECTION` when there is no record. */
  reduce(f: (a: T, b: T) => T): Promise<T>
  fold(zero: T, f: (a: T, b: T) => T): Promise<T>
  aggregate<A>(zero: A, add: (acc: A, record: T) => A, merge: (a: A, b: A) => A): Promise<A>
  sum(this: Rdd<number>): Promise<number>
  min(compare?: Compare<T>): Promise<T>
  max(compare?: Compare<T>): Promise<T>
  stats(this: Rdd<number>): Promise<Stats>
  isEmpty(): Promise<boolean>
  lookup<K, V>(this: Rdd<Pair<K, V>>, key: K): Promise<V[]>
  foreach(f: (record: T) => void): Promise<void>
  /** Calls `f` once for each partition with its records; what it returns is awaited. */
  foreachPartition(f: (records: readonly T[], info: PartitionInfo) => void | Promise<void>): Promise<void>
  /** One part file per partition and `_SUCCESS`; the folder must not exist. A part appears whole or not at all. */
  saveAsTextFile(path: string): Promise<void>
  /** Writes every partition to the sink. In `foreachRDD` with the guarantee of an output, elsewhere at least once. */
  writeTo(sink: Sink<T>, options?: { readonly name?: string | undefined }): Promise<void>
  /** Partition by partition. */
  [Symbol.asyncIterator](): AsyncIterator<T>
}

/**
 * The three functions of combineByKey. `add` and `merge` may change and return their first argument, which is no record.
 * Combiners are copied and may be written to disk: they are plain data, Maps, Sets, dates or bytes.
 */
export interface Combiner<V, C> {
  create(value: V): C
  add(combiner: C, value: V): C
  merge(a: C, b: C): C
}
