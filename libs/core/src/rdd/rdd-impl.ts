/** The RDD's methods: each checks its arguments and builds lineage, or hands an action to `actions.ts`. */
import { requireArgument } from '../errors.js'
import {
  firstOfPair,
  foldAggregator,
  grouping,
  inBoth,
  inLeftOnly,
  keepFirst,
  leftWithoutRight,
} from './engine-functions.js'
import type { AnyFunction } from './functions.js'
import * as node from './lineage.js'
import type { OpFunction, OpKind } from './op.js'
import type { Compare } from './order.js'
import type { Aggregator } from './out.js'
import { hashPartitioner, indexPartitioner, requirePartitions } from './partitioner.js'
import type { JoinKind } from './pipeline.js'
import type { Combiner, MapPartitionsOptions, Rdd, SampleOptions, SortOptions } from './rdd.js'
import { RddActions } from './rdd-actions.js'
import { unionOf } from './union.js'
import type { KeyOf, OpOptions, Pair, Partitioner, PartitionInfo, Rec, ShuffleOptions, ValueOf } from './types.js'

type Any = Rdd<unknown>
type AnyPair = Pair<unknown, unknown>

export class RddImpl<out T> extends RddActions<T> implements Rdd<T> {
  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): Rdd<U> {
    return this.#narrow('map', f, options)
  }

  filter(f: (record: T) => boolean, options?: OpOptions): Rdd<never> {
    return this.#narrow('filter', f, options, true)
  }

  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): Rdd<U> {
    return this.#narrow('flatMap', f, options)
  }

  keyBy<K extends Rec>(f: (record: T) => K, options?: OpOptions): Rdd<Pair<K, T>> {
    return this.#narrow('keyBy', f, options)
  }

  mapValues<K, V, U extends Rec>(this: Rdd<Pair<K, V>>, f: (value: V) => U, options?: OpOptions): Rdd<Pair<K, U>> {
    return self(this).#narrow('mapValues', f, options, true)
  }

  flatMapValues<K, V, U extends Rec>(
    this: Rdd<Pair<K, V>>,
    f: (value: V) => Iterable<U>,
    options?: OpOptions,
  ): Rdd<Pair<K, U>> {
    return self(this).#narrow('flatMapValues', f, options, true)
  }

  keys<K>(this: Rdd<Pair<K, unknown>>, options?: OpOptions): Rdd<K> {
    return self(this).#narrow('keys', undefined, options)
  }

  values<V>(this: Rdd<Pair<unknown, V>>, options?: OpOptions): Rdd<V> {
    return self(this).#narrow('values', undefined, options)
  }

  mapAsync<U extends Rec>(
    f: (record: T) => Promise<U>,
    options?: OpOptions & { readonly concurrency?: number | undefined },
  ): Rdd<U> {
    const operator = this.scope.opId('mapAsync', options)
    const concurrency = options?.concurrency ?? 16
    requireArgument(
      Number.isSafeInteger(concurrency) && concurrency >= 1,
      operator,
      `concurrency must be a whole number of at least 1, not ${String(concurrency)}`,
    )
    return this.#partitionwise([this.node], ([input]) => ({
      kind: 'async-map',
      operator,
      input: input as never,
      fn: f,
      concurrency,
    }))
  }

  sample(fraction: number, options?: SampleOptions): Rdd<T> {
    const operator = this.scope.opId('sample', options)
    const replace = options?.withReplacement === true
    requireArgument(
      fraction >= 0 && fraction <= (replace ? Number.MAX_VALUE : 1),
      operator,
      `fraction must lie between 0 and 1, not ${String(fraction)}; above 1 needs withReplacement`,
    )
    const seed = options?.seed
    const op = replace
      ? { kind: 'flatMap' as const, id: operator, fn: { builtin: 'sampleWithReplacement', args: [fraction, seed] } }
      : { kind: 'filter' as const, id: operator, fn: { builtin: 'sample', args: [fraction, seed] } }
    return this.#of(new node.NarrowNode(this.node, op, true))
  }

  randomSplit(weights: readonly number[], options?: { readonly seed?: number | undefined }): Rdd<T>[] {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    requireArgument(
      weights.every((w) => w >= 0) && total > 0 && Number.isFinite(total),
      'randomSplit',
      'weights must not be negative, and not all 0',
    )
    let low = 0
    return weights.map((weight, i) => {
      // The last part ends at 1 exactly, whatever the rounding before.
      const high = i === weights.length - 1 ? 1 : low + weight / total
      const fn = { builtin: 'split', args: [low, high, options?.seed ?? 0] }
      low = high
      return this.#of(new node.NarrowNode(this.node, { kind: 'filter', id: this.scope.opId('randomSplit'), fn }, true))
    })
  }

  zipWithIndex(options?: OpOptions): Rdd<Pair<T, number>> {
    return this.#of(new node.IndexedNode(this.node, this.scope.opId('zipWithIndex', options)))
  }

  glom(options?: OpOptions): Rdd<T[]> {
    return this.#of(node.mappedPartitions(this.node, this.scope.opId('glom', options), undefined, false))
  }

  mapPartitions<U extends Rec>(
    f: (records: readonly T[], info: PartitionInfo) => Iterable<U> | AsyncIterable<U>,
    options?: MapPartitionsOptions,
  ): Rdd<U> {
    const keeps = options?.preservesPartitioning === true
    return this.#of(node.mappedPartitions(this.node, this.scope.opId('mapPartitions', options), f, keeps))
  }

  mapPartitionsWithIndex<U extends Rec>(
    f: (index: number, records: readonly T[]) => Iterable<U> | AsyncIterable<U>,
    options?: MapPartitionsOptions,
  ): Rdd<U> {
    const operator = this.scope.opId('mapPartitionsWithIndex', options)
    const keeps = options?.preservesPartitioning === true
    return this.#of(
      new node.PartitionwiseNode(
        [this.node],
        ([input], index) => ({ kind: 'partition', operator, input: input as never, fn: f, index }),
        keeps ? this.node.partitioner : undefined,
      ),
    )
  }

  coalesce(partitions: number): Rdd<T> {
    requirePartitions(partitions, 'coalesce')
    return this.#of(new node.CoalesceNode(this.node, partitions))
  }

  repartition(partitions: number, options?: OpOptions): Rdd<T> {
    requirePartitions(partitions, 'repartition')
    const operator = this.scope.opId('repartition', options)
    const dealt = new node.NarrowNode(this.node, {
      kind: 'map',
      id: operator,
      fn: { builtin: 'deal', args: [partitions] },
    })
    const moved = new node.ShuffleNode(dealt, operator, indexPartitioner(partitions))
    return this.#of(new node.NarrowNode(moved, { kind: 'values', id: operator, fn: undefined }))
  }

  union<U>(...others: readonly Rdd<U>[]): Rdd<T | U> {
    return this.#of(unionOf([this.node, ...others.map((other) => self(other).node)]))
  }

  zip<U>(other: Rdd<U>, options?: OpOptions): Rdd<Pair<T, U>> {
    return this.#zip(other, 'zip', undefined, options)
  }

  zipPartitions<U, R extends Rec>(
    other: Rdd<U>,
    f: (left: readonly T[], right: readonly U[]) => Iterable<R>,
    options?: OpOptions,
  ): Rdd<R> {
    return this.#zip(other, 'zipPartitions', f, options)
  }

  cartesian<U>(other: Rdd<U>): Rdd<Pair<T, U>> {
    return this.#of(new node.CartesianNode(this.node, self(other).node))
  }

  distinct(options?: ShuffleOptions): Rdd<T> {
    const operator = this.scope.opId('distinct', options)
    const paired = this.#withNull(operator)
    const first: Aggregator = { create: undefined, add: keepFirst, merge: keepFirst }
    const kept = node.aggregated(paired, operator, first, this.#partitionerFor(options, [this.node]), true)
    return this.#of(new node.NarrowNode(kept, { kind: 'keys', id: operator, fn: undefined }))
  }

  intersection(other: Rdd<T>, options?: ShuffleOptions): Rdd<T> {
    return this.#setOperation(other, 'intersection', inBoth, options)
  }

  subtract(other: Rdd<T>, options?: ShuffleOptions): Rdd<T> {
    return this.#setOperation(other, 'subtract', inLeftOnly, options)
  }

  sortBy(f: (record: T) => unknown, options?: SortOptions): Rdd<T> {
    const operator = this.scope.opId('sortBy', options)
    const partitions = options?.partitions ?? this.scope.parallelism
    requirePartitions(partitions, operator)
    const keyed = new node.NarrowNode(this.node, { kind: 'keyBy', id: operator, fn: f })
    const compare = options?.compare as Compare<unknown> | undefined
    return this.#of(new node.SortNode(keyed, operator, partitions, compare, options?.descending === true))
  }

  sortByKey<K, V>(this: Rdd<Pair<K, V>>, options?: SortOptions): Rdd<Pair<K, V>> {
    return self(this).sortBy(firstOfPair, options) as Rdd<Pair<K, V>>
  }

  partitionBy<K, V>(this: Rdd<Pair<K, V>>, partitioner: Partitioner, options?: OpOptions): Rdd<Pair<K, V>> {
    const me = self(this)
    return me.#of(node.partitioned(me.node, me.scope.opId('partitionBy', options), partitioner))
  }

  reduceByKey<K, V>(this: Rdd<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): Rdd<Pair<K, V>> {
    return self(this).#aggregate('reduceByKey', { create: undefined, add: f, merge: f }, options)
  }

  foldByKey<K, V>(this: Rdd<Pair<K, V>>, zero: V, f: (a: V, b: V) => V, options?: ShuffleOptions): Rdd<Pair<K, V>> {
    return self(this).#aggregate('foldByKey', foldAggregator(zero, f, f), options)
  }

  aggregateByKey<A>(
    this: Rdd<AnyPair>,
    zero: A,
    add: (acc: A, value: ValueOf<T>) => A,
    merge: (a: A, b: A) => A,
    options?: ShuffleOptions,
  ): Rdd<Pair<KeyOf<T>, A>> {
    return self(this).#aggregate('aggregateByKey', foldAggregator(zero, add, merge), options)
  }

  combineByKey<C>(
    this: Rdd<AnyPair>,
    f: Combiner<ValueOf<T>, C>,
    options?: ShuffleOptions & { readonly mapSideCombine?: boolean | undefined },
  ): Rdd<Pair<KeyOf<T>, C>> {
    return self(this).#aggregate(
      'combineByKey',
      { create: f.create, add: f.add, merge: f.merge },
      options,
      options?.mapSideCombine !== false,
    )
  }

  groupByKey<K, V>(this: Rdd<Pair<K, V>>, options?: ShuffleOptions): Rdd<Pair<K, V[]>> {
    return self(this).#aggregate('groupByKey', grouping, options, false)
  }

  groupBy<K extends Rec>(f: (record: T) => K, options?: ShuffleOptions): Rdd<Pair<K, T[]>> {
    const keyed = this.#narrow<Pair<K, T>>('keyBy', f, undefined)
    return self(keyed).#aggregate('groupBy', grouping, options, false)
  }

  join<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V, W]>> {
    return self(this).#join('join', other, 'inner', options)
  }

  leftOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V, W | undefined]>> {
    return self(this).#join('leftOuterJoin', other, 'left', options)
  }

  rightOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V | undefined, W]>> {
    return self(this).#join('rightOuterJoin', other, 'right', options)
  }

  fullOuterJoin<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V | undefined, W | undefined]>> {
    return self(this).#join('fullOuterJoin', other, 'full', options)
  }

  cogroup<K, V, W>(
    this: Rdd<Pair<K, V>>,
    other: Rdd<Pair<K, W>>,
    options?: ShuffleOptions,
  ): Rdd<Pair<K, readonly [V[], W[]]>> {
    const me = self(this)
    return me.#cogroup(self(other), me.scope.opId('cogroup', options), options)
  }

  subtractByKey<K, V>(this: Rdd<Pair<K, V>>, other: Rdd<Pair<K, unknown>>, options?: ShuffleOptions): Rdd<Pair<K, V>> {
    const me = self(this)
    const operator = me.scope.opId('subtractByKey', options)
    const grouped = me.#cogroup(self(other), operator, options)
    return self(grouped).#internal('flatMap', operator, leftWithoutRight, true)
  }

  #of<U>(lineage: node.RddNode): Rdd<U> {
    return new RddImpl<U>(lineage, this.scope)
  }

  #narrow<U>(
    kind: OpKind,
    fn: OpFunction | undefined,
    options: OpOptions | undefined,
    keepsPartitioner = false,
  ): Rdd<U> {
    const id = this.scope.opId(kind, options)
    requireArgument(fn === undefined || typeof fn === 'function', id, 'the argument must be a function')
    return this.#of(new node.NarrowNode(this.node, { kind, id, fn }, keepsPartitioner))
  }

  /** A step of the engine's own inside an operator. */
  #internal<U>(kind: OpKind, id: string, fn: OpFunction | undefined, keepsPartitioner = false): RddImpl<U> {
    return new RddImpl<U>(new node.NarrowNode(this.node, { kind, id, fn }, keepsPartitioner), this.scope)
  }

  #partitionwise<U>(
    parents: readonly node.RddNode[],
    source: ConstructorParameters<typeof node.PartitionwiseNode>[1],
  ): Rdd<U> {
    return this.#of(new node.PartitionwiseNode(parents, source))
  }

  #zip<U>(other: Any, kind: string, fn: AnyFunction | undefined, options: OpOptions | undefined): Rdd<U> {
    const operator = this.scope.opId(kind, options)
    const right = self(other).node
    requireArgument(
      this.partitions === right.partitions,
      operator,
      `both sides need the same number of partitions, got ${String(this.partitions)} and ${String(right.partitions)}; repartition one of them`,
    )
    return this.#partitionwise([this.node, right], (inputs) => ({ kind: 'zip', operator, inputs, fn }))
  }

  #withNull(operator: string): node.RddNode {
    return new node.NarrowNode(this.node, { kind: 'map', id: operator, fn: { builtin: 'withNull', args: [] } })
  }

  #setOperation<U>(other: Any, kind: string, keep: AnyFunction, options: ShuffleOptions | undefined): Rdd<U> {
    const operator = this.scope.opId(kind, options)
    const right = self(other)
    const grouped = node.cogrouped(
      [this.#withNull(operator), right.#withNull(operator)],
      operator,
      this.#partitionerFor(options, [this.node, right.node]),
    )
    return this.#of(new node.NarrowNode(grouped, { kind: 'flatMap', id: operator, fn: keep }))
  }

  #cogroup<U>(other: RddImpl<unknown>, operator: string, options: ShuffleOptions | undefined): Rdd<U> {
    const sides = [this.node, other.node]
    return this.#of(node.cogrouped(sides, operator, this.#partitionerFor(options, sides)))
  }

  #join<U>(kind: string, other: Any, join: JoinKind, options: ShuffleOptions | undefined): Rdd<U> {
    const right = self(other).node
    const partitioner = this.#partitionerFor(options, [this.node, right])
    return this.#of(node.joined(this.node, right, this.scope.opId(kind, options), join, partitioner))
  }

  #aggregate<U>(kind: string, aggregator: Aggregator, options: ShuffleOptions | undefined, mapSide = true): Rdd<U> {
    const partitioner = this.#partitionerFor(options, [this.node])
    return this.#of(node.aggregated(this.node, this.scope.opId(kind, options), aggregator, partitioner, mapSide))
  }

  /** As asked; else as a side is spread already (no shuffle for that one); else by hash over the default parallelism. */
  #partitionerFor(options: ShuffleOptions | undefined, sides: readonly node.RddNode[]): Partitioner {
    if (options?.partitioner !== undefined) return options.partitioner
    if (options?.partitions !== undefined) return hashPartitioner(options.partitions)
    const known = sides.map((side) => side.partitioner).filter((partitioner) => partitioner !== undefined)
    const largest = known.sort((a, b) => b.partitions - a.partitions)[0]
    return largest ?? hashPartitioner(this.scope.parallelism)
  }
}

/** The implementation behind the interface. There is one only. */
export function self<T>(rdd: Rdd<T>): RddImpl<T> {
  return rdd as RddImpl<T>
}
