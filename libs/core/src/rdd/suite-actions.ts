/** The RDD suite: actions. */
import assert from 'node:assert/strict'
import { numbers, overShapes, rejects, same, type Define } from './suite-bench.js'
import * as user from './suite-functions.js'

export function actionTests(test: Define): void {
  takingTests(test)
  foldingTests(test)
  keyedTests(test)

  test('foreach and foreachPartition run over everything', async (context) => {
    await overShapes(context, numbers(9), async (rdd, records) => {
      await rdd.foreach(user.double as (x: number) => void)
      await rdd.foreachPartition(user.sumOfPartition as never)
      const failing = [
        () => rdd.foreach(user.failOn7 as (x: number) => void),
        () => rdd.foreachPartition(user.failOnPartitionWith7),
      ]
      for (const action of failing) {
        if (records.includes(7)) await rejects('USER_FUNCTION_FAILED', action)
        else await action()
      }
    })
  })

  test('an action after stop is refused', async (context) => {
    const rdd = context.range(0, 3)
    await context.stop()
    await rejects('STOPPED', () => rdd.collect())
  })
}

function takingTests(test: Define): void {
  test('collect, count, isEmpty, first, take and async iteration give records in order', async (context) => {
    await overShapes(context, numbers(25), async (rdd, records) => {
      const mapped = rdd.map(user.double)
      const expected = records.map((x) => x * 2)
      assert.deepStrictEqual(await mapped.collect(), expected)
      assert.equal(await mapped.count(), expected.length)
      assert.equal(await mapped.isEmpty(), expected.length === 0)
      for (const n of [0, 1, 3, 100]) assert.deepStrictEqual(await mapped.take(n), expected.slice(0, n))
      const iterated: number[] = []
      for await (const record of mapped) iterated.push(record)
      assert.deepStrictEqual(iterated, expected)
      if (expected.length > 0) assert.equal(await mapped.first(), expected[0])
      else await rejects('EMPTY_COLLECTION', () => mapped.first())
    })
    await rejects('ARGUMENT_INVALID', () => context.range(0, 3).take(-1))
  })

  test('top, takeOrdered, min and max', async (context) => {
    const records = numbers(50).map((i) => (i * 31) % 50)
    await overShapes(context, records, async (rdd, all) => {
      const ordered = [...all].sort((a, b) => a - b)
      for (const n of [0, 1, 7, 100]) {
        assert.deepStrictEqual(await rdd.takeOrdered(n), ordered.slice(0, n))
        assert.deepStrictEqual(await rdd.top(n), ordered.toReversed().slice(0, n))
        assert.deepStrictEqual(await rdd.takeOrdered(n, user.descending), ordered.toReversed().slice(0, n))
        const byDigit = [...all].sort((a, b) => (a % 10) - (b % 10))
        assert.deepStrictEqual(await rdd.takeOrdered(n, user.byLastDigit), byDigit.slice(0, n))
      }
      if (all.length === 0) {
        for (const action of [() => rdd.min(), () => rdd.max()]) await rejects('EMPTY_COLLECTION', action)
        return
      }
      assert.deepStrictEqual([await rdd.min(), await rdd.max()], [ordered[0], ordered.at(-1)])
      assert.equal(await rdd.max(user.descending), ordered[0])
    })
  })

  test('takeSample draws without replacement unless asked, the same for the same seed', async (context) => {
    await overShapes(context, numbers(100), async (rdd, records) => {
      const sample = await rdd.takeSample(10, { seed: 4 })
      assert.equal(sample.length, Math.min(10, records.length))
      assert.equal(new Set(sample).size, sample.length)
      assert.deepStrictEqual(await rdd.takeSample(10, { seed: 4 }), sample)
      same(await rdd.takeSample(1_000), records)
      const again = await rdd.takeSample(500, { withReplacement: true, seed: 1 })
      assert.equal(again.length, records.length === 0 ? 0 : 500)
      assert.ok(again.every((x) => records.includes(x)))
      // 500 draws of 100 miss about e^-5 of them.
      if (records.length === 100) assert.ok(new Set(again).size > 90, String(new Set(again).size))
    })
  })
}

function foldingTests(test: Define): void {
  test('reduce, fold and aggregate, over start values that are changed in place too', async (context) => {
    await overShapes(context, numbers(20), async (rdd, records) => {
      const sum = records.reduce((a, b) => a + b, 0)
      assert.equal(await rdd.fold(0, user.plus), sum)
      if (records.length > 0) assert.equal(await rdd.reduce(user.plus), sum)
      else await rejects('EMPTY_COLLECTION', () => rdd.reduce(user.plus))
      const start: number[] = []
      for (let run = 0; run < 2; run++) {
        assert.deepStrictEqual(await rdd.aggregate(start, user.appended, user.concatenatedLists), [...records])
      }
      assert.deepStrictEqual(start, [])
    })
  })

  test('fold is in the order of partitions, and uses its start once in each and once more, as Spark', async (context) => {
    const rdd = context.parallelize(['a', 'b', 'c', 'd'], 2)
    assert.equal(await rdd.fold('-', user.joinTexts), '--ab-cd')
    assert.equal(await rdd.reduce(user.joinTexts), 'abcd')
  })

  test('sum and stats', async (context) => {
    await overShapes(context, numbers(40), async (rdd, records) => {
      const [stats, n] = [await rdd.stats(), records.length]
      const sum = records.reduce((a, b) => a + b, 0)
      assert.equal(await rdd.sum(), sum)
      assert.deepStrictEqual([stats.count, stats.sum], [n, sum])
      if (n === 0) {
        assert.deepStrictEqual([stats.mean, stats.variance, stats.min, stats.max], [NaN, NaN, Infinity, -Infinity])
        return
      }
      const variance = records.reduce((all, x) => all + (x - sum / n) ** 2, 0) / n
      assert.ok(Math.abs(stats.mean - sum / n) < 1e-9 && Math.abs(stats.variance - variance) < 1e-9)
      assert.deepStrictEqual([stats.min, stats.max], [0, n - 1])
    })
  })
}

function keyedTests(test: Define): void {
  test('countByKey, countByValue, collectAsMap and lookup', async (context) => {
    await overShapes(context, numbers(17), async (rdd, records) => {
      const pairs = rdd.map(user.byRemainder)
      const counts = [0, 1, 2].map((key) => [key, records.filter((x) => x % 3 === key).length] as const)
      const present = counts.filter(([, count]) => count > 0)
      same([...(await pairs.countByKey())], present)
      same([...(await pairs.keys().countByValue())], present)
      assert.deepStrictEqual(await pairs.collectAsMap(), new Map(records.map((x) => [x % 3, x])))
      assert.deepStrictEqual(
        await pairs.lookup(1),
        records.filter((x) => x % 3 === 1),
      )
      assert.deepStrictEqual(await pairs.lookup(99), [])
      const byValue = await rdd.map(user.pairOfTuple).keys().countByValue()
      assert.equal(byValue.size, Math.min(4, records.length))
    })
    await rejects('KEY_INVALID', () => context.parallelize([[1, 2] as const]).lookup(new Set() as never))
  })
}
