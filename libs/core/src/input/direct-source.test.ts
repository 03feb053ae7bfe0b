/** What a direct source may tell of its plans without being read. */
import { expect, test } from 'vitest'
import { harness } from '../testing/harness.js'
import type { InputSource } from './input.js'

interface Range {
  readonly from: number
  readonly until: number
}

/** Numbers, ten to a batch in two partitions, that says how often it is read. */
function numbers(reads: Range[]): InputSource<number, Range> {
  let next = 0
  return {
    '~sluice': 'input/1',
    name: 'numbers',
    replayable: true,
    plan: () => {
      const from = next
      next += 10
      return { data: { from, until: next }, records: 10 }
    },
    partitions: ({ from, until }) => [
      { from, until: from + 5 },
      { from: from + 5, until },
    ],
    read: (range: Range) => {
      reads.push(range)
      return [Array.from({ length: range.until - range.from }, (_, i) => range.from + i)]
    },
    count: ({ from, until }: Range) => Promise.resolve(until - from),
  }
}

test("count of a direct stream's own RDD asks the source, and behind an operator reads", async () => {
  const reads: Range[] = []
  const counts: number[] = []
  const { ssc, batch } = harness()
  ssc.inputStream(numbers(reads)).foreachRDD(async (rdd) => {
    counts.push(await rdd.count())
    expect(reads).toEqual([])
    counts.push(await rdd.filter((n) => n % 2 === 0).count())
  })
  await ssc.start()
  await batch()
  await ssc.stop({ graceful: false })
  expect(counts).toEqual([10, 5])
  expect(reads).toHaveLength(2)
})

test('an RDD tells the plan of its batch as long as its partitions are those of the input', async () => {
  const seen: Record<string, unknown> = {}
  const { ssc, batch } = harness()
  ssc.inputStream(numbers([])).foreachRDD((rdd) => {
    seen['own'] = rdd.inputPlan
    seen['mapped'] = rdd.map((n) => n + 1).filter((n) => n > 3).inputPlan
    seen['repartitioned'] = rdd.repartition(3).inputPlan
    seen['united'] = rdd.union(rdd).inputPlan
  })
  await ssc.start()
  await batch()
  await ssc.stop({ graceful: false })
  const plan = { from: 0, until: 10 }
  expect(seen).toEqual({ own: plan, mapped: plan, repartitioned: undefined, united: undefined })
})

test('other RDDs have no plan', async () => {
  const { ssc } = harness()
  expect(ssc.sluiceContext.parallelize([1, 2]).inputPlan).toBeUndefined()
  await ssc.stop()
})

test('a direct source is stopped when the batches of a graceful stop have been read', async () => {
  const events: string[] = []
  const source = numbers([])
  const { ssc, batch } = harness()
  const watched: InputSource<number, Range> = {
    ...source,
    read: (range: Range) => {
      events.push(`read ${String(range.from)}`)
      return source.read(range as never, undefined)
    },
    stop: () => {
      events.push('stop')
      return Promise.resolve()
    },
  }
  ssc.inputStream(watched).foreachRDD(async (rdd) => {
    await rdd.collect()
  })
  await ssc.start()
  await batch()
  await ssc.stop()
  expect(events).toEqual(['read 0', 'read 5', 'read 10', 'read 15', 'stop'])
})
