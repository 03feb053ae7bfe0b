/** spark-semantics.md section 3.1: operators on each batch, empty batches, missing parents, transform. */
import { describe, expect, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import type { ScopeHost } from '../scheduler/batch-scope.js'
import { BatchFunctions } from '../scheduler/batch-functions.js'
import { absent, ManualClock, runBatches, type Script } from '../testing.js'
import { seconds } from '../time/duration.js'
import type { Rdd } from '../rdd/rdd.js'
import type { DStream } from './dstream.js'

type Pairs = DStream<readonly [string, number]>

const add = (a: number, b: number): number => a + b
const script: Script<readonly [string, number]> = [
  [
    ['a', 1],
    ['b', 2],
    ['a', 3],
  ],
  [],
  absent,
  [['b', 4]],
]

/** What each operator gives for `script`: records, a batch without records, a batch without RDD, one record. */
const operators: Readonly<Record<string, readonly [(pairs: Pairs) => DStream<unknown>, readonly unknown[]]>> = {
  map: [(s) => s.map(([key]) => key), [['a', 'b', 'a'], [], absent, ['b']]],
  filter: [(s) => s.filter(([, n]) => n > 1).map(([, n]) => n), [[2, 3], [], absent, [4]]],
  flatMap: [(s) => s.flatMap(([key, n]) => Array.from({ length: n }, () => key)).count(), [[6], [0], absent, [4]]],
  mapValues: [(s) => s.mapValues((n) => -n).map(([, n]) => n), [[-1, -2, -3], [], absent, [-4]]],
  flatMapValues: [(s) => s.flatMapValues((n) => [n, n]).map(([, n]) => n), [[1, 1, 2, 2, 3, 3], [], absent, [4, 4]]],
  mapAsync: [(s) => s.mapAsync(([key]) => Promise.resolve(key)), [['a', 'b', 'a'], [], absent, ['b']]],
  glom: [(s) => s.map(([, n]) => n).glom(), [[[1, 2, 3]], [[]], absent, [[4]]]],
  mapPartitions: [(s) => s.mapPartitions((records) => [records.length]), [[3], [0], absent, [1]]],
  repartition: [
    (s) =>
      s
        .map(([, n]) => n)
        .repartition(3)
        .glom(),
    [[[1], [2], [3]], [[], [], []], absent, [[4], [], []]],
  ],
  count: [(s) => s.count(), [[3], [0], absent, [1]]],
  countByValue: [
    (s) => s.map(([key]) => key).countByValue(),
    [
      [
        ['a', 2],
        ['b', 1],
      ],
      [],
      absent,
      [['b', 1]],
    ],
  ],
  reduce: [(s) => s.map(([, n]) => n).reduce(add), [[6], [], absent, [4]]],
  transform: [(s) => s.filter(() => true).map((pair) => pair[1]), [[1, 2, 3], [], absent, [4]]],
  groupByKey: [
    (s) => s.groupByKey(),
    [
      [
        ['a', [1, 3]],
        ['b', [2]],
      ],
      [],
      absent,
      [['b', [4]]],
    ],
  ],
  reduceByKey: [
    (s) => s.reduceByKey(add),
    [
      [
        ['a', 4],
        ['b', 2],
      ],
      [],
      absent,
      [['b', 4]],
    ],
  ],
  combineByKey: [
    (s) =>
      s.combineByKey<string>({
        create: (n) => String(n),
        add: (text, n) => `${text}+${String(n)}`,
        merge: (a, b) => a + b,
      }),
    [
      [
        ['a', '1+3'],
        ['b', '2'],
      ],
      [],
      absent,
      [['b', '4']],
    ],
  ],
  partitionBy: [
    (s) =>
      s
        .partitionBy({
          '~sluice': 'partitioner/1',
          partitions: 2,
          partitionOf: (key) => (key === 'a' ? 0 : 1),
          equals: () => false,
        })
        .map(([, n]) => n)
        .glom(),
    [[[1, 3], [2]], [[], []], absent, [[], [4]]],
  ],
}

test.each(Object.entries(operators))(
  '%s: batches with records, without records, without RDD',
  async (_name, [apply, expected]) => {
    expect(await runBatches(script, apply)).toEqual(expected)
  },
)

test('count of an empty batch is 0, reduce of one has no record', async () => {
  const out = await runBatches([[], [5]], (numbers) => ({ count: numbers.count(), reduced: numbers.reduce(add) }))
  expect(out).toEqual({ count: [[0], [1]], reduced: [[], [5]] })
})

test('count and reduce span all partitions', async () => {
  const numbers = Array.from({ length: 100 }, (_, i) => i)
  const out = await runBatches(
    [numbers],
    (stream) => ({ count: stream.count(), sum: stream.repartition(7).reduce(add) }),
    { inputPartitions: 5, parallelism: 3 },
  )
  expect(out).toEqual({ count: [[100]], sum: [[4_950]] })
})

test('union: the records of the first come first, then those of the others', async () => {
  const out = await runBatches({ a: [[1], []], b: [[2], [5]], c: [[3, 4], []] }, ({ a, b, c }, ssc) => ({
    two: a.union(b),
    three: ssc.union(c, a, b),
  }))
  expect(out).toEqual({
    two: [[1, 2], [5]],
    three: [[3, 4, 1, 2], [5]],
  })
})

const together: Readonly<Record<string, (left: Pairs, right: Pairs, ssc: StreamingContext) => DStream<unknown>>> = {
  union: (left, right) => left.union(right),
  'context.union': (left, right, ssc) => ssc.union(left, right),
  transformWith: (left, right) => left.transformWith(right, (rdd) => rdd),
  'context.transform': (left, right, ssc) => ssc.transform([left, right], ([rdd]) => rdd as Rdd<unknown>),
  join: (left, right) => left.join(right),
  leftOuterJoin: (left, right) => left.leftOuterJoin(right),
  rightOuterJoin: (left, right) => left.rightOuterJoin(right),
  fullOuterJoin: (left, right) => left.fullOuterJoin(right),
  cogroup: (left, right) => left.cogroup(right),
}

test.each(Object.entries(together))(
  '%s: a parent without RDD is an error that names operator, parent, batch and remedy',
  async (name, both) => {
    const kind = name.replace('context.', '')
    const running = runBatches(
      { left: [[['a', 1]], [['a', 1]]], right: [[['a', 1]], absent] },
      ({ left, right }, ssc) => both(left as Pairs, right as Pairs, ssc),
    )
    await expect(running).rejects.toMatchObject({
      code: 'RDD_MISSING',
      component: `${kind}-0`,
      message: expect.stringContaining(
        'its parent right has no RDD for batch 2000; give an empty one where there are no records',
      ) as string,
    })
  },
)

test('joins are of the batch: a key on one side only is left, right, full or not at all', async () => {
  const out = await runBatches(
    {
      left: [
        [
          ['a', 1],
          ['b', 2],
        ],
        [['b', 3]],
      ] as const,
      right: [
        [
          ['b', 20],
          ['c', 30],
        ],
        [],
      ] as const,
    },
    ({ left, right }) => {
      const l: Pairs = left
      const r: Pairs = right
      return {
        join: l.join(r),
        left: l.leftOuterJoin(r),
        right: l.rightOuterJoin(r),
        full: l.fullOuterJoin(r),
        cogroup: l.cogroup(r),
      }
    },
  )
  expect(out).toEqual({
    join: [[['b', [2, 20]]], []],
    left: [
      [
        ['a', [1, undefined]],
        ['b', [2, 20]],
      ],
      [['b', [3, undefined]]],
    ],
    right: [
      [
        ['b', [2, 20]],
        ['c', [undefined, 30]],
      ],
      [],
    ],
    full: [
      [
        ['a', [1, undefined]],
        ['b', [2, 20]],
        ['c', [undefined, 30]],
      ],
      [['b', [3, undefined]]],
    ],
    cogroup: [
      [
        ['a', [[1], []]],
        ['b', [[2], [20]]],
        ['c', [[], [30]]],
      ],
      [['b', [[3], []]]],
    ],
  })
})

test('partitions and partitioner of shuffles are as asked for', async () => {
  const partitions: number[] = []
  await runBatches(
    [[['a', 1] as const]],
    (pairs) => {
      const note = (rdd: Rdd<unknown>): void => void partitions.push(rdd.partitions)
      pairs.reduceByKey(add).foreachRDD(note)
      pairs.reduceByKey(add, { partitions: 5 }).foreachRDD(note)
      pairs.join(pairs, { partitions: 4 }).foreachRDD(note)
      pairs
        .groupByKey({ partitions: 2 })
        .mapValues((list) => list.length)
        .foreachRDD(note)
    },
    { parallelism: 3 },
  )
  expect(partitions).toEqual([3, 5, 4, 2])
})

test('what an operator refuses is refused when the stream is declared', () => {
  const ssc = new StreamingContext({ batchInterval: seconds(1), clock: new ManualClock(), log: 'silent' })
  const pairs = ssc.queueStream<readonly [string, number]>([])
  expect(() => pairs.repartition(0)).toThrow(/\[repartition\]/)
  expect(() => pairs.reduceByKey(add, { partitions: 0 })).toThrow(/partitions/)
  expect(() => pairs.mapAsync((pair) => Promise.resolve(pair), { concurrency: 0 })).toThrow(/concurrency/)
  expect(() => pairs.transform(undefined as never)).toThrow(/\[transform\] the argument must be a function/)
  expect(() => pairs.transformWith(pairs, 5 as never)).toThrow(/\[transformWith\] the argument must be a function/)
  expect(() => pairs.reduce('sum' as never)).toThrow(/\[reduce\] the argument must be a function/)
  expect(() => pairs.updateStateByKey({} as never)).toThrow(/\[updateStateByKey\] the argument must be a function/)
  expect(() => pairs.mapWithState(null as never)).toThrow(/\[mapWithState\] the argument must be a function/)
  expect(() => pairs.mapWithState((key) => key, { timeout: -5 as never })).toThrow(/timeout/)
  expect(() => {
    pairs.foreachRDD(undefined as never)
  }).toThrow(/\[foreachRDD\] the argument must be a function/)
  const window = seconds(2)
  expect(() => pairs.reduceByKeyAndWindow(undefined as never, { window })).toThrow(/must be a function/)
  expect(() => pairs.reduceByKeyAndWindow(add, { window, inverse: 1 as never })).toThrow(/must be a function/)
  expect(() => pairs.reduceByKeyAndWindow(add, { window, inverse: add, keep: 1 as never })).toThrow(
    /must be a function/,
  )
  expect(() => pairs.reduceByKeyAndWindow(add, { window, keep: 1 as never })).toThrow(/must be a function/)
  expect(() => pairs.map(([, n]) => n).reduceByWindow(undefined as never, { window })).toThrow(/must be a function/)
})

test('a promise where a value is expected is ASYNC_FUNCTION, naming mapAsync', async () => {
  await expect(runBatches([[1]], (numbers) => numbers.map(async (n) => Promise.resolve(n)))).rejects.toMatchObject({
    code: 'ASYNC_FUNCTION',
    message: expect.stringContaining('mapAsync') as string,
  })
})

describe('transform', () => {
  test('E3: it is called once per batch when the batch starts, not at the tick', async () => {
    const calls: string[] = []
    await runBatches([[1], [2], [3]], (numbers, ssc) => {
      const clock = ssc.sluiceContext.engine.clock as ManualClock
      ssc.addListener({
        onBatchSubmitted: ({ batchTime }) => calls.push(`planned ${String(batchTime)}`),
        onBatchCompleted: ({ batchTime }) => calls.push(`committed ${String(batchTime)}`),
      })
      const first = numbers.transform((rdd, time) => {
        calls.push(`called ${String(time)}`)
        return rdd
      })
      first.foreachRDD(async (_rdd, time) => {
        // The tick of the second batch comes while the first runs.
        if (time === 1_000) await clock.advance(1_000)
      })
      first.map((n) => n).print()
    })
    expect(calls.slice(0, 7)).toEqual([
      'planned 1000',
      'called 1000',
      'planned 2000',
      'committed 1000',
      'called 2000',
      'committed 2000',
      'planned 3000',
    ])
  })

  test('it is called in its own batch also when only a window with a longer slide reads it', async () => {
    const calls: number[][] = []
    const out = await runBatches([[1], [2], [3], [4], [5], [6]], (numbers) => {
      let batch = 0
      numbers.foreachRDD((_rdd, time) => void (batch = time))
      return numbers
        .transform((rdd, time) => {
          calls.push([batch, time])
          return rdd.map((n) => n * 10)
        })
        .window(seconds(2), seconds(3))
    })
    expect(out).toEqual([absent, absent, [20, 30], absent, absent, [50, 60]])
    // Before the outputs of its batch, after those of the one before.
    expect(calls).toEqual([1, 2, 3, 4, 5, 6].map((n) => [(n - 1) * 1_000, n * 1_000]))
  })

  test('it may be asynchronous, use actions, and see the batch time', async () => {
    const out = await runBatches([[3, 4], [5]], (numbers) =>
      numbers.transform(async (rdd, time) => {
        const sum = await rdd.sum()
        return rdd.map((n) => `${String(n)} of ${String(sum)} at ${String(time)}`)
      }),
    )
    expect(out).toEqual([['3 of 7 at 1000', '4 of 7 at 1000'], ['5 of 5 at 2000']])
  })

  test('a parent without RDD is an error', async () => {
    await expect(runBatches([[1], absent], (numbers) => numbers.transform((rdd) => rdd))).rejects.toMatchObject({
      code: 'RDD_MISSING',
      component: 'transform-0',
    })
  })

  test.each([
    ['null', null],
    ['undefined', undefined],
    ['object', [1, 2]],
  ])('a result that is %s is an error that names the operator', async (what, result) => {
    const running = runBatches([[1]], (numbers) => numbers.transform(() => result as never, { name: 'enrich' }))
    await expect(running).rejects.toMatchObject({
      code: 'GRAPH_INVALID',
      message: `[enrich] the function must return an RDD, and returned ${what}; return the RDD that the batch goes on with`,
    })
  })

  test('what it throws fails the batch, naming operator and batch', async () => {
    const running = runBatches([[1]], (numbers) =>
      numbers.transform(() => {
        throw new Error('no list')
      }),
    )
    await expect(running).rejects.toMatchObject({
      code: 'USER_FUNCTION_FAILED',
      message: "[transform-0] the function threw in batch 1000: no list; see the cause's stack",
    })
  })

  test('side data are read once per batch, and may change from batch to batch', async () => {
    let reads = 0
    const lists = [['a'], ['b'], ['a', 'b']]
    const out = await runBatches(
      [
        ['a', 'b'],
        ['a', 'b'],
        ['a', 'b'],
      ],
      (words) => {
        const allowed = words.transform((rdd, _time, list) => rdd.filter((word) => !list.includes(word)), {
          sideData: () => Promise.resolve(lists[reads++] ?? []),
        })
        return [allowed, allowed.count()]
      },
    )
    expect(out[0]).toEqual([['b'], ['a'], []])
    expect(reads).toBe(3)
  })

  test('E10: side data of a batch that runs again are those that were recorded', async () => {
    const host = {} as ScopeHost
    const { signal } = new AbortController()
    const job = { app: 'app', batchTime: 1_000, signal }
    const first = new BatchFunctions(host, job)
    expect(await first.sideData('transform-0', () => ['a'])).toEqual(['a'])
    const again = new BatchFunctions(host, job, first.sideDataRead)
    expect(await again.sideData('transform-0', () => ['newer'])).toEqual(['a'])
    expect(again.sideDataRead).toEqual(first.sideDataRead)
  })

  test('E10: the function cannot change what is recorded', async () => {
    const running = runBatches([[1]], (numbers) =>
      numbers.transform(
        (rdd, _time, list) => {
          list.push('x')
          return rdd
        },
        { sideData: () => ['a'] },
      ),
    )
    await expect(running).rejects.toMatchObject({ code: 'FROZEN_VALUE', component: 'transform-0' })
    const out = await runBatches([[1]], (numbers) =>
      numbers.transform((rdd, _time, map) => (map.set('b', 2), rdd.map(() => map.size)), {
        sideData: () => new Map([['a', 1]]),
      }),
    )
    expect(out).toEqual([[2]])
  })

  test('transformWith and context.transform give all RDDs, the time and side data', async () => {
    const out = await runBatches({ left: [[1], [2]], right: [[10], [20]] }, ({ left, right }, ssc) => ({
      two: left.transformWith(right, (a, b, time, factor) => a.union(b).map((n) => n * factor + time), {
        sideData: () => 2,
      }),
      many: ssc.transform([left, right, left], ([a, b, c], time) => {
        return (a as Rdd<number>)
          .union(b as Rdd<number>)
          .union(c as Rdd<number>)
          .map((n) => n + time)
      }),
    }))
    expect(out).toEqual({
      two: [
        [1_002, 1_020],
        [2_004, 2_040],
      ],
      many: [
        [1_001, 1_010, 1_001],
        [2_002, 2_020, 2_002],
      ],
    })
  })

  test('E25: an action that is not awaited belongs to the batch, and its rejection fails it', async () => {
    const ended: number[] = []
    await runBatches([[1], [2]], (numbers, ssc) => {
      ssc.addListener({ onBatchCompleted: ({ batchTime }) => ended.push(-batchTime) })
      numbers
        .transform((rdd, time) => {
          void rdd.foreachPartition(async () => {
            for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
            ended.push(time)
          })
          return rdd
        })
        .print()
    })
    expect(ended).toEqual([1_000, -1_000, 2_000, -2_000])
    const failing = runBatches([[1]], (numbers) => {
      numbers
        .transform((rdd) => {
          void rdd.foreach(() => {
            throw new Error('stray')
          })
          return rdd
        })
        .print()
    })
    await expect(failing).rejects.toThrow(/stray/)
  })

  test('E25: an action on an RDD of an ended batch is an error', async () => {
    let kept: Rdd<number> | undefined
    const running = runBatches([[1], [2]], (numbers) =>
      numbers
        .transform((rdd) => {
          kept ??= rdd
          return kept.map((n) => n)
        })
        .transform(async (rdd, time) => {
          if (time === 2_000) await kept?.count()
          return rdd
        }),
    )
    await expect(running).rejects.toMatchObject({ code: 'ACTION_OUTSIDE_BATCH' })
  })
})
