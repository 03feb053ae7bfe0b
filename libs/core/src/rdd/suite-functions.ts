/**
 * The user functions of the RDD suite: all registered by name, so that they run wherever tasks run, and all counted, so that
 * a test can tell in which thread they ran.
 */
import { SluiceError } from '../errors.js'
import { task } from './functions.js'
import type { PartitionInfo } from './types.js'

let calls = 0

/**
 * How many calls of the suite's functions there were in this thread.
 *
 * @public called through the compiled module
 */
export function userCalls(): number {
  return calls
}

function counted<A extends readonly unknown[], R>(name: string, fn: (...args: A) => R): (...args: A) => R {
  return task(`suite/${name}`, (...args: A): R => {
    calls++
    return fn(...args)
  })
}

export const double = counted('double', (x: number) => x * 2)
export const plus = counted('plus', (a: number, b: number) => a + b)
export const joinTexts = counted('joinTexts', (a: string, b: string) => `${a}${b}`)
export const isEven = counted('isEven', (x: number) => x % 2 === 0)
export const isNever = counted('isNever', (_x: unknown) => false)
/** `x` copies of `x`; none of 0. */
export const repeat = counted('repeat', (x: number) => Array.from({ length: x }, () => x))
export const countTo = counted('countTo', function* (x: number): Generator<number> {
  for (let i = 0; i < x; i++) yield i
})
export const identity = counted('identity', (x: unknown) => x)
export const remainder3 = counted('remainder3', (x: number) => x % 3)
export const byRemainder = counted('byRemainder', (x: number): [number, number] => [x % 3, x])
export const pairOf5 = counted('pairOf5', (x: number): [number, number] => [x % 5, x])
export const pairOfText = counted('pairOfText', (x: number): [string, number] => [`k${String(x % 5)}`, x])
export const pairOfTuple = counted('pairOfTuple', (x: number): [readonly [string, number], number] => [['t', x % 4], x])
export const negated = counted('negated', (x: number) => -x)
export const descending = counted('descending', (a: number, b: number) => b - a)
export const byLastDigit = counted('byLastDigit', (a: number, b: number) => (a % 10) - (b % 10))

// In place: combiners are the functions' own.
export const appended = counted('appended', (list: number[], x: number) => {
  list.push(x)
  return list
})
export const concatenatedLists = counted('concatenatedLists', (a: number[], b: number[]) => {
  a.push(...b)
  return a
})
export const listOf = counted('listOf', (x: number): number[] => [x])
/** Keeps parts of its second argument in the first. */
export const mergedMaps = counted('mergedMaps', (a: Map<number, number[]>, b: Map<number, number[]>) => {
  for (const [key, list] of b) {
    const own = a.get(key)
    if (own === undefined) a.set(key, list)
    else own.push(...list)
  }
  return a
})
export const mapOf = counted('mapOf', (x: number) => new Map([[x % 2, [x]]]))
export const addedToMap = counted('addedToMap', (map: Map<number, number[]>, x: number) => {
  const own = map.get(x % 2)
  if (own === undefined) map.set(x % 2, [x])
  else own.push(x)
  return map
})

export const sumOfPartition = counted('sumOfPartition', (records: readonly number[]) => [
  records.reduce((sum, x) => sum + x, 0),
])
export const doubledAsync = counted('doubledAsync', async function* (records: readonly number[]) {
  for (const x of records) yield await Promise.resolve(x * 2)
})
export const indexAndSize = counted(
  'indexAndSize',
  (index: number, records: readonly unknown[]): [number, number][] => [[index, records.length]],
)
export const sizeWithInfo = counted(
  'sizeWithInfo',
  (records: readonly unknown[], { partition, partitions, batchTime, attempt }: PartitionInfo) => [
    { size: records.length, partition, partitions, batchTime, attempt },
  ],
)
export const sizesOfBoth = counted(
  'sizesOfBoth',
  (left: readonly unknown[], right: readonly unknown[]): [number, number][] => [[left.length, right.length]],
)
/** Slower for even numbers, so that results come out of order. */
export const laterDouble = counted('laterDouble', async (x: number) => {
  for (let turn = 0; turn < (x % 2 === 0 ? 5 : 1); turn++) await Promise.resolve()
  return x * 2
})

export const failOn7 = counted('failOn7', (x: number) => {
  if (x === 7) throw new RangeError('seven')
  return x
})
export const failOnSum = counted('failOnSum', (a: number, b: number) => {
  if (a + b > 20) throw new RangeError('too much')
  return a + b
})
export const failOnPartitionWith7 = counted('failOnPartitionWith7', (records: readonly number[]) => {
  if (records.includes(7)) throw new RangeError('seven')
})
export const passUnless7 = counted('passUnless7', (records: readonly number[]) => {
  if (records.includes(7)) throw new RangeError('seven')
  return records
})
export const failByText = counted('failByText', (x: number) => {
  if (x === 7) throw 'just text'
  return x
})
export const failWithOwnCode = counted('failWithOwnCode', (_x: number): number => {
  throw new SluiceError({ code: 'ARGUMENT_INVALID', component: 'user', message: 'said by the user' })
})
export const asyncDouble = counted('asyncDouble', (x: number) => Promise.resolve(x * 2)) as unknown as (
  x: number,
) => number
export const asyncPlus = counted('asyncPlus', (a: number, b: number) => Promise.resolve(a + b)) as unknown as (
  a: number,
  b: number,
) => number
