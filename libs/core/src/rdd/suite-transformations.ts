/** The RDD suite: operators on records and partitions, order, keeping, failures. */
import assert from 'node:assert/strict'
import {
  gives,
  holds,
  numbers,
  overShapes,
  rejects,
  same,
  shapes,
  withoutPartitions,
  type Define,
} from './suite-bench.js'
import * as user from './suite-functions.js'
import { hashPartitioner } from './partitioner.js'

export function narrowTests(test: Define): void {
  test('map, filter and flatMap work record by record, in order', async (context) => {
    await overShapes(context, numbers(20), async (rdd, records) => {
      await gives(
        rdd.map(user.double),
        records.map((x) => x * 2),
      )
      await gives(
        rdd.filter(user.isEven),
        records.filter((x) => x % 2 === 0),
      )
      await gives(rdd.filter(user.isNever), [])
      await gives(
        rdd.flatMap(user.repeat),
        records.flatMap((x) => Array.from({ length: x }, () => x)),
      )
      await gives(
        rdd.flatMap(user.countTo).map(user.double).filter(user.isEven),
        records.flatMap((x) => numbers(x).map((i) => i * 2)),
      )
    })
  })

  test('keyBy, keys, values, mapValues and flatMapValues keep order and keys', async (context) => {
    await overShapes(context, numbers(12), async (rdd, records) => {
      const pairs = rdd.keyBy(user.remainder3)
      await gives(
        pairs,
        records.map((x) => [x % 3, x]),
      )
      await gives(
        pairs.keys(),
        records.map((x) => x % 3),
      )
      await gives(pairs.values(), records)
      await gives(
        pairs.mapValues(user.double),
        records.map((x) => [x % 3, x * 2] as const),
      )
      await gives(
        pairs.flatMapValues(user.countTo),
        records.flatMap((x) => numbers(x).map((i) => [x % 3, i] as const)),
      )
    })
  })
}

export function asyncTests(test: Define): void {
  test('mapAsync gives results in input order', async (context) => {
    await overShapes(context, numbers(50), async (rdd, records) => {
      const expected = records.map((x) => x * 2)
      await gives(rdd.mapAsync(user.laterDouble), expected)
      await gives(rdd.mapAsync(user.laterDouble, { concurrency: 1 }), expected)
    })
    assert.throws(() => context.range(0, 1).mapAsync(user.laterDouble, { concurrency: 0 }), /concurrency/)
  })
}

export function randomTests(test: Define): void {
  test('sample is a subset in order, the same for the same seed', async (context) => {
    await overShapes(context, numbers(200), async (rdd, records) => {
      const sample = await rdd.sample(0.5, { seed: 3 }).collect()
      assert.deepStrictEqual(
        sample,
        records.filter((x) => sample.includes(x)),
      )
      await gives(rdd.sample(0.5, { seed: 3 }), sample)
      await gives(rdd.sample(1), [...records])
      await gives(rdd.sample(0), [])
      const again = await rdd.sample(3, { withReplacement: true, seed: 1 }).collect()
      assert.deepStrictEqual(
        [...again].sort((a, b) => a - b),
        again,
      )
      if (records.length === 200) assert.ok(Math.abs(again.length - 600) < 120 && Math.abs(sample.length - 100) < 50)
    })
    assert.throws(() => context.range(0, 1).sample(1.5), /fraction/)
    assert.throws(() => context.range(0, 1).sample(Infinity, { withReplacement: true }), /fraction/)
  })

  test('the parts of randomSplit hold each record once, also when partitions are brought together', async (context) => {
    await overShapes(context, numbers(300), async (rdd, records) => {
      const [a, b, c] = rdd.randomSplit([1, 2, 1], { seed: 5 }) as [typeof rdd, typeof rdd, typeof rdd]
      const found = [await a.collect(), await b.coalesce(1).collect(), await c.collect()]
      same(found.flat(), records)
      await gives(c.union(a, b), [found[2], found[0], found[1]].flat())
    })
    assert.throws(() => context.range(0, 1).randomSplit([-1, 2]), /weights/)
    assert.throws(() => context.range(0, 1).randomSplit([]), /weights/)
  })

  test('zipWithIndex counts over all partitions, whatever is done with them afterwards', async (context) => {
    await overShapes(context, numbers(9), async (rdd, records) => {
      const expected = records.map((x, i) => [x, i] as const)
      const indexed = rdd.zipWithIndex()
      await gives(indexed, expected)
      await gives(indexed.coalesce(1), expected)
      await gives(indexed.union(indexed), [...expected, ...expected])
      await gives(indexed.values(), numbers(records.length))
    })
  })
}

export function partitionTests(test: Define): void {
  test('glom, mapPartitions and mapPartitionsWithIndex see whole partitions, empty ones too', async (context) => {
    await overShapes(context, numbers(10), async (rdd, records) => {
      const partitions = await rdd.glom().collect()
      assert.equal(partitions.length, rdd.partitions)
      assert.deepStrictEqual(partitions.flat(), records)
      await gives(
        rdd.mapPartitions(user.sumOfPartition),
        partitions.map((part) => part.reduce((a, b) => a + b, 0)),
      )
      await gives(
        rdd.mapPartitions(user.doubledAsync),
        records.map((x) => x * 2),
      )
      await gives(
        rdd.mapPartitionsWithIndex(user.indexAndSize),
        partitions.map((part, i) => [i, part.length]),
      )
    })
  })

  test('a partition function learns where it runs', async (context) => {
    const rdd = context.parallelize(numbers(3), 2).mapPartitions(user.sizeWithInfo)
    const where = { partitions: 2, batchTime: undefined, attempt: 0 }
    await gives(rdd, [
      { size: 1, partition: 0, ...where },
      { size: 2, partition: 1, ...where },
    ])
  })

  test('union is one after another; of RDDs spread alike, partition by partition', async (context) => {
    await overShapes(context, numbers(7), async (rdd, records) => {
      await gives(rdd.union(rdd, rdd), [...records, ...records, ...records])
      assert.equal(rdd.union(rdd).partitions, 2 * rdd.partitions)
      await gives(rdd.union(), [...records])
      const spread = rdd.map(user.byRemainder).partitionBy(hashPartitioner(2))
      const union = spread.union(spread)
      assert.equal(union.partitions, 2)
      const [pairs, parts] = [await spread.glom().collect(), await union.glom().collect()]
      assert.deepStrictEqual(
        parts,
        pairs.map((part) => [...part, ...part]),
      )
    })
  })
}

export function movingTests(test: Define): void {
  test('coalesce keeps the order, repartition spreads evenly', async (context) => {
    await overShapes(context, numbers(40), async (rdd, records) => {
      for (const partitions of [1, 2, 3, 100]) {
        const fewer = rdd.coalesce(partitions)
        assert.equal(fewer.partitions, Math.min(partitions, Math.max(1, rdd.partitions)))
        await gives(fewer, [...records])
      }
      const dealt = await rdd.repartition(4).glom().collect()
      assert.equal(dealt.length, 4)
      same(dealt.flat(), records)
    })
    const sizes = (await context.range(0, 1_000, { partitions: 2 }).repartition(4).glom().collect()).map(
      (p) => p.length,
    )
    assert.deepStrictEqual(sizes, [250, 250, 250, 250])
    assert.throws(() => context.range(0, 1).coalesce(0), /partitions/)
    assert.throws(() => context.range(0, 1).repartition(1.5), /partitions/)
  })
}

export function sideBySideTests(test: Define): void {
  test('zip and zipPartitions bring partitions side by side', async (context) => {
    await overShapes(context, numbers(11), async (rdd, records) => {
      await gives(
        rdd.zip(rdd.map(user.double)),
        records.map((x) => [x, x * 2] as const),
      )
      const sizes = (await rdd.glom().collect()).map((part) => part.length)
      await gives(
        rdd.zipPartitions(rdd.filter(user.isNever), user.sizesOfBoth),
        sizes.map((size): [number, number] => [size, 0]),
      )
    })
    const [three, four] = [context.range(0, 3, { partitions: 1 }), context.range(0, 4, { partitions: 1 })]
    await rejects('ARGUMENT_INVALID', () => three.zip(four).collect())
    assert.throws(() => three.zip(context.range(0, 3, { partitions: 2 })), /partitions/)
  })

  test('cartesian pairs each with each', async (context) => {
    await overShapes(context, numbers(5), async (rdd, records) => {
      const expected = records.flatMap((a) => ['x', 'y'].map((b) => [a, b] as const))
      await holds(rdd.cartesian(context.parallelize(['x', 'y'], 2)), expected)
      await gives(rdd.cartesian(context.parallelize(['x', 'y'], 1)), expected)
      await gives(rdd.cartesian(withoutPartitions(context)), [])
    })
  })
}

export function orderTests(test: Define): void {
  test('sortBy orders over all partitions and is stable', async (context) => {
    const records = numbers(60).map((i) => (i * 37) % 60)
    await overShapes(context, records, async (rdd, all) => {
      const ascending = [...all].sort((a, b) => (a % 3) - (b % 3))
      for (const partitions of [1, 2, 5]) {
        await gives(rdd.sortBy(user.remainder3, { partitions }), ascending)
        const down = [...all].sort((a, b) => (b % 3) - (a % 3))
        await gives(rdd.sortBy(user.remainder3, { partitions, descending: true }), down)
        const byDigit = [...all].sort((a, b) => (a % 10) - (b % 10))
        await gives(rdd.sortBy(user.identity, { partitions, compare: user.byLastDigit }), byDigit)
        const byKey = [...all].sort((a, b) => a - b).map((x) => [-x, x] as const)
        await gives(rdd.keyBy(user.negated).sortByKey({ partitions, descending: true }), byKey)
      }
    })
  })

  test('a sorted RDD read by many jobs at once gives all of them everything', async (context) => {
    const sorted = context.parallelize(numbers(500).reverse(), 4).sortBy(user.identity, { partitions: 4 })
    const results = await Promise.all([sorted.collect(), sorted.count(), sorted.collect(), sorted.first()])
    assert.deepStrictEqual(results, [numbers(500), 500, numbers(500), 0])
  })
}

export function keepingTests(test: Define): void {
  test('persist at any level gives the same again, also after unpersist', async (context) => {
    for (const level of ['memory', 'memory-and-disk', 'disk'] as const) {
      await overShapes(context, numbers(30), async (rdd, records) => {
        const kept = rdd.map(user.double).persist(level)
        const expected = records.map((x) => x * 2)
        await gives(kept, expected)
        await gives(
          kept.map(user.negated),
          expected.map((x) => -x),
        )
        kept.unpersist()
        await gives(kept, expected)
      })
    }
  })

  test('a level is set once', async (context) => {
    const kept = context.range(0, 3).cache()
    assert.equal(kept.persist('memory'), kept)
    assert.throws(() => kept.persist('disk'), /unpersist/)
    await gives(kept.unpersist().persist('disk'), [0, 1, 2])
  })

  test('a shuffle is made once for all that read it', async (context) => {
    const reduced = context.parallelize(numbers(100), 3).map(user.byRemainder).reduceByKey(user.plus, { partitions: 2 })
    const [all, count, groups] = await Promise.all([reduced.collect(), reduced.count(), reduced.glom().collect()])
    assert.deepStrictEqual([count, groups.flat()], [3, all])
    await gives(reduced, all)
  })
}

export function failureTests(test: Define): void {
  test('a function that throws is named, with partition, record and its own stack', async (context) => {
    for (const rdd of shapes(context, numbers(10))) {
      const mapped = rdd.map(user.double).map(user.identity, { name: 'before' })
      await gives(
        mapped,
        numbers(10).map((x) => x * 2),
      )
      const error = await rejects('USER_FUNCTION_FAILED', () => rdd.map(user.failOn7, { name: 'fragile' }).count())
      assert.match(error.component, /fragile$/)
      assert.match(error.message, /partition \d+, record 7: seven/)
      assert.match((error.cause as Error).stack ?? '', /failOn7|suite-functions/)
    }
  })

  test('what is thrown need not be an Error', async (context) => {
    const rdd = context.parallelize(numbers(10), 2).map(user.double).map(user.identity)
    await gives(rdd.filter(user.isNever), [])
    const fails = context.parallelize(numbers(10), 2).map(user.failByText, { name: 'text' }).filter(user.isEven)
    const error = await rejects('USER_FUNCTION_FAILED', () => fails.collect())
    assert.match(error.message, /\[.*text\].*record 7: just text/)
  })

  test('functions of actions and of keys fail by name, too', async (context) => {
    const rdd = context.parallelize(numbers(20), 3)
    const pairs = rdd.map(user.byRemainder)
    const failing = [
      [/reduce/, () => rdd.reduce(user.failOnSum)],
      [/fold/, () => rdd.fold(0, user.failOnSum)],
      [/foreach/, () => rdd.foreach(user.failOn7 as (x: number) => void)],
      [/foreachPartition/, () => rdd.foreachPartition(user.failOnPartitionWith7)],
      [/reduceByKey/, () => pairs.reduceByKey(user.failOnSum, { partitions: 2 }).collect()],
      [/sortBy/, () => rdd.sortBy(user.failOn7, { partitions: 2 }).collect()],
      [/groupBy|keyBy/, () => rdd.groupBy(user.failOn7).collect()],
      [/mapPartitions/, () => rdd.mapPartitions(user.passUnless7).collect()],
    ] as const
    for (const [component, action] of failing) {
      const error = await rejects('USER_FUNCTION_FAILED', action)
      assert.match(error.component, component)
      assert.ok(error.cause instanceof RangeError, String(error.cause))
    }
    assert.equal(await rdd.count(), 20)
  })

  test('a promise where a value is expected is refused', async (context) => {
    const rdd = context.parallelize(numbers(20), 2)
    const pairs = rdd.map(user.byRemainder)
    const refused = [
      () => rdd.map(user.asyncDouble).collect(),
      () => rdd.filter(user.isEven).map(user.asyncDouble).filter(user.isNever).count(),
      () => pairs.reduceByKey(user.asyncPlus).collect(),
      () => rdd.reduce(user.asyncPlus),
      () => rdd.foreach(user.asyncDouble as (x: number) => void),
    ]
    for (const action of refused) await rejects('ASYNC_FUNCTION', action)
  })

  test('an error of Sluice that a function throws stays what it is', async (context) => {
    const error = await rejects('ARGUMENT_INVALID', () => context.range(0, 5).map(user.failWithOwnCode).collect())
    assert.match(error.message, /said by the user/)
  })
}
