/** The laws of RDDs, held against naive code on arrays. Seeds are fixed: a failure names the run that fails. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import { localExecutor } from '../executor/local-executor.js'
import { encodeKey, hashKey } from './keys.js'
import type { Rdd } from './rdd.js'
import type { StorageLevel } from './types.js'

type Pair = readonly [key: unknown, value: number]

// ---------------------------------------------------------------------------------------- fused = closures

interface Step {
  readonly name: string
  readonly pairs: boolean
  readonly gives: 'pairs' | 'plain' | 'same'
  apply(rdd: Rdd<never>): Rdd<never>
}

const numberOf = (x: unknown): number => (Array.isArray(x) ? Number(x[1]) : Number(x))
const step = (name: string, pairs: boolean, gives: Step['gives'], apply: (rdd: Rdd<never>) => unknown): Step => ({
  name,
  pairs,
  gives,
  apply: apply as Step['apply'],
})

const steps: readonly Step[] = [
  step('map', false, 'plain', (rdd) => rdd.map((x) => (numberOf(x) * 7 + 3) % 101)),
  step('map to pair', false, 'pairs', (rdd) => rdd.map((x) => [`k${String(numberOf(x) % 3)}`, numberOf(x)])),
  step('filter', false, 'same', (rdd) => rdd.filter((x) => numberOf(x) % 3 !== 0)),
  step('filter most', false, 'same', (rdd) => rdd.filter((x) => numberOf(x) % 17 === 1)),
  step('flatMap', false, 'plain', (rdd) =>
    rdd.flatMap((x) => Array.from({ length: numberOf(x) % 3 }, (_, i) => numberOf(x) + i)),
  ),
  step('flatMap by generator', false, 'plain', (rdd) =>
    rdd.flatMap(function* (x: unknown) {
      for (let i = 0; i < numberOf(x) % 4; i++) yield i
    }),
  ),
  step('keyBy', false, 'pairs', (rdd) => rdd.keyBy((x) => numberOf(x) % 5).mapValues((x) => numberOf(x))),
  step('sample', false, 'same', (rdd) => rdd.sample(0.7, { seed: 5 })),
  step('sample again', false, 'same', (rdd) => rdd.sample(1.3, { seed: 6, withReplacement: true })),
  step('split', false, 'same', (rdd) => rdd.randomSplit([3, 1], { seed: 1 })[0]),
  step('mapValues', true, 'same', (rdd: Rdd<never>) => (rdd as Rdd<Pair>).mapValues((x) => (x * 5 + 1) % 97)),
  step('flatMapValues', true, 'same', (rdd) =>
    (rdd as Rdd<Pair>).flatMapValues((x) => (x % 2 === 0 ? [x] : [x, x + 1])),
  ),
  step('keys', true, 'plain', (rdd) => (rdd as Rdd<Pair>).keys().map((k) => String(k).length)),
  step('values', true, 'plain', (rdd) => (rdd as Rdd<Pair>).values()),
]

/** A chain that fits together, made from any list of numbers. */
function chainOf(choices: readonly number[]): Step[] {
  let pairs = false
  return choices.map((choice) => {
    const fitting = steps.filter((each) => !each.pairs || pairs)
    const chosen = fitting[choice % fitting.length]!
    if (chosen.gives !== 'same') pairs = chosen.gives === 'pairs'
    return chosen
  })
}

function applied(rdd: Rdd<number>, chain: readonly Step[]): Rdd<unknown> {
  return chain.reduce<Rdd<unknown>>((each, { apply }) => apply(each as Rdd<never>), rdd)
}

describe('fused = closures', () => {
  const contexts = (['fused', 'closures'] as const).map(
    (stages) => new SluiceContext({ executor: localExecutor({ stages }), log: 'warn' }),
  )
  afterAll(async () => {
    for (const context of contexts) await context.stop()
  })

  test('over any chain of operators and every end', async () => {
    const run = async (context: SluiceContext, n: number, partitions: number, choices: number[]): Promise<unknown> => {
      const rdd = applied(context.range(0, n, { partitions }), chainOf(choices))
      const folded = await rdd.map(numberOf).fold(0, (a, b) => (a * 31 + b) % 1_000_003)
      const keyed = rdd.keyBy((x) => numberOf(x) % 4).mapValues(() => 1)
      return {
        folded,
        collected: await rdd.collect(),
        count: await rdd.count(),
        taken: await rdd.take(3),
        reduced: await keyed.reduceByKey((a, b) => a + b, { partitions: 2 }).collect(),
        grouped: await keyed.groupByKey({ partitions: 2 }).collect(),
      }
    }
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1_500 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat({ max: 10_000 }), { maxLength: 8, size: 'max' }),
        async (n, partitions, choices) => {
          const [fused, closures] = [
            await run(contexts[0]!, n, partitions, choices),
            await run(contexts[1]!, n, partitions, choices),
          ]
          expect(fused).toEqual(closures)
        },
      ),
      { seed: 11, numRuns: 60 },
    )
  })

  test('a chain without chance gives the same whatever the partitioning', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 400 }),
        fc.array(fc.nat({ max: 10_000 }), { maxLength: 6 }),
        async (n, choices) => {
          const chain = chainOf(choices).filter(({ name }) => !/sample|split/.test(name))
          const results = []
          for (const partitions of [1, 3, 7])
            results.push(await applied(contexts[0]!.range(0, n, { partitions }), chain).collect())
          expect(results[1]).toEqual(results[0])
          expect(results[2]).toEqual(results[0])
        },
      ),
      { seed: 12, numRuns: 60 },
    )
  })
})

// ------------------------------------------------------------- partitionings, spill thresholds, storage levels

const POOL = [null, 'a', 'b', 1, '1', NaN, 0, 2n, true, [1], [1, 'a'], { a: 1, b: [2] }, { b: [2], a: 1 }, new Date(7)]
const anyKey = fc.oneof(fc.constantFrom<unknown>(...POOL), fc.integer({ min: 2, max: 30 }))
const keyed = fc.array(fc.tuple(anyKey, fc.integer({ min: 0, max: 9 })), { maxLength: 80, size: 'max' })

interface Groups {
  readonly key: unknown
  readonly values: number[]
}

/** Values by key, keys in the order in which they were first seen. */
function groupsOf(pairs: readonly Pair[]): Map<string, Groups> {
  const groups = new Map<string, Groups>()
  for (const [key, value] of pairs) {
    const text = encodeKey(key, 'model')
    const group = groups.get(text)
    if (group === undefined) groups.set(text, { key, values: [value] })
    else group.values.push(value)
  }
  return groups
}

/** Records by the partition of their key; the order inside stays. */
function placed<T>(records: readonly T[], keyOf: (record: T) => unknown, partitions: number): T[] {
  return Array.from({ length: partitions }, (_, p) =>
    records.filter((r) => hashKey(keyOf(r), 'm') % partitions === p),
  ).flat()
}

type Sides = { left: readonly Pair[]; right: readonly Pair[]; partitions: number }
type Law = readonly [
  name: string,
  rdd: (left: Rdd<Pair>, right: Rdd<Pair>, partitions: number) => Rdd<unknown>,
  model: (sides: Sides) => unknown[],
]

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const perGroup =
  (make: (group: Groups) => unknown) =>
  ({ left, partitions }: Sides): unknown[] =>
    placed([...groupsOf(left).values()], ({ key }) => key, partitions).map(make)

function joinModel({ left, right, partitions }: Sides, keepsLeft: boolean, keepsRight: boolean): unknown[] {
  const rights = groupsOf(right)
  const lefts = groupsOf(left)
  return Array.from({ length: partitions }, (_, p) => {
    const here = (key: unknown): boolean => hashKey(key, 'm') % partitions === p
    const matches = left
      .filter(([key]) => here(key))
      .flatMap(([key, v]) => {
        const found = rights.get(encodeKey(key, 'm'))?.values ?? (keepsLeft ? [undefined] : [])
        return found.map((w) => [key, [v, w]])
      })
    const rest = [...rights].filter(([text, { key }]) => keepsRight && here(key) && !lefts.has(text))
    return [...matches, ...rest.flatMap(([, { key, values }]) => values.map((w) => [key, [undefined, w]]))]
  }).flat()
}

function cogroupModel({ left, right, partitions }: Sides): [unknown, [number[], number[]]][] {
  const [lefts, rights] = [groupsOf(left), groupsOf(right)]
  const all = new Map([...rights, ...lefts])
  const texts = [...new Set([...lefts.keys(), ...rights.keys()])]
  const groups = texts.map((text): [unknown, [number[], number[]]] => [
    all.get(text)!.key,
    [lefts.get(text)?.values ?? [], rights.get(text)?.values ?? []],
  ])
  return placed(groups, ([key]) => key, partitions)
}

const add = (a: number, b: number): number => a + b
const laws: readonly Law[] = [
  [
    'reduceByKey',
    (l, _r, partitions) => l.reduceByKey(add, { partitions }),
    perGroup(({ key, values }) => [key, sum(values)]),
  ],
  [
    'foldByKey',
    (l, _r, partitions) => l.foldByKey(0, add, { partitions }),
    perGroup(({ key, values }) => [key, sum(values)]),
  ],
  ['groupByKey', (l, _r, partitions) => l.groupByKey({ partitions }), perGroup(({ key, values }) => [key, values])],
  [
    'aggregateByKey',
    (l, _r, partitions) =>
      l.aggregateByKey<number[]>(
        [],
        (all, x) => (all.push(x), all),
        (a, b) => (a.push(...b), a),
        { partitions },
      ),
    perGroup(({ key, values }) => [key, values]),
  ],
  ['distinct', (l, _r, partitions) => l.keys().distinct({ partitions }), perGroup(({ key }) => key)],
  ['join', (l, r, partitions) => l.join(r, { partitions }), (s) => joinModel(s, false, false)],
  ['leftOuterJoin', (l, r, partitions) => l.leftOuterJoin(r, { partitions }), (s) => joinModel(s, true, false)],
  ['rightOuterJoin', (l, r, partitions) => l.rightOuterJoin(r, { partitions }), (s) => joinModel(s, false, true)],
  ['fullOuterJoin', (l, r, partitions) => l.fullOuterJoin(r, { partitions }), (s) => joinModel(s, true, true)],
  ['cogroup', (l, r, partitions) => l.cogroup(r, { partitions }), cogroupModel],
  [
    'subtractByKey',
    (l, r, partitions) => l.subtractByKey(r, { partitions }),
    (s) => cogroupModel(s).flatMap(([key, [l, r]]) => (r.length > 0 ? [] : l.map((v) => [key, v]))),
  ],
  [
    'intersection',
    (l, r, partitions) => l.keys().intersection(r.keys(), { partitions }),
    (s) => cogroupModel(s).flatMap(([key, [l, r]]) => (l.length > 0 && r.length > 0 ? [key] : [])),
  ],
  [
    'subtract',
    (l, r, partitions) => l.keys().subtract(r.keys(), { partitions }),
    (s) => cogroupModel(s).flatMap(([key, [l, r]]) => (r.length > 0 ? [] : l.map(() => key))),
  ],
]

interface Setting {
  readonly sources: readonly [number, number]
  readonly spillRecords: number
  readonly memoryBudgetBytes: number
  readonly level: StorageLevel | undefined
  readonly stages: 'fused' | 'closures'
}

const setting: fc.Arbitrary<Setting> = fc.record({
  sources: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  spillRecords: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 50 }), fc.constant(1_000)),
  memoryBudgetBytes: fc.constantFrom(0, 300, 2 ** 20),
  level: fc.constantFrom('memory', 'memory-and-disk', 'disk', undefined),
  stages: fc.constantFrom('fused', 'closures'),
})

async function under<R>(chosen: Setting, work: (context: SluiceContext) => Promise<R>): Promise<R> {
  const { spillRecords, memoryBudgetBytes, stages } = chosen
  const context = new SluiceContext({
    executor: localExecutor({ stages }),
    spillRecords,
    memoryBudgetBytes,
    log: 'warn',
  })
  try {
    return await work(context)
  } finally {
    await context.stop()
  }
}

const kept = <T>(rdd: Rdd<T>, level: StorageLevel | undefined): Rdd<T> =>
  level === undefined ? rdd : rdd.persist(level)

describe('E10: any partitioning, spill threshold and storage level gives the same, in the same order', () => {
  test.each(laws)('%s', async (_name, make, model) => {
    await fc.assert(
      fc.asyncProperty(
        keyed,
        keyed,
        fc.integer({ min: 1, max: 4 }),
        setting,
        async (left, right, partitions, chosen) => {
          await under(chosen, async (context) => {
            const { sources, level } = chosen
            const rdd = kept(
              make(
                kept(context.parallelize(left, sources[0]), level),
                context.parallelize(right, sources[1]),
                partitions,
              ),
              level,
            )
            const expected = model({ left, right, partitions })
            expect(await rdd.collect()).toEqual(expected)
            expect(await rdd.collect()).toEqual(expected)
            expect(await rdd.count()).toBe(expected.length)
          })
        },
      ),
      { seed: 21, numRuns: 12 },
    )
  })

  test('mutual spills of several operators in one job', async () => {
    await fc.assert(
      fc.asyncProperty(keyed, setting, async (records, chosen) => {
        const run = (context: SluiceContext, parts: number): Promise<unknown> =>
          context
            .parallelize(records, parts)
            .reduceByKey(add, { partitions: 3 })
            .join(context.parallelize(records, parts).groupByKey({ partitions: 3 }))
            .mapValues(([total, list]) => total + list.length)
            .sortBy(([, total]) => total, { partitions: 2 })
            .collect()
        const plain = await under({ ...chosen, spillRecords: 1_000, memoryBudgetBytes: 2 ** 20 }, (context) =>
          run(context, 1),
        )
        expect(await under(chosen, (context) => run(context, chosen.sources[0]))).toEqual(plain)
      }),
      { seed: 22, numRuns: 10 },
    )
  })
})

// --------------------------------------------------------------------------------------------------------- order

const rankOf = (x: unknown): number =>
  [null, 'boolean', 'number', 'string', 'date', 'tuple'].indexOf(
    x === null
      ? null
      : Array.isArray(x)
        ? 'tuple'
        : x instanceof Date
          ? 'date'
          : typeof x === 'bigint'
            ? 'number'
            : typeof x,
  )

/** The natural order, written down plainly. */
function inOrder(a: unknown, b: unknown): number {
  if (rankOf(a) !== rankOf(b)) return rankOf(a) - rankOf(b)
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const order = inOrder(a[i], b[i])
      if (order !== 0) return order
    }
    return a.length - b.length
  }
  if (a instanceof Date && b instanceof Date) return a.getTime() - b.getTime()
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0
}

const extreme = fc.constantFrom(0, -0, NaN, Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE, 1e308, -1e308)
const sortKeys: readonly (readonly [string, fc.Arbitrary<unknown>])[] = [
  ['integers', fc.integer({ min: -5, max: 5 })],
  ['doubles', fc.oneof(fc.double(), extreme)],
  ['strings', fc.string({ maxLength: 2, unit: 'binary' })],
  ['dates', fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(5) })],
  ['bigints and numbers', fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.double({ min: -4, max: 4 }), fc.constant(NaN))],
  ['tuples', fc.array(fc.oneof(fc.integer({ min: 0, max: 2 }), fc.constantFrom('', 'a')), { maxLength: 3 })],
  [
    'mixed keys',
    fc.oneof(fc.constantFrom<unknown>(null, true, false, 'x', 3n, NaN), fc.integer(), fc.tuple(fc.boolean())),
  ],
]

describe('sortBy', () => {
  test.each(sortKeys)('orders %s, stably, up and down', async (_name, arbitrary) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(arbitrary, { maxLength: 120, size: 'max' }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        setting,
        async (values, partitions, descending, chosen) => {
          const records = values.map((value, i) => ({ value, i }))
          const order = (a: unknown, b: unknown): number => (descending ? inOrder(b, a) : inOrder(a, b))
          const expected = [...records].sort((a, b) => order(a.value, b.value))
          await under(chosen, async (context) => {
            const rdd = context.parallelize(records, chosen.sources[0])
            const sorted = rdd.sortBy(({ value }) => value, { partitions, descending })
            expect(await sorted.collect()).toEqual(expected)
            const all = context.parallelize(values, chosen.sources[0])
            const best = expected.map(({ value }) => value).slice(0, 7)
            expect(descending ? await all.top(7) : await all.takeOrdered(7)).toEqual(best)
          })
        },
      ),
      { seed: 31, numRuns: 10 },
    )
  })

  test('many records, by merging, stably', async () => {
    const context = new SluiceContext({ log: 'warn' })
    const records = Array.from({ length: 20_000 }, (_, i) => ({ value: `k${String((i * 7_919) % 97)}`, i }))
    for (const descending of [false, true]) {
      const sign = descending ? -1 : 1
      const expected = [...records].sort((a, b) => sign * inOrder(a.value, b.value))
      const rdd = context.parallelize(records, 1)
      for (const compare of [undefined, (a: string, b: string): number => inOrder(a, b)]) {
        const options = { descending, partitions: 1, compare }
        expect(await rdd.sortBy(({ value }) => value, options).collect()).toEqual(expected)
        expect(
          await context
            .parallelize(expected, 1)
            .sortBy(({ value }) => value, options)
            .collect(),
        ).toEqual(expected)
      }
    }
    await context.stop()
  })

  test('many numbers, by their bits, as by comparison', async () => {
    const random = fc
      .sample(fc.oneof(fc.double(), extreme), { seed: 32, numRuns: 6_000 })
      .filter((x) => !Number.isNaN(x))
    const integers = fc.sample(fc.integer(), { seed: 33, numRuns: 6_000 })
    const context = new SluiceContext({ log: 'warn' })
    for (const values of [random, integers, integers.toSorted(inOrder)]) {
      for (const descending of [false, true]) {
        const records = values.map((value, i) => ({ value, i }))
        const expected = [...records].sort((a, b) =>
          descending ? inOrder(b.value, a.value) : inOrder(a.value, b.value),
        )
        const sorted = context.parallelize(records, 1).sortBy(({ value }) => value, { descending, partitions: 1 })
        expect(await sorted.collect()).toEqual(expected)
      }
    }
    await context.stop()
  })
})

describe('against arrays', () => {
  let context: SluiceContext
  beforeAll(() => {
    context = new SluiceContext({ log: 'warn' })
  })
  afterAll(() => context.stop())
  const shape = fc.tuple(
    fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 60, size: 'max' }),
    fc.integer({ min: 1, max: 7 }),
  )

  test('union, zipWithIndex, cartesian, coalesce', async () => {
    await fc.assert(
      fc.asyncProperty(shape, shape, fc.integer({ min: 1, max: 7 }), async ([a, m], [b, n], fewer) => {
        const [left, right] = [context.parallelize(a, m), context.parallelize(b, n)]
        expect(await left.union(right).collect()).toEqual([...a, ...b])
        const indexed = [...a, ...b].map((x, i) => [x, i])
        expect(await left.union(right).zipWithIndex().collect()).toEqual(indexed)
        expect(await left.union(right).coalesce(fewer).zipWithIndex().coalesce(1).collect()).toEqual(indexed)
        const pairs = a.flatMap((x) => b.map((y) => [x, y]))
        expect((await left.cartesian(right).collect()).map(String).sort()).toEqual(pairs.map(String).sort())
      }),
      { seed: 41, numRuns: 50 },
    )
  })

  test('top, takeOrdered and take of any number', async () => {
    await fc.assert(
      fc.asyncProperty(shape, fc.nat({ max: 70 }), async ([records, partitions], n) => {
        const rdd = context.parallelize(records, partitions)
        const ordered = [...records].sort((a, b) => a - b)
        expect(await rdd.takeOrdered(n)).toEqual(ordered.slice(0, n))
        expect(await rdd.top(n)).toEqual(ordered.reverse().slice(0, n))
        expect(await rdd.take(n)).toEqual(records.slice(0, n))
        // Of those that compare alike, the first.
        const none = rdd.zipWithIndex().takeOrdered(n, () => 0)
        expect((await none).map(([, i]) => i)).toEqual(records.slice(0, n).map((_, i) => i))
      }),
      { seed: 42, numRuns: 80 },
    )
  })

  test('top of many records holds few and finds the same', async () => {
    const records = Array.from({ length: 20_000 }, (_, i) => (i * 7_919) % 20_011)
    const rdd = context.parallelize(records, 2)
    const ordered = [...records].sort((a, b) => a - b)
    for (const n of [1, 10, 3_000]) {
      expect(await rdd.takeOrdered(n)).toEqual(ordered.slice(0, n))
      // Of those that compare alike, the first.
      const tens = records.toSorted((a, b) => Math.floor(a / 1_000) - Math.floor(b / 1_000))
      const byTens = (a: number, b: number): number => Math.floor(a / 1_000) - Math.floor(b / 1_000)
      expect(await rdd.takeOrdered(n, byTens)).toEqual(tens.slice(0, n))
    }
  })

  test('the parts of randomSplit are the whole, whatever the weights', async () => {
    const weights = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 5 }).filter((w) => sum(w) > 0)
    await fc.assert(
      fc.asyncProperty(shape, weights, fc.integer(), async ([records, partitions], sizes, seed) => {
        const parts = context.parallelize(records, partitions).zipWithIndex().values().randomSplit(sizes, { seed })
        const found = (await Promise.all(parts.map((part) => part.collect()))).flat()
        expect(found.sort((a, b) => a - b)).toEqual(records.map((_, i) => i))
      }),
      { seed: 43, numRuns: 60 },
    )
  })

  test('repartition and partitionBy lose and double nothing', async () => {
    await fc.assert(
      fc.asyncProperty(shape, fc.integer({ min: 1, max: 9 }), async ([records, partitions], to) => {
        const spread = await context.parallelize(records, partitions).repartition(to).glom().collect()
        expect(spread).toHaveLength(to)
        expect(spread.flat().sort()).toEqual([...records].sort())
        // Each map task deals its records out in turn.
        const sizes = spread.map((part) => part.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(partitions)
      }),
      { seed: 44, numRuns: 40 },
    )
  })
})
