/** The RDD suite: operators by key, joins, sets. */
import assert from 'node:assert/strict'
import {
  gives,
  grouped,
  holds,
  numbers,
  overShapes,
  rejects,
  same,
  withoutPartitions,
  type Define,
} from './suite-bench.js'
import * as user from './suite-functions.js'
import { hashPartitioner, rangePartitioner } from './partitioner.js'

const PARTITIONS = [1, 2, 5]

export function aggregationTests(test: Define): void {
  test('reduceByKey and foldByKey combine the values of each key', async (context) => {
    await overShapes(context, numbers(30), async (rdd, records) => {
      const groups = grouped(records.map((x) => [`k${String(x % 5)}`, x] as const))
      for (const partitions of PARTITIONS) {
        const pairs = rdd.map(user.pairOfText)
        const sums = groups.map(([key, list]) => [key, list.reduce((a, b) => a + b)] as const)
        await holds(pairs.reduceByKey(user.plus, { partitions }), sums)
        await holds(pairs.foldByKey(0, user.plus, { partitions }), sums)
      }
    })
  })

  test('groupByKey and groupBy keep the order of values', async (context) => {
    await overShapes(context, numbers(30), async (rdd, records) => {
      const groups = grouped(records.map((x) => [x % 3, x] as const))
      for (const partitions of PARTITIONS) {
        await holds(rdd.map(user.byRemainder).groupByKey({ partitions }), groups)
        await holds(rdd.groupBy(user.remainder3, { partitions }), groups)
      }
    })
  })
}

export function combinerTests(test: Define): void {
  test('aggregateByKey and combineByKey may change combiners in place, however often they run', async (context) => {
    await overShapes(context, numbers(30), async (rdd, records) => {
      const groups = grouped(records.map((x) => [x % 3, x] as const))
      const maps = groups.map(([key, list]) => [key, list.reduce((map, x) => addTo(map, x), new Map())] as const)
      const combiner = { create: user.listOf, add: user.appended, merge: user.concatenatedLists }
      for (const partitions of PARTITIONS) {
        const pairs = rdd.map(user.byRemainder)
        const lists = pairs.aggregateByKey<number[]>([], user.appended, user.concatenatedLists, { partitions })
        const combined = pairs.combineByKey<number[]>(combiner, { partitions })
        const unCombined = pairs.combineByKey<number[]>(combiner, { partitions, mapSideCombine: false })
        const asMaps = pairs.combineByKey<Map<number, number[]>>(
          { create: user.mapOf, add: user.addedToMap, merge: user.mergedMaps },
          { partitions },
        )
        for (let run = 0; run < 2; run++) {
          for (const each of [lists, combined, unCombined]) await holds(each, groups)
          await holds(asMaps, maps)
        }
      }
    })
  })

  test('keys are compared by content, in the order in which they were first seen', async (context) => {
    await overShapes(context, numbers(20), async (rdd, records) => {
      const sums = grouped(records.map((x) => [x % 4, x] as const)).map(
        ([key, list]) => [['t', key], list.reduce((a, b) => a + b)] as const,
      )
      await gives(rdd.map(user.pairOfTuple).reduceByKey(user.plus, { partitions: 1 }), sums as never)
      await holds(rdd.map(user.pairOfTuple).reduceByKey(user.plus, { partitions: 3 }), sums as never)
    })
  })
}

export function keyTests(test: Define): void {
  test('what is no key is refused, naming the operator', async (context) => {
    const pairs = context.parallelize([[new Map(), 1] as const, [new Map(), 2] as const], 2)
    const joined = context.parallelize([[new Map(), 1] as const], 1)
    const refused = [
      [/reduceByKey/, () => pairs.reduceByKey(user.plus).collect()],
      [/groupByKey/, () => pairs.groupByKey({ partitions: 2 }).collect()],
      [/partitionBy/, () => pairs.partitionBy(hashPartitioner(2)).collect()],
      [/distinct/, () => pairs.keys().distinct({ partitions: 3 }).collect()],
      [/join/, () => joined.join(joined, { partitions: 1 }).collect()],
      [/cogroup/, () => joined.cogroup(joined, { partitions: 1 }).collect()],
    ] as const
    for (const [operator, action] of refused) {
      const error = await rejects('KEY_INVALID', action)
      assert.match(error.component, operator)
      assert.match(error.message, /an instance of Map cannot be a key/)
    }
  })

  test('partitionBy puts each key in its partition, and what knows that shuffles no more', async (context) => {
    await overShapes(context, numbers(40), async (rdd, records) => {
      for (const partitioner of [hashPartitioner(3), rangePartitioner([0, 1])]) {
        const spread = rdd.map(user.byRemainder).partitionBy(partitioner)
        assert.ok(spread.partitions === 3 || rdd.partitions === 1)
        const parts = await spread.glom().collect()
        same(
          parts.flat(),
          records.map((x) => [x % 3, x] as const),
        )
        if (spread.partitions < 3) continue
        parts.forEach((part, i) => {
          for (const [key] of part) assert.equal(partitioner.partitionOf(key), i)
        })
        assert.equal(spread.mapValues(user.double).reduceByKey(user.plus).partitioner, partitioner)
        for (const key of [0, 1, 2, 9]) {
          assert.deepStrictEqual(
            await spread.lookup(key),
            records.filter((x) => x % 3 === key),
          )
        }
      }
    })
  })

  test('operators on pairs refuse what is no pair', async (context) => {
    const rdd = context.parallelize([1, 2, 3], 2) as never as ReturnType<typeof context.parallelize<[number, number]>>
    for (const action of [
      () => rdd.mapValues(user.double).collect(),
      () => rdd.keys().collect(),
      () => rdd.reduceByKey(user.plus).collect(),
      () => rdd.groupByKey({ partitions: 2 }).collect(),
      () => rdd.join(rdd).collect(),
    ]) {
      await rejects('PAIR_EXPECTED', action)
    }
  })
}

function addTo(map: Map<number, number[]>, x: number): Map<number, number[]> {
  return map.set(x % 2, [...(map.get(x % 2) ?? []), x])
}

export function joinTests(test: Define): void {
  test('joins pair left and right values of each key', async (context) => {
    await overShapes(context, numbers(12), async (rdd, records) => {
      const left = records.map((x) => [x % 5, x] as const)
      const right = [2, 3, 3, 4, 7].map((x) => [x, `r${String(x)}`] as const)
      const inner = left.flatMap(([k, v]) => right.filter(([r]) => r === k).map(([, w]) => [k, [v, w]] as const))
      const leftOnly = left.filter(([k]) => !right.some(([r]) => r === k)).map(([k, v]) => [k, [v, undefined]] as const)
      const rightOnly = right
        .filter(([r]) => !left.some(([k]) => r === k))
        .map(([r, w]) => [r, [undefined, w]] as const)
      const [pairs, b] = [rdd.map(user.pairOf5), context.parallelize(right, 2)]
      for (const partitions of PARTITIONS) {
        await holds(pairs.join(b, { partitions }), inner)
        await holds(pairs.leftOuterJoin(b, { partitions }), [...inner, ...leftOnly])
        await holds(pairs.rightOuterJoin(b, { partitions }), [...inner, ...rightOnly])
        await holds(pairs.fullOuterJoin(b, { partitions }), [...inner, ...leftOnly, ...rightOnly])
        await holds(
          pairs.subtractByKey(b, { partitions }),
          leftOnly.map(([k, [v]]) => [k, v] as const),
        )
      }
      await gives(pairs.join(withoutPartitions<readonly [number, string]>(context)), [])
    })
  })

  test('cogroup lists the values of both sides for each key', async (context) => {
    await overShapes(context, numbers(10), async (rdd, records) => {
      const right = [1, 1, 8].map((x) => [x, -x] as const)
      const lefts = grouped(records.map((x) => [x % 3, x] as const))
      const rights = grouped(right)
      const keys = [...new Set([...lefts, ...rights].map(([key]) => key))]
      const expected = keys.map((key) => [key, [valuesOf(lefts, key), valuesOf(rights, key)]] as const)
      for (const partitions of PARTITIONS) {
        await holds(rdd.map(user.byRemainder).cogroup(context.parallelize(right, 2), { partitions }), expected)
      }
    })
  })
}

function valuesOf<V>(groups: readonly (readonly [number, V[]])[], key: number): V[] {
  return groups.find(([each]) => each === key)?.[1] ?? []
}

export function setTests(test: Define): void {
  test('distinct, intersection and subtract work by content', async (context) => {
    const records = [3, 1, 3, 2, 1, 9].map((x) => ({ id: x }))
    await overShapes(context, records, async (rdd, all) => {
      const other = context.parallelize([{ id: 9 }, { id: 3 }, { id: 3 }, { id: 77 }], 2)
      const ids = [...new Set(all.map(({ id }) => id))]
      const common = ids.filter((id) => id === 9 || id === 3)
      for (const partitions of PARTITIONS) {
        await holds(
          rdd.distinct({ partitions }),
          ids.map((id) => ({ id })),
        )
        await holds(
          rdd.intersection(other, { partitions }),
          common.map((id) => ({ id })),
        )
        await holds(
          rdd.subtract(other, { partitions }),
          all.filter(({ id }) => id !== 9 && id !== 3),
        )
      }
      await gives(
        rdd.distinct({ partitions: 1 }),
        ids.map((id) => ({ id })),
      )
    })
  })
}
