/** spark-semantics.md section 3.2: windows, plain and kept up to date by an inverse. */
import { describe, expect, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import type { State } from '../state/map-with-state.js'
import { absent, ManualClock, runBatches, type Script } from '../testing.js'
import { milliseconds, seconds, type Duration } from '../time/duration.js'
import type { DStream } from './dstream.js'
import { self } from './dstream-impl.js'

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b
const inverse = subtract

const contextOf = (): StreamingContext =>
  new StreamingContext({ batchInterval: seconds(1), clock: new ManualClock(), log: 'silent', signals: false })

/** A batch for each number, holding just it. */
const upTo = (n: number): number[][] => Array.from({ length: n }, (_, i) => [i + 1])

const keyed = (...batches: readonly string[]): Script<readonly [string, number]> =>
  batches.map((keys) => [...keys].map((key) => [key, 1] as const))

function jumpInBatch(ssc: StreamingContext, stream: DStream<unknown>, at: readonly number[], ms: number): void {
  const clock = ssc.sluiceContext.engine.clock as ManualClock
  stream.foreachRDD((_rdd, time) => {
    if (at.includes(time)) clock.jumpTo(clock.now() + ms)
  })
}

test('a window is the records of its last batches; at first of what there is', async () => {
  const out = await runBatches(upTo(5), (numbers) => numbers.window(seconds(3)))
  expect(out).toEqual([[1], [1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
})

test('a slide of several batches: the first result comes after one slide, with a partial window', async () => {
  const out = await runBatches(upTo(6), (numbers) => numbers.window(seconds(5), seconds(2)))
  expect(out).toEqual([absent, [1, 2], absent, [1, 2, 3, 4], absent, [2, 3, 4, 5, 6]])
})

test('a slide longer than the window leaves batches out', async () => {
  const out = await runBatches(upTo(6), (numbers) => numbers.window(seconds(1), seconds(3)))
  expect(out).toEqual([absent, absent, [3], absent, absent, [6]])
})

test('a window is always there: empty without records, also without RDDs', async () => {
  const out = await runBatches([absent, [], absent, [4], absent], (numbers) => numbers.window(seconds(2)))
  expect(out).toEqual([[], [], [], [4], [4]])
})

test('windows of windows: slides are multiples of those before', async () => {
  const out = await runBatches(upTo(8), (numbers) => {
    const pairs = numbers.window(seconds(2), seconds(2))
    return [pairs, pairs.window(seconds(4), seconds(4)), pairs.window(seconds(4))]
  })
  expect(out).toEqual([
    [absent, [1, 2], absent, [3, 4], absent, [5, 6], absent, [7, 8]],
    [absent, absent, absent, [1, 2, 3, 4], absent, absent, absent, [5, 6, 7, 8]],
    [absent, [1, 2], absent, [1, 2, 3, 4], absent, [3, 4, 5, 6], absent, [5, 6, 7, 8]],
  ])
})

test('window and slide must be multiples of the slide of the parent: the error names operator, value and remedy', () => {
  const numbers = contextOf().queueStream<number>([])
  expect(() => numbers.window(milliseconds(2_400))).toThrow(
    '[window-0] the window of 2400 ms must be a multiple of the slide of its parent inputStream-0, 1 s; use 2 s',
  )
  expect(() => numbers.window(seconds(2), milliseconds(100))).toThrow(
    '[window-1] the slide of 100 ms must be a multiple of the slide of its parent inputStream-0, 1 s; use 1 s',
  )
  expect(() => numbers.window(0 as Duration)).toThrow(/the window of 0 ms must be a multiple/)
  const wide = numbers.window(seconds(4), seconds(2), { name: 'wide' })
  expect(() => wide.window(seconds(3))).toThrow(
    /the window of 3 s must be a multiple of the slide of its parent wide, 2 s/,
  )
  const pairs = numbers.map((n) => [n, n])
  const bad = { window: milliseconds(1_500) }
  expect(() => pairs.reduceByKeyAndWindow(add, bad)).toThrow(/1500 ms must be a multiple/)
  expect(() => pairs.reduceByKeyAndWindow(add, { ...bad, inverse, name: 'sums' })).toThrow(
    /\[sums\] the window of 1500 ms must be a multiple/,
  )
  expect(() => pairs.groupByKeyAndWindow(bad)).toThrow(/1500 ms must be a multiple/)
  expect(() => numbers.countByWindow(bad)).toThrow(/1500 ms must be a multiple/)
  expect(() => numbers.countByValueAndWindow(bad)).toThrow(/1500 ms must be a multiple/)
  expect(() => numbers.reduceByWindow(add, bad)).toThrow(/1500 ms must be a multiple/)
})

test('the slices of a window are computed once, and kept as long as they are in one', async () => {
  let calls = 0
  await runBatches(upTo(5), (numbers) =>
    numbers
      .map((n) => {
        calls++
        return n
      })
      .window(seconds(3)),
  )
  expect(calls).toBe(5)
  const numbers = contextOf().queueStream<number>([])
  numbers.window(seconds(3))
  expect(self(numbers).node.level).toBe('memory-and-disk')
})

test('windows hold when memory is short', async () => {
  const out = await runBatches(
    Array.from({ length: 6 }, (_, b) => Array.from({ length: 500 }, (_, i) => b * 500 + i)),
    (numbers) =>
      numbers
        .map((n) => n)
        .window(seconds(3))
        .reduce(add),
    { memoryBudgetBytes: 3_000 },
  )
  const sum = (from: number, to: number): number => ((to - from) * (from + to - 1)) / 2
  expect(out).toEqual([0, 0, 0, 1, 2, 3].map((first, b) => [sum(first * 500, (b + 1) * 500)]))
})

describe('windows over', () => {
  test('a receiver stream: its blocks stay as long as a window needs them', async () => {
    const seen: number[][] = []
    await runBatches([[], [], [], []], (ticks, ssc) => {
      let store: (n: number) => Promise<void> = () => Promise.resolve()
      const received = ssc.receiverStream<number>({
        '~sluice': 'receiver/1',
        onStart: (context) => {
          store = (n) => context.store(n)
        },
        onStop: () => undefined,
      })
      ticks.foreachRDD(async (_rdd, time) => {
        await store(time / 1_000)
      })
      received.window(seconds(2)).foreachRDD(async (rdd) => void seen.push(await rdd.collect()))
    })
    expect(seen).toEqual([[], [1], [1, 2], [2, 3]])
  })

  test('state: each slice is the state as it was (E4)', async () => {
    const out = await runBatches(keyed('a', 'ab', '', 'b'), (pairs) => {
      const counts = pairs.updateStateByKey<number>((ones, sum = 0) => sum + ones.length)
      return [
        counts.window(seconds(2)),
        counts.window(seconds(2), seconds(2)),
        counts.map(([, n]) => n).window(seconds(3), seconds(4)),
      ]
    })
    const slices = [
      [['a', 1]],
      [
        ['a', 2],
        ['b', 1],
      ],
      [
        ['a', 2],
        ['b', 1],
      ],
      [
        ['a', 2],
        ['b', 2],
      ],
    ]
    expect(out[0]).toEqual([slices[0], slices.slice(0, 2).flat(), slices.slice(1, 3).flat(), slices.slice(2).flat()])
    expect(out[1]).toEqual([absent, slices.slice(0, 2).flat(), absent, slices.slice(2).flat()])
    expect(out[2]).toEqual([absent, absent, absent, [2, 1, 2, 1, 2, 2]])
  })

  test('snapshots: each is that of its batch, also where only the window reads them (E4)', async () => {
    const out = await runBatches(keyed('a', 'ab', 'b', 'b'), (pairs) => {
      const counts = pairs.mapWithState((_key, one = 0, state: State<number>) => {
        state.update((state.getOption() ?? 0) + one)
        return one
      })
      return [counts.stateSnapshots().window(seconds(2), seconds(2)), counts.window(seconds(4), seconds(4))]
    })
    expect(out[0]).toEqual([
      absent,
      [
        ['a', 1],
        ['a', 2],
        ['b', 1],
      ],
      absent,
      [
        ['a', 2],
        ['b', 2],
        ['a', 2],
        ['b', 3],
      ],
    ])
    expect(out[1]).toEqual([absent, absent, absent, [1, 1, 1, 1, 1]])
  })

  test('transform, union and join', async () => {
    const out = await runBatches(upTo(4), (numbers) => {
      const tens = numbers.transform((rdd) => rdd.map((n) => n * 10))
      const keyedNumbers = numbers.map((n) => ['k', n])
      return [
        tens.window(seconds(2)),
        tens.union(numbers).window(seconds(2), seconds(4)),
        keyedNumbers
          .join(keyedNumbers)
          .map(([, [a, b]]) => a + b)
          .window(seconds(2), seconds(2)),
      ]
    })
    expect(out).toEqual([
      [[10], [10, 20], [20, 30], [30, 40]],
      [absent, absent, absent, [30, 3, 40, 4]],
      [absent, [2, 4], absent, [6, 8]],
    ])
  })

  test('a windowed reduction', async () => {
    const out = await runBatches(keyed('a', 'a', 'a', 'a', 'a', 'a'), (pairs) =>
      pairs.reduceByKeyAndWindow(add, { window: seconds(2), slide: seconds(2), inverse }).window(seconds(4)),
    )
    expect(out).toEqual([
      absent,
      [['a', 2]],
      absent,
      [
        ['a', 2],
        ['a', 2],
      ],
      absent,
      [
        ['a', 2],
        ['a', 2],
      ],
    ])
  })
})

describe.each([
  ['plain', {}],
  ['with an inverse', { inverse }],
])('reduceByKeyAndWindow, %s', (_name, form) => {
  const sums = (script: Script<readonly [string, number]>, options: { window: Duration; slide?: Duration }) =>
    runBatches(script, (pairs) => pairs.reduceByKeyAndWindow(add, { ...options, ...form }))

  test('a key is there as long as a batch in the window holds it, and goes by itself', async () => {
    expect(await sums(keyed('aab', 'b', '', 'a', ''), { window: seconds(2) })).toEqual([
      [
        ['a', 2],
        ['b', 1],
      ],
      [
        ['a', 2],
        ['b', 2],
      ],
      [['b', 1]],
      [['a', 1]],
      [['a', 1]],
    ])
  })

  test('a key whose value is zero stays: it is still in the window', async () => {
    const out = await runBatches([[['a', 1] as const], [['a', -1] as const], [], []], (pairs) =>
      pairs.reduceByKeyAndWindow(add, { window: seconds(2), ...form }),
    )
    expect(out).toEqual([[['a', 1]], [['a', 0]], [['a', -1]], []])
  })

  test('slides of several batches', async () => {
    expect(await sums(keyed('a', 'b', 'a', 'a', 'b', ''), { window: seconds(4), slide: seconds(2) })).toEqual([
      absent,
      [
        ['a', 1],
        ['b', 1],
      ],
      absent,
      [
        ['a', 3],
        ['b', 1],
      ],
      absent,
      [
        ['a', 2],
        ['b', 1],
      ],
    ])
  })

  test('a slide longer than the window', async () => {
    expect(await sums(keyed('a', 'ab', 'b', 'a', 'a', 'b'), { window: seconds(2), slide: seconds(3) })).toEqual([
      absent,
      absent,
      [
        ['a', 1],
        ['b', 2],
      ],
      absent,
      absent,
      [
        ['a', 1],
        ['b', 1],
      ],
    ])
  })

  test('batches without RDD, and none ever', async () => {
    const script: Script<readonly [string, number]> = [absent, [['a', 1]], absent, absent]
    expect(await sums(script, { window: seconds(2) })).toEqual([[], [['a', 1]], [['a', 1]], []])
    expect(await sums([absent, absent], { window: seconds(2) })).toEqual([[], []])
  })

  test('keep leaves keys out of the result, not out of the window', async () => {
    // Spark's filter forgets the key, and a later result throws, or counts anew.
    const out = await runBatches(keyed('a', 'a', '', 'a', ''), (pairs) =>
      pairs.reduceByKeyAndWindow(add, { window: seconds(3), keep: (_key, n) => n > 1, ...form }),
    )
    expect(out).toEqual([[], [['a', 2]], [['a', 2]], [['a', 2]], []])
  })

  test('over a stream with a slide of its own', async () => {
    const out = await runBatches(keyed('a', 'a', 'a', 'a', 'a', 'a'), (pairs) =>
      pairs.window(seconds(2), seconds(2)).reduceByKeyAndWindow(add, { window: seconds(4), ...form }),
    )
    expect(out).toEqual([absent, [['a', 2]], absent, [['a', 4]], absent, [['a', 4]]])
  })

  test('E12: batches that were skipped have left the window, however many', async () => {
    const out = await runBatches(keyed('a', 'ab', 'b', 'a', '', ''), (pairs, ssc) => {
      jumpInBatch(ssc, pairs, [2_000], 1_000)
      jumpInBatch(ssc, pairs, [5_000], 60_000)
      return pairs.reduceByKeyAndWindow(add, { window: seconds(3), ...form })
    })
    // Batches at 1, 2, 4, 5, 66, 67 s.
    expect(out).toEqual([
      [['a', 1]],
      [
        ['a', 2],
        ['b', 1],
      ],
      [
        ['a', 1],
        ['b', 2],
      ],
      !('inverse' in form)
        ? [
            ['b', 1],
            ['a', 1],
          ]
        : [
            ['a', 1],
            ['b', 1],
          ],
      [],
      [],
    ])
  })

  test('E12: a result that falls into skipped time is left out, and the next is of its own window', async () => {
    const out = await runBatches(keyed(...Array.from({ length: 16 }, () => 'a')), (pairs, ssc) => {
      // Results are due at 3, 6, 9, … s; after the jumps there are none at 6 and 9.
      jumpInBatch(ssc, pairs, [5_000, 8_000], 1_000)
      jumpInBatch(ssc, pairs, [13_000], 7_200_000)
      return pairs.reduceByKeyAndWindow(add, { window: seconds(6), slide: seconds(3), ...form })
    })
    // Batches at 1 2 3 4 5 7 8 10 11 12 13, then 7214 7215 … s.
    expect(out).toEqual([
      absent,
      absent,
      [['a', 3]],
      absent,
      absent,
      absent,
      absent,
      absent,
      absent,
      [['a', 5]],
      absent,
      absent,
      [['a', 2]],
      absent,
      absent,
      [['a', 5]],
    ])
  })

  test('partitions, composite keys', async () => {
    const out = await runBatches(
      [[[{ id: 1, at: ['x', 2] }, 5] as const], [[{ at: ['x', 2], id: 1 }, 6] as const]],
      (pairs) => pairs.reduceByKeyAndWindow(add, { window: seconds(2), partitions: 3, ...form }),
    )
    expect(out).toEqual([[[{ id: 1, at: ['x', 2] }, 5]], [[{ id: 1, at: ['x', 2] }, 11]]])
  })
})

test('with an inverse a result costs what enters and leaves, not what is inside', async () => {
  let reduced = 0
  let taken = 0
  await runBatches(keyed(...Array.from({ length: 40 }, () => 'ab')), (pairs) =>
    pairs.reduceByKeyAndWindow((a, b) => (reduced++, a + b), {
      window: seconds(20),
      inverse: (a, b) => (taken++, a - b),
    }),
  )
  // Per batch and key: once in (but for the first), and from the 21st batch on once out.
  expect([reduced, taken]).toEqual([2 * 39, 2 * 20])
})

test('an inverse, reduce or keep that throws names the operator and the key', async () => {
  const boom = (): never => {
    throw new Error('boom')
  }
  const run = (options: object) =>
    runBatches(keyed('a', 'a', 'a'), (pairs) =>
      pairs.reduceByKeyAndWindow(add, { window: seconds(2), inverse, ...options, name: 'sums' }),
    )
  await expect(run({ inverse: boom })).rejects.toMatchObject({
    code: 'USER_FUNCTION_FAILED',
    message: expect.stringMatching(
      /\[sums\] the function threw in partition 0 of batch 3000, record \["a",1\]: boom/,
    ) as string,
  })
  await expect(run({ keep: boom })).rejects.toMatchObject({ component: 'sums', code: 'USER_FUNCTION_FAILED' })
})

test('a function that returns undefined is told so, not taken for a key that goes', async () => {
  const running = runBatches(keyed('a', 'a'), (pairs) =>
    pairs.reduceByKeyAndWindow(() => undefined as never, { window: seconds(2), inverse, name: 'sums' }),
  )
  await expect(running).rejects.toMatchObject({
    code: 'STATE_INVALID',
    message: expect.stringMatching(/\[sums\] the value of key "a" is undefined; .*forgets to return/) as string,
  })
})

test('countByWindow: a count at each slide, 0 from the first on', async () => {
  const out = await runBatches([[], [1, 2], [3], absent, [], []], (numbers) =>
    numbers.countByWindow({ window: seconds(2) }),
  )
  expect(out).toEqual([[0], [2], [3], [1], [0], [0]])
})

test('countByValueAndWindow: values that left are gone, not counted 0', async () => {
  const out = await runBatches([['a', 'a', 'b'], ['b'], [], []], (words) =>
    words.countByValueAndWindow({ window: seconds(2), slide: seconds(1) }),
  )
  expect(out).toEqual([
    [
      ['a', 2],
      ['b', 1],
    ],
    [
      ['a', 2],
      ['b', 2],
    ],
    [['b', 1]],
    [],
  ])
})

test.each([
  ['plain', {}],
  ['with an inverse', { inverse }],
])('reduceByWindow, %s: one record, none for an empty window', async (_name, form) => {
  const out = await runBatches([[], [1, 2], [], [3], [], []], (numbers) => [
    numbers.reduceByWindow(add, { window: seconds(2), ...form }),
    numbers.reduceByWindow(add, { window: seconds(2), slide: seconds(2), keep: (_key, sum) => sum > 2, ...form }),
  ])
  expect(out).toEqual([
    [[], [3], [3], [3], [3], []],
    [absent, [3], absent, [3], absent, []],
  ])
})

test('reduceByWindow over many partitions gives one record', async () => {
  const numbers = Array.from({ length: 50 }, (_, i) => i)
  const out = await runBatches(
    [numbers, numbers],
    (stream) => [
      stream.reduceByWindow(add, { window: seconds(2) }),
      stream.reduceByWindow(add, { window: seconds(2), inverse, partitions: 4 }),
    ],
    { inputPartitions: 3, parallelism: 4 },
  )
  expect(out).toEqual([
    [[1_225], [2_450]],
    [[1_225], [2_450]],
  ])
})

test('groupByKeyAndWindow: the values of all batches of the window, in their order', async () => {
  const out = await runBatches(
    [
      [
        ['a', 1],
        ['b', 2],
        ['a', 3],
      ],
      [['a', 4]],
      [['b', 5]],
      [],
    ] as Script<readonly [string, number]>,
    (pairs) => pairs.groupByKeyAndWindow({ window: seconds(2) }),
  )
  expect(out).toEqual([
    [
      ['a', [1, 3]],
      ['b', [2]],
    ],
    [
      ['a', [1, 3, 4]],
      ['b', [2]],
    ],
    [
      ['a', [4]],
      ['b', [5]],
    ],
    [['b', [5]]],
  ])
})
