/** What an RDD can do besides making other RDDs: be kept, and be acted on. */
import { SluiceError } from '../errors.js'
import type { Sink } from '../sink/sink.js'
import * as actions from './actions.js'
import { planOf, type RddNode } from './lineage.js'
import type { Compare } from './order.js'
import type { Rdd, SampleOptions } from './rdd.js'
import type { RddScope } from './scope.js'
import type { Stats } from './stats.js'
import type { Pair, Partitioner, PartitionInfo, StorageLevel } from './types.js'

export abstract class RddActions<out T> {
  readonly '~sluice' = 'rdd/1'
  readonly node: RddNode
  readonly scope: RddScope

  constructor(lineage: RddNode, scope: RddScope) {
    this.node = lineage
    this.scope = scope
    if (scope.outlivesBatches === true) lineage.isOwned = true
  }

  get partitions(): number {
    return this.node.partitions
  }

  get partitioner(): Partitioner | undefined {
    return this.node.partitioner
  }

  get inputPlan(): unknown {
    return planOf(this.node)
  }

  cache(): this {
    return this.persist('memory')
  }

  persist(level: StorageLevel = 'memory-and-disk'): this {
    const { node: lineage } = this
    if (lineage.level !== undefined && lineage.level !== level) {
      throw new SluiceError({
        code: 'ARGUMENT_INVALID',
        component: 'persist',
        message: `the RDD is kept at level '${lineage.level}' already; unpersist() it before changing to '${level}'`,
      })
    }
    lineage.level = level
    return this
  }

  unpersist(): this {
    if (this.node.level !== undefined) this.scope.dropBlocks(this.node)
    this.node.level = undefined
    return this
  }

  collect(): Promise<T[]> {
    return tracked(this, actions.collect<T>(this))
  }

  collectAsMap<K, V>(this: Rdd<Pair<K, V>>): Promise<Map<K, V>> {
    const pairs = actions.collect<Pair<K, V>>(runnable(this))
    return tracked(
      this,
      pairs.then((all) => new Map(all)),
    )
  }

  count(): Promise<number> {
    return tracked(this, actions.count(this))
  }

  countByKey<K>(this: Rdd<Pair<K, unknown>>): Promise<Map<K, number>> {
    return tracked(this, actions.countByKey<K>(runnable(this)))
  }

  countByValue(): Promise<Map<T, number>> {
    return tracked(this, actions.countKeys<T>(this))
  }

  first(): Promise<T> {
    return tracked(this, actions.first<T>(this))
  }

  take(n: number): Promise<T[]> {
    return tracked(this, actions.take<T>(this, n))
  }

  takeSample(n: number, options?: SampleOptions): Promise<T[]> {
    return tracked(this, actions.takeSample<T>(this, n, options))
  }

  top(n: number, compare?: Compare<T>): Promise<T[]> {
    return tracked(this, actions.top<T>(this, n, compare, true))
  }

  takeOrdered(n: number, compare?: Compare<T>): Promise<T[]> {
    return tracked(this, actions.top<T>(this, n, compare, false))
  }

  reduce(f: (a: T, b: T) => T): Promise<T> {
    return tracked(this, actions.reduce<T>(this, f))
  }

  fold(zero: T, f: (a: T, b: T) => T): Promise<T> {
    return tracked(this, actions.aggregate(this, 'fold', zero, f, f))
  }

  aggregate<A>(zero: A, add: (acc: A, record: T) => A, merge: (a: A, b: A) => A): Promise<A> {
    return tracked(this, actions.aggregate(this, 'aggregate', zero, add, merge))
  }

  sum(this: Rdd<number>): Promise<number> {
    const stats = actions.stats(runnable(this))
    return tracked(
      this,
      stats.then(({ sum }) => sum),
    )
  }

  min(compare?: Compare<T>): Promise<T> {
    return tracked(this, actions.extreme<T>(this, 'min', compare, false))
  }

  max(compare?: Compare<T>): Promise<T> {
    return tracked(this, actions.extreme<T>(this, 'max', compare, true))
  }

  stats(this: Rdd<number>): Promise<Stats> {
    return tracked(this, actions.stats(runnable(this)))
  }

  isEmpty(): Promise<boolean> {
    return tracked(this, actions.isEmpty(this))
  }

  lookup<K, V>(this: Rdd<Pair<K, V>>, key: K): Promise<V[]> {
    return tracked(this, actions.lookup<K, V>(runnable(this), key))
  }

  foreach(f: (record: T) => void): Promise<void> {
    return tracked(this, actions.foreach(this, f))
  }

  foreachPartition(f: (records: readonly T[], info: PartitionInfo) => void | Promise<void>): Promise<void> {
    return tracked(this, actions.foreachPartition(this, f))
  }

  saveAsTextFile(path: string): Promise<void> {
    return this.scope.saveAsTextFile(this.node, path)
  }

  writeTo(sink: Sink<T>, options?: { readonly name?: string | undefined }): Promise<void> {
    return this.scope.writeTo(this.node, sink as Sink<unknown>, options?.name)
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return actions.iterate<T>(this)
  }
}

/** In a batch the action belongs to it as a whole (E25). */
function tracked<R>(rdd: unknown, action: Promise<R>): Promise<R> {
  return (rdd as actions.Runnable).scope.track?.(action) ?? action
}

/** The implementation behind the interface. There is one only. */
function runnable(rdd: Rdd<unknown>): actions.Runnable {
  return rdd as unknown as actions.Runnable
}
