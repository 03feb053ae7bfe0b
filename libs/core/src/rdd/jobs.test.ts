import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SluiceContext, type SluiceContextOptions } from '../context/sluice-context.js'
import { isSluiceError } from '../errors.js'
import { localExecutor } from '../executor/local-executor.js'
import type { Rdd } from './rdd.js'

let context: SluiceContext
const unhandled: unknown[] = []
const onUnhandled = (reason: unknown): void => void unhandled.push(reason)

function open(options: SluiceContextOptions = {}): void {
  context = new SluiceContext({ executor: localExecutor({ parallelism: 3 }), log: 'warn', ...options })
}

beforeEach(() => {
  open()
  process.on('unhandledRejection', onUnhandled)
})

afterEach(async () => {
  await context.stop()
  await new Promise((resolve) => setTimeout(resolve, 2))
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled.splice(0)).toEqual([])
})

/** Fails for `bad` as many times as told, then works; counts how often. */
function flaky(bad: number, times: number): { f(x: number): number; failed: number } {
  const state = {
    failed: 0,
    f: (x: number): number => {
      if (x === bad && state.failed < times) {
        state.failed++
        throw new Error(`failure ${String(state.failed)}`)
      }
      return x
    },
  }
  return state
}

const numbers = (n: number, partitions: number): Rdd<number> => context.range(0, n, { partitions })
const plus = (a: number, b: number): number => a + b

describe('retries', () => {
  test('a task that fails once succeeds, and only that one runs again', async () => {
    const once = flaky(17, 1)
    let calls = 0
    const rdd = numbers(30, 3).map((x) => {
      calls++
      return once.f(x)
    })
    expect(await rdd.collect()).toEqual(Array.from({ length: 30 }, (_, i) => i))
    expect(calls).toBe(30 + 8)
  })

  test.each([1, 2, 4])('a task is tried taskMaxFailures = %d times', async (taskMaxFailures) => {
    await context.stop()
    open({ taskMaxFailures })
    const enough = flaky(5, taskMaxFailures - 1)
    expect(await numbers(9, 2).map(enough.f).count()).toBe(9)
    const tooMany = flaky(5, taskMaxFailures)
    await expect(numbers(9, 2).map(tooMany.f).count()).rejects.toMatchObject({
      code: 'USER_FUNCTION_FAILED',
      message: expect.stringContaining(`failure ${String(taskMaxFailures)}`),
    })
    expect(tooMany.failed).toBe(taskMaxFailures)
  })

  test.each<[string, () => Rdd<unknown>]>([
    ['ASYNC_FUNCTION', () => numbers(9, 1).map(counted(() => Promise.resolve(1)))],
    [
      'KEY_INVALID',
      () =>
        numbers(9, 1)
          .map(counted((): [object, number] => [new Map(), 1]))
          .groupByKey({ partitions: 1 }),
    ],
    ['PAIR_EXPECTED', () => (numbers(9, 1).map(counted((x: number) => x)) as never as Rdd<[number, number]>).keys()],
  ])('%s is final: another try cannot help', async (code, make) => {
    calls = 0
    await expect(make().count()).rejects.toMatchObject({ code })
    expect(calls).toBe(1)
  })
  let calls = 0
  const counted =
    <R>(f: (x: number) => R) =>
    (x: number): R => {
      calls++
      return f(x)
    }

  test('what a partition function learns says which try it is', async () => {
    const attempts: number[] = []
    await numbers(1, 1).foreachPartition((_records, { attempt }) => {
      attempts.push(attempt)
      if (attempt < 2) throw new Error('again')
    })
    expect(attempts).toEqual([0, 1, 2])
  })
})

describe('accumulators', () => {
  test('are exact under retries of map tasks, reduce tasks and actions', async () => {
    const sum = context.accumulator('sum', 0, plus)
    const once = [flaky(20, 1), flaky(13, 1), flaky(3, 2)] as const
    const add = (x: number): number => {
      sum.add(1)
      return x
    }
    const reduced = numbers(30, 3)
      .map((x): [number, number] => [x % 10, once[0].f(add(x))])
      .groupByKey({ partitions: 2 })
      .map(([k]) => once[2].f(add(k)))
    expect(await reduced.count()).toBe(10)
    expect(once.map(({ failed }) => failed)).toEqual([1, 0, 2])
    expect(sum.value).toBe(30 + 10)
    await numbers(30, 3).foreach((x) => void once[1].f(add(x)))
    expect(sum.value).toBe(40 + 30)
  })

  test('count what mapAsync adds, and leave out what a failed attempt added', async () => {
    const sum = context.accumulator('sum', 0, plus)
    const once = flaky(7, 1)
    const rdd = numbers(10, 1).mapAsync(async (x) => {
      await Promise.resolve()
      sum.add(1)
      return once.f(x)
    })
    expect(await rdd.count()).toBe(10)
    expect(sum.value).toBe(10)
  })

  test('may change their value in place, and start anew after reset', async () => {
    const list = context.accumulator<number[], number>('list', [], (all, x) => {
      all.push(x)
      return all
    })
    await numbers(3, 1).foreach((x) => {
      list.add(x)
    })
    expect(list.value).toEqual([0, 1, 2])
    list.reset()
    expect(list.value).toEqual([])
    list.add(9)
    list.reset()
    expect(list.value).toEqual([])
  })
})

describe('E10: shuffles', () => {
  test('a failed job leaves no blocks behind', async () => {
    const fails = numbers(30, 3).map((x): [number, number] => [flaky(29, 99).f(x), x])
    for (const rdd of [fails.groupByKey(), fails.reduceByKey(plus), fails.sortByKey(), fails.repartition(2)]) {
      await expect(rdd.count()).rejects.toMatchObject({ code: 'USER_FUNCTION_FAILED' })
      expect(context.engine.blocks.stats()).toMatchObject({ blocks: 0, memoryBytes: 0 })
    }
  })

  test('blocks of a failed attempt are not read and do not stay', async () => {
    const once = flaky(149_000, 1)
    // More than one block per partition: the first are written before the attempt fails.
    const pairs = numbers(150_000, 1).map((x): [number, number] => [x % 3, once.f(x)])
    const grouped = pairs.groupByKey({ partitions: 2 }).mapValues((list) => list.length)
    expect((await pairs.partitionBy(partitioner).count()).valueOf()).toBe(150_000)
    once.failed = 0
    // What earlier jobs keep is dropped when their RDDs are collected, whenever that is.
    const before = context.engine.blocks.stats().blocks
    const spread = numbers(150_000, 2)
      .map((x): [number, number] => [x % 3, once.f(x)])
      .partitionBy(partitioner)
    expect(await spread.count()).toBe(150_000)
    expect(once.failed).toBe(1)
    const { blocks } = context.engine.blocks.stats()
    // Two map tasks of 75,000 records, three reduce partitions, blocks of some 65,536 records in all.
    expect(blocks - before).toBeLessThanOrEqual(2 * 3 * 2)
    expect((await grouped.collect()).map(([, n]) => n)).toEqual([50_000, 50_000, 50_000])
  })
  const partitioner = {
    '~sluice': 'partitioner/1' as const,
    partitions: 3,
    partitionOf: (key: unknown) => key as number,
    equals: () => false,
  }

  test('a shuffle is visible when all its tasks have succeeded, and shared by jobs at the same time', async () => {
    let calls = 0
    const reduced = numbers(40, 4)
      .map((x): [number, number] => {
        calls++
        return [x % 5, x]
      })
      .reduceByKey(plus, { partitions: 3 })
    const results = await Promise.all([reduced.collect(), reduced.collect(), reduced.count(), reduced.take(5)])
    expect(calls).toBe(40)
    expect(results[0]).toHaveLength(5)
    expect(results[1]).toEqual(results[0])
    expect(results.slice(2)).toEqual([5, results[0]])
    await reduced.mapValues((x) => x).collect()
    expect(calls).toBe(40)
  })

  test('jobs that share a failing shuffle all fail, and a later one makes it anew', async () => {
    const some = flaky(3, 8)
    const reduced = numbers(6, 2)
      .map((x): [number, number] => [x % 2, some.f(x)])
      .reduceByKey(plus, { partitions: 2 })
    const ended = await Promise.allSettled([reduced.collect(), reduced.count(), reduced.first()])
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    some.failed = 8
    expect(new Map(await reduced.collect())).toEqual(
      new Map([
        [0, 6],
        [1, 9],
      ]),
    )
  })

  test('concurrent jobs on one sorted, indexed or text RDD see the same partitions', async () => {
    const sorted = numbers(1_000, 4).sortBy((x) => -x, { partitions: 5 })
    const parts = await Promise.all(Array.from({ length: 6 }, () => sorted.glom().collect()))
    for (const part of parts) expect(part).toEqual(parts[0])
    expect(parts[0]!.flat()).toHaveLength(1_000)
    expect(parts[0]!.filter((part) => part.length > 100)).toHaveLength(5)
    const indexed = numbers(100, 4).zipWithIndex()
    expect(await Promise.all([indexed.count(), indexed.count()])).toEqual([100, 100])
  })
})

describe('E6: nothing is changed in place that others hold', () => {
  const lists = {
    create: (x: { n: number }): { n: number }[] => [x],
    add: (all: { n: number }[], x: { n: number }): { n: number }[] => {
      all.push(x)
      return all
    },
    merge: (a: { n: number }[], b: { n: number }[]): { n: number }[] => {
      a.push(...b)
      return a
    },
  }

  test.each([1, 3])('combiners may be changed: two runs give the same (%d partitions)', async (partitions) => {
    const records = Array.from({ length: 40 }, (_, i): [number, { n: number }] => [i % 4, { n: i }])
    const source = structuredClone(records)
    const pairs = context.parallelize(records, partitions).persist('memory')
    const sum = { n: 0 }
    const inPlace = (acc: { n: number }, x: { n: number }): { n: number } => {
      acc.n += x.n
      return acc
    }
    const all = [
      pairs.combineByKey(lists, { partitions }),
      pairs.combineByKey(lists, { partitions, mapSideCombine: false }),
      pairs.groupByKey({ partitions }),
      pairs.foldByKey(sum, inPlace, { partitions }),
      pairs.aggregateByKey(sum, inPlace, inPlace, { partitions }),
    ]
    for (const rdd of all) {
      const first = structuredClone(await rdd.collect())
      expect(await rdd.collect()).toEqual(first)
      expect(await rdd.count()).toBe(4)
      expect(await rdd.collect()).toEqual(first)
    }
    expect(await pairs.values().fold({ n: 0 }, inPlace)).toEqual({ n: 780 })
    expect(await pairs.values().aggregate({ n: 0 }, inPlace, inPlace)).toEqual({ n: 780 })
    expect(sum).toEqual({ n: 0 })
    expect(await pairs.collect()).toEqual(source)
    expect(records).toEqual(source)
  })

  test('a reduce task that is tried again merges what it merged before', async () => {
    const once = flaky(2, 1)
    const reduced = numbers(30, 3)
      .map((x): [number, { n: number }] => [x % 3, { n: x }])
      .combineByKey(lists, { partitions: 1 })
      .map(([k, list]): [number, number] => [once.f(k), list.length])
    expect(await reduced.collect()).toEqual([
      [0, 10],
      [1, 10],
      [2, 10],
    ])
    expect(once.failed).toBe(1)
  })

  test("what collect gives is the caller's own array", async () => {
    const records = [1, 2, 3]
    for (const rdd of [context.parallelize(records, 1), context.parallelize(records, 1).persist('memory')]) {
      for (let run = 0; run < 2; run++) (await rdd.collect()).push(4)
      expect(await rdd.collect()).toEqual([1, 2, 3])
    }
    const kept = context
      .parallelize(records, 1)
      .map((x) => x)
      .persist('memory')
    for (let run = 0; run < 2; run++) (await kept.collect()).push(4)
    expect(await kept.collect()).toEqual([1, 2, 3])
  })
})

test('takeSample with replacement draws each time from all records', async () => {
  // 20 draws of 1,000 records: some duplicates in about one run of six.
  let withDuplicates = 0
  for (let seed = 0; seed < 200; seed++) {
    const sample = await numbers(1_000, 3).takeSample(20, { withReplacement: true, seed })
    if (new Set(sample).size < 20) withDuplicates++
  }
  expect(withDuplicates).toBeGreaterThan(10)
  expect(withDuplicates).toBeLessThan(70)
})

test('E10: a sample without a seed depends on its operator, one with a seed on that only', async () => {
  const rdd = numbers(1_000, 2)
  const [a, b] = [await rdd.sample(0.5).collect(), await rdd.sample(0.5).collect()]
  expect(a).not.toEqual(b)
  const twice = [await rdd.sample(0.5, { seed: 1 }).collect(), await rdd.sample(0.5, { seed: 1 }).collect()]
  expect(twice[0]).toEqual(twice[1])
  const partitions = await rdd.sample(0.5, { seed: 1 }).glom().collect()
  expect(partitions[0]!.map((x) => x + 500)).not.toEqual(partitions[1])
})

test('an error of the engine inside a job is TASK_FAILED with its cause', async () => {
  const broken = new Proxy([1, 2], {
    get: (target, name) => {
      if (name === '0') throw new TypeError('broken array')
      return Reflect.get(target, name) as unknown
    },
  })
  const error: unknown = await context
    .parallelize(broken, 1)
    .collect()
    .catch((e: unknown) => e)
  expect(isSluiceError(error)).toBe(true)
  expect(error).toMatchObject({ cause: expect.any(TypeError) })
})
