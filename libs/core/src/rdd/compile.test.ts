import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import { isSluiceError, type SluiceError } from '../errors.js'
import type { Executor } from '../executor/executor.js'
import { runTask } from '../executor/local-executor.js'
import { LoopPacer } from '../executor/pacer.js'
import { BatchScope } from '../scheduler/batch-scope.js'
import { sourceOf, StageCache, type StageMode } from './compile.js'
import type { Op } from './op.js'
import { BucketOut, CollectOut, CombineOut, CountOut, EachOut, FoldOut } from './out.js'
import { hashPartitioner } from './partitioner.js'
import type { Rdd } from './rdd.js'
import { RddImpl, self } from './rdd-impl.js'

/** A local executor whose compiled stages can be counted. */
function executorWith(stages: StageCache): Executor {
  let pacer: LoopPacer | undefined
  return {
    '~sluice': 'executor/1',
    name: 'counted',
    parallelism: 2,
    slots: 2,
    run: (task, services) => runTask(task, services, stages, (pacer ??= new LoopPacer(services.clock))),
  }
}

let stages: StageCache
let context: SluiceContext
/** An RDD as a batch sees it, with stable operator ids. */
function inBatch<T>(rdd: Rdd<T>, batchTime: number): Rdd<T> {
  const scope = new BatchScope(context.engine, 'foreachRDD-0', { app: 'app', output: 'foreachRDD-0', batchTime })
  return new RddImpl<T>(self(rdd).node, scope)
}

function open(mode: StageMode): void {
  stages = new StageCache(mode)
  context = new SluiceContext({ executor: executorWith(stages), taskMaxFailures: 1, log: 'warn' })
}

beforeEach(() => {
  open('fused')
})

afterEach(async () => {
  await context.stop()
})

async function failure(work: () => Promise<unknown>): Promise<SluiceError> {
  try {
    await work()
  } catch (error) {
    if (isSluiceError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('generated source', () => {
  const evil = "x'); process.exit(1) // `${1}`"
  const ops: Op[] = (
    ['map', 'filter', 'flatMap', 'mapValues', 'flatMapValues', 'keyBy', 'keys', 'values'] as const
  ).map((kind, i) => ({
    kind,
    id: `${evil}${String(i)}`,
    fn: kind === 'keys' || kind === 'values' ? undefined : () => evil,
  }))
  const writer = { buckets: [[], []], pending: false, settle: () => Promise.resolve() }
  const outs = [
    new CollectOut(evil),
    new CountOut(evil),
    new CombineOut(evil, { create: () => evil, add: () => evil }),
    new CombineOut(evil, { create: () => evil, add: () => evil, lists: true }),
    new CombineOut(evil, { create: undefined, add: () => evil }),
    new CombineOut(evil, { create: undefined, add: () => evil, copies: true }),
    new BucketOut(evil, hashPartitioner(2), writer),
    new BucketOut(evil, hashPartitioner(1), writer),
    new FoldOut(evil, () => evil),
    new EachOut(evil, () => evil),
  ]

  test.each(outs.map((out) => [out.kind, 'shape' in out ? out.shape : '', out] as const))(
    'holds no text of users: %s %s',
    (_kind, _shape, out) => {
      for (const watched of [false, true]) {
        const source = sourceOf(ops, out, watched)
        expect(source).not.toContain('process')
        expect(source.split('\n')).toHaveLength(3 + ops.length + 2)
      }
    },
  )
})

describe.each(['fused', 'closures'] as const)('errors, %s', (mode) => {
  beforeEach(async () => {
    await context.stop()
    open(mode)
  })

  const boom = (x: unknown): never => {
    throw new RangeError(`boom at ${String(x)}`)
  }
  const failAt =
    <R>(bad: number, result: (x: number) => R) =>
    (x: number): R =>
      x === bad ? boom(x) : result(x)
  const same = (x: number): number => x

  type Make = (pairs: Rdd<[number, number]>, bad: number) => Rdd<unknown>
  const operators: [string, Make][] = [
    ['map', (p, bad) => p.values().map(failAt(bad, same), { name: 'culprit' })],
    [
      'filter',
      (p, bad) =>
        p.values().filter(
          failAt(bad, () => true),
          { name: 'culprit' },
        ),
    ],
    [
      'flatMap',
      (p, bad) =>
        p.values().flatMap(
          failAt(bad, (x) => [x]),
          { name: 'culprit' },
        ),
    ],
    ['keyBy', (p, bad) => p.values().keyBy(failAt(bad, same), { name: 'culprit' })],
    ['mapValues', (p, bad) => p.mapValues(failAt(bad, same), { name: 'culprit' })],
    [
      'flatMapValues',
      (p, bad) =>
        p.flatMapValues(
          failAt(bad, (x) => [x]),
          { name: 'culprit' },
        ),
    ],
    [
      'a generator of flatMap',
      (p, bad) =>
        p.values().flatMap(
          function* (x: number) {
            yield x
            if (x === bad) boom(x)
          },
          { name: 'culprit' },
        ),
    ],
    [
      'mapAsync',
      (p, bad) => p.values().mapAsync(async (x) => failAt(bad, same)(await Promise.resolve(x)), { name: 'culprit' }),
    ],
  ]

  for (const bad of [0, 1, 57, 999]) {
    test.each(operators)(
      `%s: the operator, partition, batch and record are named (record ${String(bad)})`,
      async (_kind, make) => {
        const pairs = context.parallelize(
          Array.from({ length: 1_000 }, (_, i): [number, number] => [i, i]),
          1,
        )
        const rdd = make(
          inBatch(pairs, 5_000)
            .map(([k, v]) => [k, v])
            .filter(() => true),
          bad,
        )
        const error = await failure(() => rdd.map((x) => x).count())
        expect(error.code).toBe('USER_FUNCTION_FAILED')
        expect(error.component).toBe('foreachRDD-0/culprit')
        expect(error.message).toContain('partition 0 of batch 5000')
        // In a fused stage it is the record that came into the stage.
        expect(error.message).toMatch(
          _kind === 'mapAsync' ? `record ${String(bad)}` : `record [${String(bad)},${String(bad)}]`,
        )
        expect(error.cause).toBeInstanceOf(RangeError)
        expect((error.cause as Error).stack).toContain('boom')
      },
    )
  }

  test('a record in a message is cut short, and can be anything', async () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const records: [unknown, RegExp][] = [
      ['y'.repeat(10_000), /record "y{100,}… \(10002 characters\)/],
      [circle, /record \[object Object\]/],
      [12n, /record "12"/],
      [undefined, /record undefined/],
      [NaN, /record NaN/],
      [() => 1, /record \(\) => 1/],
    ]
    for (const [record, expected] of records) {
      const error = await failure(() => context.parallelize([record], 1).map(boom).collect())
      expect(error.message).toMatch(expected)
    }
  })

  test.each([
    ['a text', 'just text', /just text/],
    ['undefined', undefined, /undefined/],
    ['an object without text form', Object.create(null), /\[object Object\]/],
    ['an error without stack', Object.assign(new Error('bare'), { stack: undefined }), /bare/],
    ['an error made elsewhere', new Error('made before'), /made before/],
  ])('%s that is thrown is the cause, and the operator is named', async (_name, thrown, message) => {
    const rdd = context
      .range(0, 10, { partitions: 1 })
      .map((x) => x + 1)
      .map(
        (x) => {
          if (x === 8) throw thrown
          return x
        },
        { name: 'culprit' },
      )
      .filter((x) => x > 0)
    const error = await failure(() => rdd.collect())
    expect(error.component).toMatch(/culprit$/)
    expect(error.message).toMatch(message)
    expect(error.cause).toBe(thrown)
  })

  test('an error from deep in a library is told to its operator', async () => {
    const deep = (n: number): number => (n === 0 ? boom('the bottom') : deep(n - 1) + 1)
    const rdd = context
      .range(0, 100)
      .map((x) => x)
      .map((x) => (x === 50 ? deep(100) : x), { name: 'culprit' })
    expect((await failure(() => rdd.count())).component).toMatch(/culprit$/)
  })

  test('functions of actions and combiners are named', async () => {
    const numbers = context.range(0, 100, { partitions: 2 })
    const pairs = numbers.map((x): [number, number] => [x % 3, x])
    const failing = failAt(40, same)
    const add = (a: number, b: number): number => (b === 40 ? boom(b) : a + b)
    const cases: [string, () => Promise<unknown>][] = [
      ['reduce', () => numbers.reduce(add)],
      ['fold', () => numbers.fold(0, add)],
      ['aggregate', () => numbers.aggregate(0, add, (a, b) => a + b)],
      [
        'aggregate',
        () =>
          numbers.aggregate<number>(
            0,
            (a, b) => a + b,
            () => boom('merge'),
          ),
      ],
      ['foreach', () => numbers.foreach((x) => void failing(x))],
      ['top', () => numbers.top(3, () => boom('compare'))],
      ['rdd:sum', () => pairs.reduceByKey(add, { name: 'sum' }).collect()],
      ['rdd:sum', () => pairs.reduceByKey((a, b) => (b > 100 ? boom('merge') : a + b), { name: 'sum' }).collect()],
      ['rdd:make', () => pairs.combineByKey<number>({ create: failing, add, merge: add }, { name: 'make' }).collect()],
      ['rdd:order', () => numbers.sortBy(same, { name: 'order', compare: () => boom('compare') }).collect()],
      ['rdd:order', () => numbers.sortBy(same, { name: 'order', partitions: 1, compare: () => boom('c') }).collect()],
      ['rdd:parts', () => numbers.mapPartitions(() => boom('parts'), { name: 'parts' }).collect()],
      ['rdd:both', () => numbers.zipPartitions(numbers, () => boom('both'), { name: 'both' }).collect()],
      ['foreachPartition', () => numbers.foreachPartition(() => boom('each'))],
    ]
    for (const [component, action] of cases) {
      const error = await failure(action)
      expect([error.code, error.component]).toEqual(['USER_FUNCTION_FAILED', component])
    }
  })

  type AnyNumber = (...args: number[]) => never
  const later = (() => Promise.reject(new Error('never seen'))) as AnyNumber
  const refused: [string, () => Promise<unknown>][] = [
    ['map', () => context.range(0, 9).map(later).count()],
    ['filter', () => context.range(0, 9).filter(later).count()],
    ['flatMap', () => context.range(0, 9).flatMap(later).count()],
    [
      'flatMap of an async generator',
      () =>
        context
          .range(0, 9)
          .flatMap(async function* () {
            await Promise.resolve()
            yield later()
          } as never)
          .count(),
    ],
    ['keyBy', () => context.range(0, 9).keyBy(later).count()],
    ['mapValues', () => pairs().mapValues(later).count()],
    ['flatMapValues', () => pairs().flatMapValues(later).count()],
    [
      'map behind a filter that lets late records through',
      () =>
        context
          .range(0, 5_000)
          .filter((x) => x > 4_000)
          .map(later)
          .filter(() => false)
          .count(),
    ],
    [
      'map behind an empty flatMap',
      () =>
        context
          .range(0, 99)
          .flatMap((x) => (x < 50 ? [] : [x]))
          .map(later)
          .count(),
    ],
    ['reduce', () => context.range(0, 9, { partitions: 1 }).reduce(later)],
    ['reduce of two partitions', () => context.range(0, 2, { partitions: 2 }).reduce(later)],
    ['fold', () => context.range(0, 9).fold(0, later)],
    ['aggregate', () => context.range(0, 9).aggregate<number>(0, (a, b) => a + b, later)],
    ['foreach', () => context.range(0, 9).foreach(later)],
    ['reduceByKey', () => pairs().reduceByKey(later).collect()],
    [
      'reduceByKey whose keys repeat late',
      () =>
        context
          .range(0, 1_000)
          .map((x): [number, number] => [x % 900, x])
          .reduceByKey(later)
          .collect(),
    ],
    ['create', () => pairs().combineByKey({ create: later, add: later, merge: later }).collect()],
    [
      'merge',
      () =>
        pairs(2)
          .combineByKey<number>({ create: (x) => x, add: (a, b) => a + b, merge: later })
          .collect(),
    ],
    ['groupBy', () => context.range(0, 9).groupBy(later).collect()],
    ['sortBy', () => context.range(0, 9).sortBy(later).collect()],
  ]
  function pairs(partitions = 1): Rdd<[number, number]> {
    return context.range(0, 99, { partitions }).map((x): [number, number] => [x % 3, x])
  }

  test.each(refused)('ASYNC_FUNCTION: %s, and no rejection is left behind', async (_name, action) => {
    const left: unknown[] = []
    const onUnhandled = (reason: unknown): void => void left.push(reason)
    process.on('unhandledRejection', onUnhandled)
    try {
      const error = await failure(action)
      expect(error.code).toBe('ASYNC_FUNCTION')
      expect(error.message).toContain('mapAsync')
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(left).toEqual([])
    } finally {
      process.off('unhandledRejection', onUnhandled)
    }
  })

  test('a partitioner that names no partition is an error, never a lost record', async () => {
    for (const index of [2, -1, NaN, 0.5]) {
      const partitioner = { ...hashPartitioner(2), '~sluice': 'partitioner/1' as const, partitions: 2 }
      const wrong = Object.assign(partitioner, {
        partitionOf: (x: unknown) => ((x as number) > 40 ? index : 0),
        equals: () => false,
      })
      const spread = context.range(0, 99, { partitions: 3 }).map((x): [number, number] => [x, x])
      for (const rdd of [spread.partitionBy(wrong), spread.reduceByKey((a, b) => a + b, { partitioner: wrong })]) {
        const error = await failure(() => rdd.collect())
        expect(error.code).toBe('ARGUMENT_INVALID')
        expect(error.message).toContain(`to partition ${String(index)} of 2`)
      }
    }
  })
})

describe('compiled stages are used again', () => {
  test('by every run of the same RDD', async () => {
    const rdd = context
      .range(0, 50, { partitions: 3 })
      .map((x): [number, number] => [x % 7, x])
      .filter(([k]) => k > 0)
    const shuffled = [
      rdd.groupByKey({ partitions: 3 }),
      rdd.reduceByKey((a, b) => a + b),
      rdd.aggregateByKey(
        0,
        (a, b) => a + b,
        (a, b) => a + b,
      ),
      rdd.partitionBy(hashPartitioner(4)),
      rdd.repartition(3).sample(0.5),
      rdd.sortByKey({ partitions: 3 }),
    ]
    const run = async (): Promise<void> => {
      await rdd.count()
      for (const each of shuffled) await each.collect()
    }
    await run()
    const { size } = stages
    for (let i = 0; i < 20; i++) await run()
    expect(stages.size).toBe(size)
  })

  test('in every batch, for new RDDs with new closures', async () => {
    const batch = async (time: number): Promise<number[]> => {
      const source = context.parallelize([1, 2, 3, 4], 2)
      const rdd = inBatch(source, time)
        .map((x): [number, number] => [x % 2, x + time])
        .filter(([, x]) => x >= 0)
        .reduceByKey((a, b) => a + b)
        .groupBy(([k]) => k, { partitions: 3 })
      const all = await rdd.collect()
      return all.flatMap(([, group]) => group.map(([, sum]) => sum)).sort((a, b) => a - b)
    }
    expect(await batch(0)).toEqual([4, 6])
    const { size } = stages
    for (let time = 1; time < 100; time++) expect(await batch(time)).toEqual([4 + 2 * time, 6 + 2 * time])
    expect(stages.size).toBe(size)
  })

  test('but not by operators whose names only look alike', () => {
    const op = (kind: 'map' | 'filter', id: string): Op => ({ kind, id, fn: (x: number) => x })
    const cases = [
      [op('map', 'a|filter:1:b')],
      [op('map', 'a|filter:b')],
      [op('map', 'a'), op('filter', 'b')],
      [op('map', 'a'), op('map', 'b')],
    ]
    for (const ops of cases)
      stages.stage(
        ops,
        ops.map(({ fn }) => fn as never),
        new CountOut('count'),
      )
    expect(stages.size).toBe(cases.length)
  })

  test('up to a limit; the least recently used goes', () => {
    const cache = new StageCache('fused', 3)
    const double = (x: number): number => x * 2
    const stage = (id: string): unknown =>
      cache.stage([{ kind: 'map', id, fn: double }], [double], new CountOut('count')).run
    const [a, b] = [stage('a'), stage('b')]
    stage('c')
    expect(stage('a')).toBe(a)
    stage('d')
    expect(stage('a')).toBe(a)
    expect(stage('b')).not.toBe(b)
    expect(cache.size).toBe(3)
  })

  test('with the functions of each task, though tasks take turns', async () => {
    const sums = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        const rdd = inBatch(
          context.parallelize(
            Array.from({ length: 20_000 }, () => 1),
            2,
          ),
          n,
        )
        return rdd.map((x) => x * n).fold(0, (a, b) => a + b)
      }),
    )
    expect(sums).toEqual(Array.from({ length: 8 }, (_, n) => 20_000 * n))
  })
})
