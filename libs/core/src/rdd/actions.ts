/** Actions: run tasks over the partitions and bring their results together, again in a task where that needs user functions. */
import { requireArgument, SluiceError } from '../errors.js'
import { deepCopy } from './copy.js'
import { counting } from './engine-functions.js'
import { KeyedMap } from './keys.js'
import { NarrowNode, type RddNode } from './lineage.js'
import type { Compare } from './order.js'
import { aggregated } from './lineage.js'
import { hashPartitioner, partsOfPartitioner } from './partitioner.js'
import type { SampleOptions } from './rdd.js'
import type { RddScope } from './scope.js'
import { statsOf, type Stats } from './stats.js'
import type { Pair, Partitioner, PartitionInfo } from './types.js'
import type { SampleResult } from './work.js'
import { concatenated } from './run.js'
import { seededRandom, seedOf, type Random } from '../time/random.js'

/** What actions need of an RDD. */
export interface Runnable {
  readonly node: RddNode
  readonly scope: RddScope
}

export async function collect<T>({ node, scope }: Runnable): Promise<T[]> {
  const parts = (await scope.run(node, { kind: 'collect', limit: Infinity }, 'collect')) as T[][]
  return parts.length === 1 ? (parts[0] as T[]) : concatenated(parts)
}

export async function count({ node, scope }: Runnable): Promise<number> {
  const counts = (await scope.run(node, { kind: 'count' }, 'count')) as number[]
  return counts.reduce((a, b) => a + b, 0)
}

/** Partitions tried at first by `take`, and by how much more each further round, as Spark does. */
const TAKE_GROWTH = 4

export async function take<T>({ node, scope }: Runnable, n: number): Promise<T[]> {
  requireCount(n, 'take')
  const taken: T[] = []
  let from = 0
  for (let round = 1; taken.length < n && from < node.partitions; round *= TAKE_GROWTH) {
    const to = Math.min(node.partitions, from + round)
    const indexes = Array.from({ length: to - from }, (_, i) => from + i)
    const parts = (await scope.run(node, { kind: 'collect', limit: n - taken.length }, 'take', indexes)) as T[][]
    for (const part of parts) for (const record of part) if (taken.length < n) taken.push(record)
    from = to
  }
  return taken
}

function requireCount(n: number, component: string): void {
  requireArgument(
    Number.isSafeInteger(n) && n >= 0,
    component,
    `the number of records must be a whole number of at least 0, not ${String(n)}`,
  )
}

export async function first<T>(rdd: Runnable): Promise<T> {
  const taken = await take<T>(rdd, 1)
  if (taken.length === 0) throw emptyCollection('first')
  return taken[0] as T
}

export async function isEmpty(rdd: Runnable): Promise<boolean> {
  return (await take(rdd, 1)).length === 0
}

function emptyCollection(action: string): SluiceError {
  return new SluiceError({
    code: 'EMPTY_COLLECTION',
    component: action,
    message: `${action} of an RDD without records; check isEmpty() first, or use fold with a start value`,
  })
}

export async function reduce<T>(rdd: Runnable, f: (a: T, b: T) => T): Promise<T> {
  const parts = await rdd.scope.run(rdd.node, { kind: 'fold', f, start: undefined }, 'reduce')
  const values = present<T>(parts)
  if (values.length === 0) throw emptyCollection('reduce')
  return mergeParts(rdd, values, f, 'reduce')
}

function present<T>(parts: readonly unknown[]): T[] {
  return parts.filter((part) => part !== undefined && part !== null).map((part) => (part as { value: T }).value)
}

async function mergeParts<T>(
  { scope }: Runnable,
  values: readonly T[],
  f: (a: T, b: T) => T,
  operator: string,
): Promise<T> {
  if (values.length === 1) return values[0] as T
  const merged = await scope.runInline(values, { kind: 'fold', f, start: undefined }, operator)
  return (merged as { value: T }).value
}

export async function aggregate<A, T>(
  rdd: Runnable,
  operator: string,
  zero: A,
  add: (acc: A, record: T) => A,
  merge: (a: A, b: A) => A,
): Promise<A> {
  const parts = await rdd.scope.run(rdd.node, { kind: 'fold', f: add, start: { value: zero } }, operator)
  const values = present<A>(parts)
  if (values.length === 0) return deepCopy(zero)
  const merged = await rdd.scope.runInline(values, { kind: 'fold', f: merge, start: { value: zero } }, operator)
  return (merged as { value: A }).value
}

export async function top<T>(
  { node, scope }: Runnable,
  n: number,
  compare: Compare<T> | undefined,
  descending: boolean,
): Promise<T[]> {
  const operator = descending ? 'top' : 'takeOrdered'
  requireCount(n, operator)
  const work = { kind: 'top', n, compare: compare as Compare<never> | undefined, descending } as const
  const parts = (await scope.run(node, work, operator)) as T[][]
  if (parts.length === 1) return parts[0] as T[]
  return (await scope.runInline(concatenated(parts), work, operator)) as T[]
}

export async function extreme<T>(
  rdd: Runnable,
  action: string,
  compare: Compare<T> | undefined,
  descending: boolean,
): Promise<T> {
  const best = await top(rdd, 1, compare, descending)
  if (best.length === 0) throw emptyCollection(action)
  return best[0] as T
}

export async function stats({ node, scope }: Runnable): Promise<Stats> {
  const parts = (await scope.run(node, { kind: 'stats' }, 'stats')) as Stats[]
  const all = statsOf()
  for (const part of parts) all.merge(part)
  return all.result()
}

/** Records as keys, with how often each occurs; equal composite records count as one. */
export async function countKeys<K>({ node, scope }: Runnable): Promise<Map<K, number>> {
  const paired = new NarrowNode(node, { kind: 'map', id: 'countByValue', fn: { builtin: 'withNull', args: [] } })
  const counted = aggregated(paired, 'countByValue', counting, hashPartitioner(1), true)
  return new Map(await collect<Pair<K, number>>({ node: counted, scope }))
}

export function countByKey<K>({ node, scope }: Runnable): Promise<Map<K, number>> {
  return countKeys({ node: new NarrowNode(node, { kind: 'keys', id: 'countByKey', fn: undefined }), scope })
}

export async function takeSample<T>({ node, scope }: Runnable, n: number, options: SampleOptions = {}): Promise<T[]> {
  requireCount(n, 'takeSample')
  const seed = options.seed ?? 0
  const parts = (await scope.run(node, { kind: 'sample', n, seed }, 'takeSample')) as SampleResult[]
  const random = seededRandom(seedOf('takeSample', seed))
  return options.withReplacement === true ? drawnAgain(parts, n, random) : drawn(parts, n, random)
}

/** Each draw takes a record out: from a partition by the number of records left in it, there from its sample. */
function drawn<T>(parts: readonly SampleResult[], n: number, random: Random): T[] {
  const left = parts.map(({ count: records }) => records)
  const pools = parts.map(({ sample }) => [...sample] as T[])
  const total = left.reduce((sum, records) => sum + records, 0)
  const taken: T[] = []
  for (let remaining = total; taken.length < n && remaining > 0; remaining--) {
    const part = partAt(left, random.integer(remaining))
    left[part] = (left[part] as number) - 1
    taken.push(takeFrom(pools[part] as T[], random))
  }
  return taken
}

/** Each draw is of a place among all records. What stands at a place is drawn without replacement when it first comes up. */
function drawnAgain<T>(parts: readonly SampleResult[], n: number, random: Random): T[] {
  const counts = parts.map(({ count: records }) => records)
  const pools = parts.map(({ sample }) => [...sample] as T[])
  const total = counts.reduce((sum, records) => sum + records, 0)
  const atPlace = new Map<number, T>()
  const taken: T[] = []
  while (taken.length < n && total > 0) {
    const place = random.integer(total)
    if (!atPlace.has(place)) atPlace.set(place, takeFrom(pools[partAt(counts, place)] as T[], random))
    taken.push(atPlace.get(place) as T)
  }
  return taken
}

function partAt(counts: readonly number[], place: number): number {
  let at = place
  return counts.findIndex((records) => (at -= records) < 0)
}

function takeFrom<T>(pool: T[], random: Random): T {
  const index = random.integer(pool.length)
  const record = pool[index] as T
  const last = pool.pop() as T
  if (index < pool.length) pool[index] = last
  return record
}

export async function lookup<K, V>({ node, scope }: Runnable, key: K): Promise<V[]> {
  const wanted = new KeyedMap<V[]>('lookup')
  const found = wanted.insert(key, []).v
  const indexes = await partitionsOf(node.partitioner, key, scope)
  const parts = (await scope.run(node, { kind: 'collect', limit: Infinity }, 'lookup', indexes)) as Pair<K, V>[][]
  for (const part of parts) for (const [k, v] of part) if (wanted.find(k) !== undefined) found.push(v)
  return found
}

/** Where a key can be; undefined: anywhere. Partitioners may hold user functions, which run in tasks. */
async function partitionsOf(
  partitioner: Partitioner | undefined,
  key: unknown,
  scope: RddScope,
): Promise<readonly number[] | undefined> {
  if (partitioner === undefined) return undefined
  if (partsOfPartitioner(partitioner).kind === 'hash') return [partitioner.partitionOf(key)]
  return (await scope.runInline([key], { kind: 'locate', partitioner }, 'lookup')) as number[]
}

export async function foreach<T>({ node, scope }: Runnable, f: (record: T) => void): Promise<void> {
  await scope.run(node, { kind: 'each', f }, 'foreach')
}

export async function foreachPartition<T>(
  { node, scope }: Runnable,
  f: (records: readonly T[], info: PartitionInfo) => void | Promise<void>,
): Promise<void> {
  await scope.run(node, { kind: 'each-partition', f }, 'foreachPartition')
}

/** One partition is held at a time. */
export async function* iterate<T>({ node, scope }: Runnable): AsyncGenerator<T> {
  for (let index = 0; index < node.partitions; index++) {
    const [records] = (await scope.run(node, { kind: 'collect', limit: Infinity }, 'iterate', [index])) as T[][]
    yield* records as T[]
  }
}
