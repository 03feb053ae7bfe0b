import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import type { Rdd } from './rdd.js'

let context: SluiceContext
beforeAll(() => {
  context = new SluiceContext({ log: 'warn', spillRecords: 60_000 })
})
afterAll(() => context.stop())

const SCHEDULER = `/proc/self/task/${String(process.pid)}/schedstat`
const countsProcessorTime = existsSync(SCHEDULER)

/** Milliseconds for which this thread had a processor: the machine may be busy with other things. Elsewhere, the time. */
function worked(): number {
  if (!countsProcessorTime) return performance.now()
  return Number(readFileSync(SCHEDULER, 'utf8').split(' ')[0]) / 1e6
}

/** Milliseconds of work between the turns that a timer of 1 ms gets while `work` runs, shortest first. */
async function gapsDuring(work: () => Promise<unknown>): Promise<number[]> {
  const gaps: number[] = []
  let last = worked()
  const turn = (): void => {
    const now = worked()
    gaps.push(now - last)
    last = now
  }
  const timer = setInterval(turn, 1)
  await work()
  clearInterval(timer)
  turn()
  return gaps.sort((a, b) => a - b)
}

const slow = (x: number): number => {
  let sum = 0
  for (let i = 0; i < 2_000; i++) sum += Math.sqrt(x + i)
  return sum
}
const range = (n: number): Rdd<number> => context.range(0, n, { partitions: 1 })
// Made once: to make it is no work of the engine.
const integers = Array.from({ length: 2_000_000 }, (_, i) => i)
const array = (n: number): Rdd<number> =>
  context.parallelize(n === integers.length ? integers : integers.slice(0, n), 1)
const pairs = (n: number): Rdd<[number, number]> => array(n).map((x): [number, number] => [(x * 7_919) % n, x])

describe('a long task lets timers run', () => {
  const cases: [string, () => Promise<unknown>][] = [
    [
      '5 M cheap records',
      () =>
        range(5_000_000)
          .map((x) => x + 1)
          .filter((x) => x % 2 === 0)
          .count(),
    ],
    [
      'one large chunk',
      () =>
        array(2_000_000)
          .map((x) => x * 2)
          .fold(0, (a, b) => a + b),
    ],
    [
      'costly records after cheap ones',
      () =>
        array(400_000)
          .map((x) => (x < 380_000 ? x : slow(x)))
          .count(),
    ],
    [
      'a costly stage after a cheap one',
      () =>
        array(30_000)
          .map((x) => x)
          .mapPartitions((all) => all)
          .map(slow)
          .count(),
    ],
    [
      'flatMap',
      () =>
        range(20_000)
          .flatMap((x) => Array.from({ length: 100 }, (_, i) => x + i))
          .count(),
    ],
    [
      'reduceByKey',
      () =>
        pairs(50_000)
          .union(pairs(50_000))
          .reduceByKey((a, b) => a + b)
          .count(),
    ],
    [
      'reduceByKey that spills',
      () =>
        pairs(200_000)
          .reduceByKey((a, b) => a + b, { partitions: 2 })
          .count(),
    ],
    ['join', () => pairs(50_000).join(pairs(50_000)).count()],
    ['join that spills', () => pairs(100_000).join(pairs(100_000)).count()],
    ['cogroup', () => pairs(50_000).cogroup(pairs(50_000)).count()],
    ['cogroup that spills', () => pairs(50_000).cogroup(pairs(50_000)).count()],
    ['top', () => array(1_000_000).top(10)],
    ['stats', () => array(2_000_000).stats()],
    ['takeSample', () => array(1_000_000).takeSample(10)],
    ['cartesian', () => array(1_000).cartesian(array(1_000)).count()],
    [
      'mapAsync',
      () =>
        array(100_000)
          .mapAsync((x) => Promise.resolve(slow(x % 10)))
          .count(),
    ],
    [
      'sortBy numbers',
      () =>
        array(300_000)
          .sortBy((x) => (x * 7_919) % 300_007)
          .count(),
    ],
    [
      'sortBy strings',
      () =>
        array(150_000)
          .sortBy((x) => String((x * 7_919) % 300_007))
          .count(),
    ],
    [
      'sortBy tuples',
      () =>
        array(59_000)
          .sortBy((x) => [x % 7, x])
          .count(),
    ],
    [
      'sortBy of several partitions',
      () =>
        array(200_000)
          .sortBy((x) => (x * 7_919) % 300_007, { partitions: 2 })
          .count(),
    ],
  ]
  test.each(cases)('%s', async (_name, work) => {
    const gaps = await gapsDuring(work)
    expect(gaps[gaps.length >>> 1]).toBeLessThan(15)
    // Half of the work lies between turns that are closer: one long gap counts for as much as it holds.
    let left = gaps.reduce((sum, gap) => sum + gap, 0) / 2
    expect(gaps.find((gap) => (left -= gap) <= 0)).toBeLessThan(15)
  })
})
