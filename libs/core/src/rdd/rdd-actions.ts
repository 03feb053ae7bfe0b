/** What an RDD can do besides making other RDDs: be kept, and be acted on. */
import { SluiceError } from '../errors.js'
import type { Sink } from '../sink/sink.js'
import * as actions from './actions.js'
import type { RddNode } from './lineage.js'
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
  }

  get partitions(): number {
    return this.node.partitions
  }

  get partitioner(): Partitioner | undefined {
    return this.node.partitioner
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
    return actions.collect<T>(this)
  }

  async collectAsMap<K, V>(this: Rdd<Pair<K, V>>): Promise<Map<K, V>> {
    return new Map(await this.collect())
  }

  count(): Promise<number> {
    return actions.count(this)
  }

  countByKey<K>(this: Rdd<Pair<K, unknown>>): Promise<Map<K, number>> {
    return actions.countByKey<K>(runnable(this))
  }

  countByValue(): Promise<Map<T, number>> {
    return actions.countKeys<T>(this)
  }

  first(): Promise<T> {
    return actions.first<T>(this)
  }

  take(n: number): Promise<T[]> {
    return actions.take<T>(this, n)
  }

  takeSample(n: number, options?: SampleOptions): Promise<T[]> {
    return actions.takeSample<T>(this, n, options)
  }

  top(n: number, compare?: Compare<T>): Promise<T[]> {
    return actions.top<T>(this, n, compare, true)
  }

  takeOrdered(n: number, compare?: Compare<T>): Promise<T[]> {
    return actions.top<T>(this, n, compare, false)
  }

  reduce(f: (a: T, b: T) => T): Promise<T> {
    return actions.reduce<T>(this, f)
  }

  fold(zero: T, f: (a: T, b: T) => T): Promise<T> {
    return actions.aggregate(this, 'fold', zero, f, f)
  }

  aggregate<A>(zero: A, add: (acc: A, record: T) => A, merge: (a: A, b: A) => A): Promise<A> {
    return actions.aggregate(this, 'aggregate', zero, add, merge)
  }

  async sum(this: Rdd<number>): Promise<number> {
    return (await actions.stats(runnable(this))).sum
  }

  min(compare?: Compare<T>): Promise<T> {
    return actions.extreme<T>(this, 'min', compare, false)
  }

  max(compare?: Compare<T>): Promise<T> {
    return actions.extreme<T>(this, 'max', compare, true)
  }

  stats(this: Rdd<number>): Promise<Stats> {
    return actions.stats(runnable(this))
  }

  isEmpty(): Promise<boolean> {
    return actions.isEmpty(this)
  }

  lookup<K, V>(this: Rdd<Pair<K, V>>, key: K): Promise<V[]> {
    return actions.lookup<K, V>(runnable(this), key)
  }

  foreach(f: (record: T) => void): Promise<void> {
    return actions.foreach(this, f)
  }

  foreachPartition(f: (records: readonly T[], info: PartitionInfo) => void | Promise<void>): Promise<void> {
    return actions.foreachPartition(this, f)
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

/** The implementation behind the interface. There is one only. */
function runnable(rdd: Rdd<unknown>): actions.Runnable {
  return rdd as unknown as actions.Runnable
}
