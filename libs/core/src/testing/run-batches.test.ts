import { expect, expectTypeOf, test, vi } from 'vitest'
import { isSluiceError } from '../errors.js'
import { pair } from '../rdd/types.js'
import type { Sink } from '../sink/sink.js'
import { milliseconds, seconds } from '../time/duration.js'
import { absent } from '../input/queue-source.js'
import { runBatches, type Batches } from './run-batches.js'

/** Of the event loop for one simulated batch. */
const MOST_TURNS = 20

test('gives what the stream had in each batch, absent where it had no RDD', async () => {
  const out = await runBatches([[1, 2], absent, [], [3]], (numbers) => numbers.map((n) => n * 2))
  expectTypeOf(out).toEqualTypeOf<Batches<number>>()
  expect(out).toEqual([[2, 4], absent, [], [6]])
})

test('pairs are inferred as pairs', async () => {
  const out = await runBatches(
    [
      [
        ['a', 1],
        ['a', 2],
      ],
      [['b', 3]],
    ],
    (pairs) => pairs.reduceByKey((a, b) => a + b),
  )
  expectTypeOf(out).toEqualTypeOf<Batches<readonly [key: string, value: number]>>()
  expect(out).toEqual([[['a', 3]], [['b', 3]]])
})

test('several inputs have names, and so have several outputs', async () => {
  const out = await runBatches({ words: [['x'], ['y', 'z']], numbers: [[1], absent, [3]] }, ({ words, numbers }) => ({
    lengths: words.map((word) => word.length),
    doubled: numbers.map((n) => n * 2),
  }))
  expectTypeOf(out).toEqualTypeOf<{ lengths: Batches<number>; doubled: Batches<number> }>()
  expect(out).toEqual({ lengths: [[1], [1, 1], []], doubled: [[2], absent, [6]] })
})

test('a tuple of streams gives a tuple', async () => {
  const [same, text] = await runBatches([[1], [2]], (numbers) => [numbers, numbers.map(String)])
  expectTypeOf(same).toEqualTypeOf<Batches<number>>()
  expectTypeOf(text).toEqualTypeOf<Batches<string>>()
  expect([same, text]).toEqual([
    [[1], [2]],
    [['1'], ['2']],
  ])
})

test('a graph may have outputs of its own and return nothing', async () => {
  const seen: number[][] = []
  const times: number[] = []
  const out = await runBatches([[1], [2]], (numbers) => {
    numbers.foreachRDD(async (rdd, time) => {
      seen.push(await rdd.collect())
      times.push(time)
    })
  })
  expectTypeOf(out).toEqualTypeOf<undefined>()
  expect(out).toBeUndefined()
  expect(seen).toEqual([[1], [2]])
  expect(times).toEqual([1_000, 2_000])
})

test('state lives from batch to batch', async () => {
  const out = await runBatches([['a', 'b'], absent, ['a']], (words) =>
    words.map((word) => pair(word, 1)).updateStateByKey<number>((ones, sum = 0) => sum + ones.length),
  )
  expect(out).toEqual([
    [
      ['a', 1],
      ['b', 1],
    ],
    [
      ['a', 1],
      ['b', 1],
    ],
    [
      ['a', 2],
      ['b', 1],
    ],
  ])
})

test('interval, start, number of batches and partitions are options', async () => {
  const times: number[] = []
  const partitions: number[] = []
  const out = await runBatches(
    [[1, 2, 3]],
    (numbers) => {
      numbers.foreachRDD((rdd, time) => {
        times.push(time)
        partitions.push(rdd.partitions)
      })
      return numbers
    },
    { batchInterval: milliseconds(250), startMs: 1_100, batches: 3, inputPartitions: 2 },
  )
  expect(out).toEqual([[1, 2, 3], [], []])
  expect(times).toEqual([1_250, 1_500, 1_750])
  expect(partitions).toEqual([2, 2, 2])
})

test('rejects with the error of the first batch that failed, and no later one runs', async () => {
  const ran: number[] = []
  const running = runBatches([[1], [2], [3]], (numbers) => {
    numbers.foreachRDD(async (rdd, time) => {
      ran.push(time)
      await rdd.foreach((n) => {
        if (n === 2) throw new Error('two is too much')
      })
    })
  })
  await expect(running).rejects.toSatisfy((error) => isSluiceError(error, 'USER_FUNCTION_FAILED'))
  expect(ran).toEqual([1_000, 2_000])
})

test('rejects with what the graph throws, and when there is no output', async () => {
  const broken = runBatches([[1]], () => {
    throw new Error('no graph')
  })
  await expect(broken).rejects.toThrow('no graph')
  await expect(runBatches([[1]], () => undefined)).rejects.toSatisfy((error) => isSluiceError(error, 'GRAPH_INVALID'))
})

test('a back-off inside a batch passes by itself', async () => {
  let tries = 0
  const sink: Sink<number> = {
    '~sluice': 'sink/1',
    name: 'flaky',
    target: 'nowhere',
    guarantee: { level: 'at-least-once', condition: 'it is a test' },
    writePartition() {
      tries++
      return tries < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve()
    },
  }
  await runBatches([[1]], (numbers) => {
    numbers.to(sink, { retry: { minDelay: seconds(3) } })
  })
  expect(tries).toBe(3)
})

test('a program may stop its own context: what ran until then is given', async () => {
  const out = await runBatches([[1], [2], [3]], (numbers, ssc) => {
    numbers.foreachRDD((_rdd, time) => {
      if (time === 2_000) void ssc.stop()
    })
    return numbers
  })
  expect(out.slice(0, 2)).toEqual([[1], [2]])
})

test('an hour of batches waits for nothing: no timer, and a few turns of the event loop for each', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const turns = vi.spyOn(globalThis, 'setImmediate')
  try {
    const script = Array.from({ length: 3_600 }, (_, i) => [i])
    const out = await runBatches(script, (numbers) => numbers.map((n) => n + 1))
    expect(out).toHaveLength(3_600)
    expect(out.at(-1)).toEqual([3_600])
    // One may watch that the run is not stuck.
    expect(timers.mock.calls.length).toBeLessThan(10)
    expect(turns.mock.calls.length).toBeLessThan(3_600 * MOST_TURNS)
  } finally {
    timers.mockRestore()
    turns.mockRestore()
  }
})
