/** spark-semantics.md section 3: times, remembering, slices, levels, ids, and graphs that are closed. */
import { expect, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import type { Rdd } from '../rdd/rdd.js'
import { absent, ManualClock, runBatches } from '../testing.js'
import { harness } from '../testing/harness.js'
import { milliseconds, minutes, seconds } from '../time/duration.js'
import type { DStream } from './dstream.js'
import { self } from './dstream-impl.js'

const contextOf = (batchInterval = seconds(1)): StreamingContext =>
  new StreamingContext({ batchInterval, clock: new ManualClock(), log: 'silent', signals: false })

/** Moves the wall clock, as an administrator would. */
function jump(ssc: StreamingContext, ms: number): void {
  const clock = ssc.sluiceContext.engine.clock as ManualClock
  clock.jumpTo(clock.now() + ms)
}

const add = (a: number, b: number): number => a + b

test('a stream has an RDD at multiples of its slide after the zero time, and none between', async () => {
  const times: Record<string, number[]> = { all: [], second: [], third: [] }
  await runBatches(
    Array.from({ length: 7 }, () => [1]),
    (numbers) => {
      numbers.foreachRDD((_rdd, time) => void times['all']?.push(time))
      numbers.window(seconds(2), seconds(2)).foreachRDD((_rdd, time) => void times['second']?.push(time))
      numbers.window(seconds(1), seconds(3)).foreachRDD((_rdd, time) => void times['third']?.push(time))
    },
  )
  expect(times).toEqual({
    all: [1, 2, 3, 4, 5, 6, 7].map((s) => s * 1_000),
    second: [2_000, 4_000, 6_000],
    third: [3_000, 6_000],
  })
})

test('the zero time lies one interval before the first batch, which is aligned to the interval', async () => {
  const times: number[] = []
  await runBatches(
    [[], [], [], []],
    (numbers) => {
      numbers.window(seconds(4), seconds(4)).foreachRDD((_rdd, time) => void times.push(time))
    },
    { startMs: 10_700, batchInterval: seconds(2) },
  )
  // Batches at 12, 14, 16, 18 s; the zero time is 10 s: slides count from there, not from the epoch.
  expect(times).toEqual([14_000, 18_000])
})

test('the zero time is that of the moment at which ticks begin', async () => {
  const ssc = contextOf()
  const stream = ssc.queueStream([[1]])
  expect(() => self(stream).node.graph.zeroTime).toThrow(/graph has not been started/)
  stream.print()
  await ssc.start()
  expect(self(stream).node.graph.zeroTime).toBe(0)
  expect(self(stream).node.isValidTime(0)).toBe(false)
  expect(self(stream).node.isValidTime(1_000)).toBe(true)
  expect(self(stream).node.isValidTime(1_500)).toBe(false)
  await ssc.stop({ graceful: false })
})

test('an RDD is made once per batch, however many ask for it', async () => {
  const rdds = new Set<unknown>()
  await runBatches([[1], [2]], (numbers) => {
    const doubled = numbers.map((n) => n * 2)
    const remember = (rdd: Rdd<number>): void => void rdds.add((rdd as unknown as { node: unknown }).node)
    doubled.foreachRDD(remember)
    doubled.foreachRDD(remember)
  })
  expect(rdds.size).toBe(2)
})

test('a batch without RDD has no job in the outputs behind it', async () => {
  const times: number[] = []
  await runBatches([[1], absent, [3]], (numbers) => {
    numbers.map((n) => n).foreachRDD((_rdd, time) => void times.push(time))
  })
  expect(times).toEqual([1_000, 3_000])
})

test('a context without output is refused at start', async () => {
  const ssc = contextOf()
  ssc.queueStream([[1]]).map((n) => n)
  await expect(ssc.start()).rejects.toMatchObject({
    code: 'GRAPH_INVALID',
    message: expect.stringMatching(/no output is registered/) as string,
  })
})

test('a stream that nothing needs is never computed', async () => {
  let calls = 0
  await runBatches([[1], absent], (numbers) => {
    numbers.transform((rdd) => {
      calls++
      return rdd
    })
    numbers.map((n) => n).print()
  })
  expect(calls).toBe(0)
})

test.each([
  ['union', (a: DStream<number>, b: DStream<number>) => a.union(b)],
  ['transformWith', (a: DStream<number>, b: DStream<number>) => a.transformWith(b, (left) => left)],
  ['join', (a: DStream<number>, b: DStream<number>) => a.map((n) => [n, n]).join(b.map((n) => [n, n]))],
  ['cogroup', (a: DStream<number>, b: DStream<number>) => a.map((n) => [n, n]).cogroup(b.map((n) => [n, n]))],
  [
    'fullOuterJoin',
    (a: DStream<number>, b: DStream<number>) => a.map((n) => [n, n]).fullOuterJoin(b.map((n) => [n, n])),
  ],
])('%s of streams with different slides is an error that names operator, slides and remedy', (name, together) => {
  const ssc = contextOf()
  const numbers = ssc.queueStream<number>([])
  expect(() => together(numbers, numbers.window(seconds(2), seconds(2)))).toThrow(
    new RegExp(`\\[${name}-0\\] .*different slides, 1000 ms and 2000 ms; window one of them to the slide of the other`),
  )
})

test('streams that are windowed to the same slide can be joined', async () => {
  const out = await runBatches([[1], [2], [3], [4]], (numbers) => {
    const keyed = numbers.map((n) => [n % 2, n])
    const sums = keyed.reduceByKeyAndWindow(add, { window: seconds(4), slide: seconds(2) })
    return keyed.window(seconds(2), seconds(2)).join(sums)
  })
  expect(out).toEqual([
    absent,
    [
      [1, [1, 1]],
      [0, [2, 2]],
    ],
    absent,
    [
      [1, [3, 4]],
      [0, [4, 6]],
    ],
  ])
})

test('streams of two contexts cannot come together', () => {
  const one = contextOf().queueStream<number>([])
  const other = contextOf().queueStream<number>([])
  expect(() => one.union(other)).toThrow(/\[union-0\] the streams belong to different contexts; make them from one/)
})

test('union and transform of no stream are refused', () => {
  const ssc = contextOf()
  expect(() => (ssc.union as () => unknown)()).toThrow(/\[union\] at least one stream is needed/)
  expect(() => ssc.transform([] as never, (rdds) => rdds[0] as never)).toThrow(/\[transform\] at least one stream/)
})

// Remembering

test('slice: both ends count, and RDDs are there as long as they are remembered', async () => {
  const slices: number[][][] = []
  await runBatches([[1], [2], [3], [4], [5]], (numbers) => {
    numbers.remember(seconds(3))
    numbers.foreachRDD(async (_rdd, time) => {
      const rdds = numbers.slice(Math.max(1_000, time - 2_000), time)
      slices.push(await Promise.all(rdds.map((rdd) => rdd.collect())))
    })
  })
  expect(slices).toEqual([[[1]], [[1], [2]], [[1], [2], [3]], [[2], [3], [4]], [[3], [4], [5]]])
})

test('slice: ends between batches stand for the batch that they lie in', async () => {
  const slices: number[][][] = []
  await runBatches([[1], [2], [3], [4]], (numbers) => {
    numbers.remember(seconds(4))
    numbers.foreachRDD(async (_rdd, time) => {
      if (time < 4_000) return
      slices.push(await Promise.all(numbers.slice(2_300, 3_999).map((rdd) => rdd.collect())))
      slices.push(await Promise.all(numbers.slice(-5_000, 1_000).map((rdd) => rdd.collect())))
    })
  })
  expect(slices).toEqual([[[2], [3]], [[1]]])
})

test('slice: batches to come have no RDD yet, and asking for them does no harm', async () => {
  const counts: number[] = []
  const out = await runBatches([[1], [2], [3]], (numbers) => {
    const windowed = numbers.window(seconds(2))
    numbers.foreachRDD((_rdd, time) => void counts.push(windowed.slice(time, time + 60_000).length))
    return windowed
  })
  expect(counts).toEqual([1, 1, 1])
  expect(out).toEqual([[1], [1, 2], [2, 3]])
})

test('slice of an RDD that is forgotten is RDD_DROPPED, never something newer', async () => {
  const running = runBatches([[1], [2], [3]], (numbers) => {
    numbers.foreachRDD((_rdd, time) => void numbers.slice(time - 2_000, time))
  })
  await expect(running).rejects.toMatchObject({
    code: 'RDD_DROPPED',
    message:
      '[inputStream-0] the RDD of batch 1000 has been dropped; keep older ones with remember() on the stream or the context',
  })
})

test('slice outside a batch is refused', () => {
  expect(() =>
    contextOf()
      .queueStream([[1]])
      .slice(0, 1_000),
  ).toThrow(/\[slice\] no batch runs; call slice\(\) inside/)
})

test('remember on the context holds for all streams', async () => {
  let seen: number[][] = []
  await runBatches([[1], [2], [3]], (numbers, ssc) => {
    ssc.remember(seconds(5))
    const doubled = numbers.map((n) => n * 2)
    doubled.foreachRDD(async (_rdd, time) => {
      if (time === 3_000) seen = await Promise.all(doubled.slice(1_000, 3_000).map((rdd) => rdd.collect()))
    })
  })
  expect(seen).toEqual([[2], [4], [6]])
})

test('a stream is remembered as long as those made from it need', async () => {
  const ssc = contextOf()
  const numbers = ssc.queueStream<number>([])
  const mapped = numbers.map((n) => n)
  const windowed = mapped.window(seconds(10), seconds(2))
  windowed.remember(seconds(6))
  windowed.print()
  await ssc.start()
  expect(self(windowed).node.rememberMs).toBe(6_000)
  expect(self(mapped).node.rememberMs).toBe(16_000)
  expect(self(numbers).node.rememberMs).toBe(16_000)
  await ssc.stop({ graceful: false })
})

test('E4: slices of state are stored when they are remembered, not computed from newer state', async () => {
  const slices: (readonly [string, number])[][][] = []
  await runBatches([['a'], ['a'], ['a']], (words) => {
    const counts = words.map((word) => [word, 1]).updateStateByKey<number>((ones, sum = 0) => sum + ones.length)
    // Nothing but the slices reads them.
    counts.remember(seconds(3))
    words.foreachRDD(async (_rdd, time) => {
      if (time === 3_000) slices.push(await Promise.all(counts.slice(1_000, 3_000).map((rdd) => rdd.collect())))
    })
  })
  expect(slices).toEqual([[[['a', 1]], [['a', 2]], [['a', 3]]]])
})

test.each(['memory', 'memory-and-disk', 'disk'] as const)(
  'E4: slices of state survive a small memory at level %s',
  async (level) => {
    const slices: number[][] = []
    await runBatches(
      Array.from({ length: 4 }, () => Array.from({ length: 200 }, (_, i) => `key ${String(i)}`)),
      (words) => {
        const counts = words.map((word) => [word, 1]).updateStateByKey<number>((ones, sum = 0) => sum + ones.length)
        const sums = counts
          .persist(level)
          .map(([, count]) => count)
          .remember(seconds(4))
        sums.foreachRDD(async (_rdd, time) => {
          if (time < 4_000) return
          for (const rdd of sums.slice(1_000, 4_000)) slices.push([...new Set(await rdd.collect())])
        })
      },
      { memoryBudgetBytes: 2_000 },
    )
    expect(slices).toEqual([[1], [2], [3], [4]])
  },
)

test('E4: state that is not kept is RDD_DROPPED afterwards', async () => {
  let first: Rdd<readonly [string, number]> | undefined
  const running = runBatches([['a'], ['a']], (words) => {
    const counts = words.map((word) => [word, 1]).updateStateByKey<number>((ones, sum = 0) => sum + ones.length)
    counts.foreachRDD(async (rdd) => {
      first ??= rdd
      await rdd.union(first).collect()
    })
  })
  await expect(running).rejects.toMatchObject({
    code: 'RDD_DROPPED',
    message: expect.stringMatching(
      /\[updateStateByKey-0\] the state as of batch 1000 is not kept; keep it with remember\(\) or a window/,
    ) as string,
  })
})

test('a transform that only slice reads is called when it is remembered, and says so when it is not', async () => {
  const sums: number[] = []
  const graph = (remembered: boolean) => (numbers: DStream<number>) => {
    const doubled = numbers.transform((rdd) => rdd.map((n) => n * 2))
    if (remembered) doubled.remember(seconds(2))
    numbers.foreachRDD(async (_rdd, time) => {
      for (const rdd of doubled.slice(Math.max(time - 1_000, 1_000), time)) sums.push(await rdd.sum())
    })
  }
  await runBatches([[1], [2]], graph(true))
  expect(sums).toEqual([2, 2, 4])
  await expect(runBatches([[1]], graph(false))).rejects.toMatchObject({
    code: 'RDD_MISSING',
    message: expect.stringMatching(
      /\[transform-0\] its function was not called for batch 1000.*call remember\(\) on it before start/,
    ) as string,
  })
})

// Levels

test.each(['memory', 'memory-and-disk', 'disk'] as const)(
  'persist at %s computes each partition once',
  async (level) => {
    let calls = 0
    const out = await runBatches([[1, 2], [3]], (numbers) => {
      const counted = numbers
        .map((n) => {
          calls++
          return n + 1
        })
        .persist(level)
      return [counted, counted.map((n) => n * 10)]
    })
    expect(out).toEqual([
      [[2, 3], [4]],
      [[20, 30], [40]],
    ])
    expect(calls).toBe(3)
  },
)

test('without persist each output computes anew', async () => {
  let calls = 0
  await runBatches([[1, 2]], (numbers) => {
    const counted = numbers.map((n) => {
      calls++
      return n
    })
    return [counted, counted.map((n) => n)]
  })
  expect(calls).toBe(4)
})

test('persist on a window keeps its slices, not each window again', () => {
  const ssc = contextOf()
  const numbers = ssc.queueStream<number>([])
  const windowed = numbers.window(seconds(3))
  expect(self(numbers).node.level).toBe('memory-and-disk')
  windowed.persist('disk')
  expect(self(windowed).node.level).toBeUndefined()
  expect(self(numbers).node.level).toBe('disk')
  windowed.cache()
  expect(self(numbers).node.level).toBe('memory')
})

test('what the user persisted a stream at stays when it is windowed', () => {
  const numbers = contextOf()
    .queueStream<number>([])
    .map((n) => n)
    .persist('disk')
  numbers.window(seconds(3))
  expect(self(numbers).node.level).toBe('disk')
})

test('blocks go when their batch is forgotten', async () => {
  const blocks: number[] = []
  await runBatches(
    Array.from({ length: 12 }, (_, i) => [['k', i] as const]),
    (pairs, ssc) => {
      const { engine } = ssc.sluiceContext
      pairs.reduceByKeyAndWindow(add, { window: seconds(3) }).foreachRDD(async (rdd) => {
        await rdd.collect()
        blocks.push(engine.blocks.stats().blocks)
      })
    },
    { parallelism: 2 },
  )
  // Four slices at most: those of the window, and the one that left.
  expect(blocks.at(-1)).toBe(blocks[5])
})

test('an RDD of the context that transform uses keeps its blocks from batch to batch', async () => {
  let computed = 0
  const out = await runBatches([['a'], ['b'], ['a']], (words, ssc) => {
    const listed = ssc.sluiceContext
      .parallelize(['a'])
      .map((word) => {
        computed++
        return [word, true]
      })
      .reduceByKey((a) => a, { partitions: 2 })
      .cache()
    const all = words.transform(() => listed)
    return words
      .map((word) => [word, 1])
      .transform((rdd) => rdd.join(listed))
      .map(([word]) => word)
      .union(all.map(([word]) => word))
  })
  expect(out).toEqual([['a', 'a'], ['a'], ['a', 'a']])
  expect(computed).toBe(1)
})

// Ids (E11)

test('E11: each kind is numbered among itself, and a name takes the place of the number', () => {
  const ssc = contextOf()
  const pairs = ssc.queueStream<readonly [string, number]>([])
  const id = (stream: DStream<unknown>): string => self(stream).node.id
  const sum = (values: readonly number[], state: number | undefined): number => values.reduce(add, state ?? 0)
  expect(id(pairs)).toBe('inputStream-0')
  expect(id(ssc.queueStream([], { name: 'orders' }))).toBe('orders')
  expect(id(ssc.queueStream([]))).toBe('inputStream-2')
  expect(id(pairs.mapValues((n) => n))).toBe('mapValues-0')
  expect(id(pairs.updateStateByKey(sum))).toBe('updateStateByKey-0')
  expect(id(pairs.mapValues((n) => n))).toBe('mapValues-1')
  expect(id(pairs.updateStateByKey(sum))).toBe('updateStateByKey-1')
  expect(id(pairs.updateStateByKey(sum, { name: 'totals' }))).toBe('totals')
  expect(id(pairs.reduceByKeyAndWindow(add, { window: seconds(2), inverse: (a, b) => a - b }))).toBe(
    'reduceByKeyAndWindow-0',
  )
})

test('E11: the id of an output is of its kind too', () => {
  const ssc = contextOf()
  const stream = ssc.queueStream<number>([])
  stream.print()
  stream.foreachRDD(() => undefined)
  stream.print({ name: 'shown' })
  stream.print()
  stream.foreachRDD(() => undefined, { name: 'saved' })
  expect(self(stream).node.graph.outputs.map(({ id }) => id)).toEqual([
    'print-0',
    'foreachRDD-0',
    'shown',
    'print-2',
    'saved',
  ])
})

test('E11: a name that is used twice, empty or with a slash is refused', () => {
  const stream = contextOf().queueStream<number>([])
  stream.map((n) => n, { name: 'doubled' })
  expect(() => stream.filter(() => true, { name: 'doubled' })).toThrow(
    /\[filter\] the name 'doubled' is used twice; give each operator its own/,
  )
  expect(() => stream.map((n) => n, { name: '' })).toThrow(/\[map\] the name '' must not be empty or hold a slash/)
  expect(() => stream.map((n) => n, { name: 'a/b' })).toThrow(
    /\[map\] the name 'a\/b' must not be empty or hold a slash/,
  )
})

test('E11: a name cannot be that of another operator that has none', () => {
  const pairs = contextOf().queueStream<readonly [string, number]>([])
  const last = (values: readonly number[]): number | undefined => values.at(-1)
  pairs.updateStateByKey(last)
  expect(() => pairs.updateStateByKey(last, { name: 'updateStateByKey-0' })).toThrow(
    /'updateStateByKey-0' is used twice/,
  )
  pairs.mapValues((n) => n, { name: 'updateStateByKey-2' })
  expect(() => pairs.updateStateByKey(last)).toThrow(/'updateStateByKey-2' is used twice/)
})

// A closed graph

type Pairs = DStream<readonly [string, number]>
const w = { window: seconds(2) }
const changes: Readonly<Record<string, (pairs: Pairs, ssc: StreamingContext) => unknown>> = {
  map: (s) => s.map((pair) => pair),
  filter: (s) => s.filter(() => true),
  flatMap: (s) => s.flatMap((pair) => [pair]),
  mapValues: (s) => s.mapValues((n) => n),
  flatMapValues: (s) => s.flatMapValues((n) => [n]),
  mapAsync: (s) => s.mapAsync((pair) => Promise.resolve(pair)),
  glom: (s) => s.glom(),
  mapPartitions: (s) => s.mapPartitions((records) => records),
  repartition: (s) => s.repartition(2),
  union: (s) => s.union(s),
  count: (s) => s.count(),
  countByValue: (s) => s.countByValue(),
  reduce: (s) => s.reduce((a) => a),
  transform: (s) => s.transform((rdd) => rdd),
  transformWith: (s) => s.transformWith(s, (rdd) => rdd),
  groupByKey: (s) => s.groupByKey(),
  reduceByKey: (s) => s.reduceByKey(add),
  combineByKey: (s) => s.combineByKey<number>({ create: (v) => v, add, merge: add }),
  partitionBy: (s) =>
    s.partitionBy({ '~sluice': 'partitioner/1', partitions: 1, partitionOf: () => 0, equals: () => false }),
  join: (s) => s.join(s),
  leftOuterJoin: (s) => s.leftOuterJoin(s),
  rightOuterJoin: (s) => s.rightOuterJoin(s),
  fullOuterJoin: (s) => s.fullOuterJoin(s),
  cogroup: (s) => s.cogroup(s),
  window: (s) => s.window(seconds(2)),
  countByWindow: (s) => s.countByWindow(w),
  countByValueAndWindow: (s) => s.countByValueAndWindow(w),
  reduceByWindow: (s) => s.map(([, n]) => n).reduceByWindow(add, w),
  groupByKeyAndWindow: (s) => s.groupByKeyAndWindow(w),
  reduceByKeyAndWindow: (s) => s.reduceByKeyAndWindow(add, w),
  updateStateByKey: (s) => s.updateStateByKey<number>((values) => values.at(-1)),
  mapWithState: (s) => s.mapWithState((key) => key),
  cache: (s) => s.cache(),
  persist: (s) => s.persist(),
  remember: (s) => s.remember(seconds(5)),
  foreachRDD: (s) => {
    s.foreachRDD(() => undefined)
  },
  print: (s) => {
    s.print()
  },
  saveAsTextFiles: (s) => {
    s.saveAsTextFiles('/out')
  },
  saveAsObjectFiles: (s) => {
    s.saveAsObjectFiles('/out')
  },
  'context.union': (s, ssc) => ssc.union(s, s),
  'context.transform': (s, ssc) => ssc.transform([s], ([rdd]) => rdd as never),
  'context.queueStream': (_s, ssc) => ssc.queueStream([]),
  'context.remember': (_s, ssc) => {
    ssc.remember(minutes(1))
  },
}

test.each(Object.entries(changes))(
  '%s is refused once the context is started, and after it stopped',
  async (_name, change) => {
    const ssc = contextOf()
    const stream: Pairs = ssc.queueStream<readonly [string, number]>([])
    stream.print()
    await ssc.start()
    expect(() => change(stream, ssc)).toThrow(expect.objectContaining({ code: 'GRAPH_CHANGED_AFTER_START' }))
    expect(() => change(stream, ssc)).toThrow(/cannot be added once the context is started; declare them before start/)
    await ssc.stop({ graceful: false })
    expect(() => change(stream, ssc)).toThrow(/cannot be added once the context is stopped/)
  },
)

test('an operator that was refused leaves nothing behind', async () => {
  const out = await runBatches([[['a', 1] as const]], (pairs) => {
    expect(() => pairs.window(milliseconds(1_500))).toThrow(/multiple/)
    expect(() => pairs.reduceByKeyAndWindow(add, { window: milliseconds(1_500), inverse: add })).toThrow(/multiple/)
    return pairs
  })
  expect(out).toEqual([[['a', 1]]])
})

test('checkpoint() of a stream needs a checkpoint of the context', async () => {
  const { ssc } = harness()
  ssc.queueStream([]).checkpoint().print()
  await expect(ssc.start()).rejects.toMatchObject({ code: 'CHECKPOINT_UNAVAILABLE' })
})

test('E12: batches that a clock set forward skips are no batches: unions and joins over them are not asked for', async () => {
  const times: number[] = []
  const out = await runBatches([[1], [2], [3], [4]], (numbers, ssc) => {
    numbers.foreachRDD((_rdd, time) => {
      times.push(time)
      if (time === 2_000) jump(ssc, 3_000)
    })
    const both = numbers.union(numbers.map((n) => n * 10)).transform((rdd) => rdd)
    return both.window(seconds(5))
  })
  expect(times).toEqual([1_000, 2_000, 6_000, 7_000])
  expect(out).toEqual([
    [1, 10],
    [1, 10, 2, 20],
    [2, 20, 3, 30],
    [3, 30, 4, 40],
  ])
})
