/** What the tests of the RDD suite work with: RDDs of all shapes, and comparisons. */
import assert from 'node:assert/strict'
import { isSluiceError, type ErrorCode, type SluiceError } from '../errors.js'
import { SourceNode, type RddNode } from './lineage.js'
import type { Rdd } from './rdd.js'

/** The two functions of a test runner that the suite needs. */
export interface SuiteRunner {
  describe(name: string, define: () => void): void
  test(name: string, run: () => Promise<void>): void
}

/** What the suite uses of a `SluiceContext`, which stands in a higher layer. */
export interface SuiteContext {
  parallelize<T>(records: readonly T[], partitions?: number): Rdd<T>
  range(start: number, end: number, options?: { readonly partitions?: number }): Rdd<number>
  union<T>(first: Rdd<T>, ...others: readonly Rdd<T>[]): Rdd<T>
  rdd<T>(node: RddNode): Rdd<T>
  stop(): Promise<void>
}

/** A context under test, for one test. */
export interface OpenedContext {
  readonly context: SuiteContext
  close(): Promise<void>
}

export type Define = (title: string, run: (context: SuiteContext) => Promise<void>) => void

/** 0 to n − 1. */
export function numbers(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}

/** An RDD without a single partition. */
export function withoutPartitions<T>(context: SuiteContext): Rdd<T> {
  return context.rdd<T>(new SourceNode([]))
}

/** The same records in one and many partitions, with empty ones in between. */
export function shapes<T>(context: SuiteContext, records: readonly T[]): Rdd<T>[] {
  const half = Math.floor(records.length / 2)
  const empty = context.parallelize<T>([], 2)
  const all = [
    context.parallelize(records, 1),
    context.parallelize(records, 2),
    context.parallelize(records, records.length + 3),
    context.union(
      empty,
      context.parallelize(records.slice(0, half), 1),
      empty,
      context.parallelize(records.slice(half), 2),
      empty,
    ),
  ]
  return records.length > 0 ? all : [...all, withoutPartitions<T>(context)]
}

/** Runs a check over all shapes of some records, and of none. */
export async function overShapes<T>(
  context: SuiteContext,
  records: readonly T[],
  check: (rdd: Rdd<T>, records: readonly T[]) => Promise<void>,
): Promise<void> {
  for (const each of [records, records.slice(0, 1), []]) {
    for (const rdd of shapes(context, each)) await check(rdd, each)
  }
}

/** Equal, in this order. */
export async function gives<T>(rdd: Rdd<T>, expected: readonly T[]): Promise<void> {
  assert.deepStrictEqual(await rdd.collect(), expected)
}

/** Equal in any order. */
export async function holds<T>(rdd: Rdd<T>, expected: readonly T[]): Promise<void> {
  same(await rdd.collect(), expected)
}

export function same<T>(actual: readonly T[], expected: readonly T[]): void {
  assert.deepStrictEqual(inAnyOrder(actual), inAnyOrder(expected))
}

function inAnyOrder<T>(records: readonly T[]): T[] {
  const texts = records.map((record) => [textOf(record), record] as const)
  return texts.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, record]) => record)
}

function textOf(record: unknown): string {
  return JSON.stringify(record, (_name, value: unknown) => {
    if (value === undefined || typeof value === 'bigint') return `${typeof value} ${String(value)}`
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
    return value instanceof Map ? [...value] : value
  })
}

/** The rejection is an error of Sluice with this code; gives it. */
export async function rejects(code: ErrorCode, work: () => Promise<unknown>): Promise<SluiceError> {
  let caught: unknown
  try {
    await work()
  } catch (error) {
    caught = error
  }
  assert.ok(isSluiceError(caught), `an error of Sluice, not ${String(caught)}`)
  assert.equal(caught.code, code, caught.message)
  return caught
}

/** Values of each key, in order. */
export function grouped<K, V>(pairs: readonly (readonly [K, V])[]): [K, V[]][] {
  const groups = new Map<K, V[]>()
  for (const [key, value] of pairs) {
    const list = groups.get(key)
    if (list === undefined) groups.set(key, [value])
    else list.push(value)
  }
  return [...groups]
}
