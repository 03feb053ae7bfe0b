import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { Rdd } from '../rdd/rdd.js'
import type { Sink } from '../sink/sink.js'
import { Gate, harness, until } from '../testing/harness.js'

const save = (gate: Gate, saved: string[]) => async (records: readonly string[]) => {
  await gate.opened
  saved.push(...records)
}

test('E25: an action that is not awaited belongs to the batch: it ends when the action has ended', async () => {
  const { ssc, clock, completed } = harness()
  const gate = new Gate()
  const saved: string[] = []
  ssc.queueStream([['a', 'b']]).foreachRDD((rdd) => {
    void rdd.foreachPartition(save(gate, saved))
  })
  await ssc.start()
  await clock.advance(1_500)
  expect(completed).toEqual([])
  gate.open()
  await until(() => completed.length === 1)
  expect(saved).toEqual(['a', 'b'])
  await ssc.stop({ graceful: false })
})

test.each<readonly [string, (rdd: Rdd<number>) => unknown]>([
  [
    'foreachPartition',
    (rdd) =>
      rdd.foreachPartition(() => {
        throw new Error('no')
      }),
  ],
  [
    'foreach',
    (rdd) =>
      rdd.foreach(() => {
        throw new Error('no')
      }),
  ],
  ['map and collect', (rdd) => rdd.map(fail).collect()],
  ['map and sum', (rdd) => rdd.map(fail).sum()],
  ['map and take', (rdd) => rdd.map(fail).take(1)],
  ['map and collectAsMap', (rdd) => rdd.map(fail).keyBy(String).collectAsMap()],
  ['map and saveAsTextFile', (rdd) => rdd.map(fail).saveAsTextFile('out/here')],
])('E25: the rejection of an action that is not awaited (%s) fails the batch', async (_name, act) => {
  const { ssc, clock, events, end } = harness({ taskMaxFailures: 1 })
  ssc.queueStream([[1]]).foreachRDD((rdd) => {
    void act(rdd)
  })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  // saveAsTextFile is tried again.
  await clock.advance(1_000)
  expect(await ended).toSatisfy((error) => isSluiceError(error, 'USER_FUNCTION_FAILED'))
  expect(events).toContain('failed 1000')
})

function fail(): number {
  throw new Error('no')
}

test('E25: actions that follow on one another, none awaited, all belong to the batch', async () => {
  const { ssc, batch } = harness()
  const seen: unknown[] = []
  ssc.queueStream([[1, 2, 3]]).foreachRDD((rdd) => {
    void rdd
      .count()
      .then((count) => seen.push(count))
      .then(() => rdd.collect())
      .then((all) => seen.push(all))
      .then(() => rdd.map((n) => n * 2).collect())
      .then((all) => seen.push(all))
  })
  await ssc.start()
  await batch()
  expect(seen).toEqual([3, [1, 2, 3], [2, 4, 6]])
  await ssc.stop({ graceful: false })
})

test('E25: an action after the batch is refused, by name', async () => {
  const { ssc, batches } = harness()
  let kept: Rdd<number> | undefined
  ssc.queueStream([[1]]).foreachRDD((rdd) => {
    kept ??= rdd.map((n) => n + 1)
  })
  await ssc.start()
  await batches(1)
  await expect(kept?.collect()).rejects.toSatisfy(
    (error) => isSluiceError(error, 'ACTION_OUTSIDE_BATCH') && error.message.includes('batch 1000 has ended'),
  )
  await batches(1)
  await ssc.stop({ graceful: false })
})

test("the function's own error counts before that of an action it did not await", async () => {
  const { ssc, clock, end } = harness({ taskMaxFailures: 1 })
  ssc.queueStream([[1]]).foreachRDD((rdd) => {
    void rdd.foreach(fail)
    throw new Error('my own')
  })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toMatchObject({ message: 'my own' })
})

test('that there is no record is an answer: a caught EMPTY_COLLECTION does not fail the batch', async () => {
  const { ssc, batch } = harness()
  const sums: number[] = []
  ssc.queueStream<number>([[]]).foreachRDD(async (rdd) => {
    sums.push(await rdd.reduce((a, b) => a + b).catch(() => 0))
  })
  await ssc.start()
  await batch()
  expect(sums).toEqual([0])
  await ssc.stop({ graceful: false })
})

test('foreachPartition tells the identity of each partition', async () => {
  const { ssc, batch } = harness()
  const ids: string[] = []
  ssc.queueStream([[1, 2]], { partitions: 2 }).foreachRDD((rdd) =>
    rdd.foreachPartition((records, info) => {
      ids.push(`${info.output} ${String(info.batchTime)} ${String(info.partition)}/${String(info.partitions)}`)
      expect(info.app).toMatch(/^[0-9a-f-]{36}$/)
    }),
  )
  await ssc.start()
  await batch()
  expect(ids).toEqual(['foreachRDD-0 1000 0/2', 'foreachRDD-0 1000 1/2'])
  await ssc.stop({ graceful: false })
})

/** A sink that notes what is done with it. */
function notingSink(calls: string[], name = 'noting'): Sink<number> {
  return {
    '~sluice': 'sink/1',
    name,
    target: 'somewhere',
    guarantee: { level: 'exactly-once', condition: 'it is a test' },
    open: ({ output }) => Promise.resolve(void calls.push(`${name} open ${output}`)),
    writePartition: ({ output, batchTime }) =>
      Promise.resolve(void calls.push(`${name} write ${output} ${String(batchTime)}`)),
    close: () => Promise.resolve(void calls.push(`${name} close`)),
  }
}

test('E25: writeTo in foreachRDD is an output of its own: opened once, written in each batch, closed at the end', async () => {
  const { ssc, batches } = harness()
  const calls: string[] = []
  const sink = notingSink(calls)
  ssc.queueStream([[1], [2]]).foreachRDD((rdd) => rdd.writeTo(sink, { name: 'copy' }), { name: 'each' })
  await ssc.start()
  await batches(2)
  await ssc.stop({ graceful: false })
  expect(calls).toEqual([
    'noting open each/copy',
    'noting write each/copy 1000',
    'noting write each/copy 2000',
    'noting close',
  ])
})

test('a new sink in every batch is opened too, and the one before is closed', async () => {
  const { ssc, batches } = harness()
  const calls: string[] = []
  ssc
    .queueStream([[1], [2]])
    .foreachRDD((rdd, time) => rdd.writeTo(notingSink(calls, `s${String(time)}`), { name: 'x' }))
  await ssc.start()
  await batches(2)
  await ssc.stop({ graceful: false })
  expect(calls).toEqual([
    's1000 open foreachRDD-0/x',
    's1000 write foreachRDD-0/x 1000',
    's2000 open foreachRDD-0/x',
    's1000 close',
    's2000 write foreachRDD-0/x 2000',
    's2000 close',
  ])
})

test('E1: two writes of one batch must not share an identity', async () => {
  const { ssc, clock, end } = harness()
  const sink = notingSink([])
  ssc.queueStream([[1]]).foreachRDD(async (rdd) => {
    await rdd.writeTo(sink)
    await rdd.map((n) => -n).writeTo(sink)
  })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toSatisfy((error) => isSluiceError(error, 'NAME_REQUIRED'))
})

test('what an RDD of a batch keeps is dropped with the batch', async () => {
  const { ssc, batches } = harness()
  ssc.queueStream([[1], [2], [3]]).foreachRDD(async (rdd) => {
    const kept = rdd
      .map((n) => [n, n])
      .groupByKey({ partitions: 3 })
      .cache()
    await kept.count()
    await kept.count()
  })
  await ssc.start()
  await batches(3)
  expect(ssc.sluiceContext.engine.blocks.stats().blocks).toBe(0)
  await ssc.stop({ graceful: false })
})

test('an RDD of the context that batches join with stays cached', async () => {
  const { ssc, batches } = harness()
  let computed = 0
  const names = ssc.sluiceContext
    .parallelize([1, 2], 1)
    .map((n) => {
      computed++
      return [n, `name-${String(n)}`]
    })
    .cache()
  const seen: unknown[] = []
  ssc.queueStream([[1], [2], [1]]).foreachRDD(async (rdd) => {
    seen.push(
      ...(await rdd
        .map((n) => [n, 'order'])
        .join(names)
        .collect()),
    )
  })
  await ssc.start()
  await batches(3)
  expect(seen).toEqual([
    [1, ['order', 'name-1']],
    [2, ['order', 'name-2']],
    [1, ['order', 'name-1']],
  ])
  expect(computed).toBe(2)
  await ssc.stop({ graceful: false })
})
