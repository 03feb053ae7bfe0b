/** Where a stream begins, on a real broker. */
import type { OffsetStore, StreamOffsets } from '@sluice/core'
import { memoryFileSystem } from '@sluice/core/testing'
import { describe, expect, test } from 'vitest'
import { kafkaGroupOffsets } from './group-offset-store.js'
import { until, type TestContextOptions } from './testing/context.js'
import { describeOnKafka, type Run, type TextOptions } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

await describeOnKafka('a stream begins', ({ kafka, declare: declareWith }) => {
  /** Where it begins is up to the test. */
  const declare = (options: TextOptions, contextOptions?: TestContextOptions): Run =>
    declareWith({ from: undefined, ...options } as TextOptions, contextOptions)

  async function run(options: TextOptions, contextOptions?: TestContextOptions): Promise<Run> {
    const declared = declare(options, contextOptions)
    await declared.ssc.start()
    return declared
  }

  /** The values of the first batch. */
  async function firstBatch(options: TextOptions): Promise<string[]> {
    const stream = await run(options)
    await stream.batch()
    await stream.stop()
    return stream.values
  }

  async function started(options: TextOptions): Promise<unknown> {
    return declare(options)
      .ssc.start()
      .then(
        () => 'started',
        (error: unknown) => error,
      )
  }

  test('at the earliest, the latest, a time, or given offsets', async () => {
    const topic = await kafka.topic()
    const at = (timestampMs: number) => ({ value: `at ${String(timestampMs)}`, timestampMs })
    await kafka.client.produce(topic, [at(1_000), at(2_000), at(3_000)])
    expect(await firstBatch({ topics: topic, from: 'earliest' })).toEqual(['at 1000', 'at 2000', 'at 3000'])
    expect(await firstBatch({ topics: topic, from: { timestampMs: 1_500 } })).toEqual(['at 2000', 'at 3000'])
    expect(await firstBatch({ topics: topic, from: { timestampMs: 9_000 } })).toEqual([])
    const offsets = [{ topic, partition: 0, offset: 2n }]
    expect(await firstBatch({ topics: topic, from: { offsets } })).toEqual(['at 3000'])
    const latest = await run({ topics: topic })
    await kafka.add(topic, ['new'])
    await latest.batch()
    expect(latest.values).toEqual(['new'])
  })

  test('with explicit partitions, and reads no others', async () => {
    const topic = await kafka.topic({ partitions: 3 })
    for (const partition of [0, 1, 2]) await kafka.add(topic, [`of ${String(partition)}`], partition)
    const partitions = [
      { topic, partition: 2 },
      { topic, partition: 0 },
    ]
    expect(await firstBatch({ partitions, from: 'earliest' })).toEqual(['of 0', 'of 2'])
  })

  test('fromOffsets: where some partitions have none, `otherwise` tells', async () => {
    const topic = await kafka.topic({ partitions: 2 })
    await kafka.add(topic, numbered(3), 0)
    await kafka.add(topic, numbered(2, 10), 1)
    const from = { offsets: [{ topic, partition: 0, offset: 2n }] }
    expect(await firstBatch({ topics: topic, from, otherwise: 'earliest' })).toEqual([
      'record 2',
      'record 10',
      'record 11',
    ])
    expect(await firstBatch({ topics: topic, from })).toEqual(['record 2'])
    expect(await started({ topics: topic, from, otherwise: 'fail' })).toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  test('offsets that are not there are refused at the start, not in some batch', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, numbered(3))
    const beyond = { offsets: [{ topic, partition: 0, offset: 4n }] }
    expect(await started({ topics: topic, from: beyond })).toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/has 4 for .*-0, which ends at 3/) as unknown,
    })
    const other = { offsets: [{ topic, partition: 7, offset: 0n }] }
    expect(await started({ topics: topic, from: other })).toMatchObject({ code: 'ARGUMENT_INVALID' })
    await kafka.deleteRecords(topic, [0], 2n)
    const below = { offsets: [{ topic, partition: 0, offset: 1n }] }
    expect(await started({ topics: topic, from: below })).toMatchObject({
      code: 'OFFSETS_LOST',
      message: expect.stringMatching(/offsets 1 to 1 of /) as unknown,
    })
    expect(await firstBatch({ topics: topic, from: below, onDataLoss: 'reset' })).toEqual(['record 2'])
  })

  test('a topic that is missing fails the start by name', async () => {
    const missing = kafka.name('missing')
    expect(await started({ topics: missing })).toMatchObject({
      code: 'BROKER_REFUSED',
      message: expect.stringContaining(missing) as unknown,
    })
  })

  describe('with a group', () => {
    const committedOf = async (group: string, topic: string): Promise<unknown> =>
      kafka.client.fetchCommitted(group, [{ topic, partitions: [0, 1] }])

    test('which sees what has been processed, the last batch of a graceful stop included', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      await kafka.add(topic, numbered(3))
      const stream = await run({ topics: topic, from: 'earliest', group })
      await stream.batch()
      await until(
        async () => String(JSON.stringify(await committedOf(group, topic), bigintAsText)).includes('"3"'),
        'a commit',
      )
      await kafka.add(topic, numbered(2, 3))
      // What is there at the stop becomes a last batch.
      await stream.ssc.stop()
      expect(stream.values).toEqual(numbered(5))
      expect(await committedOf(group, topic)).toEqual([{ topic, partition: 0, offset: 5n }])
    })

    test('an application without a checkpoint goes on from it, with partitions added meanwhile from their beginning', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      await kafka.add(topic, numbered(2))
      const options = { topics: topic, group, otherwise: 'earliest' } as const
      const first = await run(options)
      await first.batch()
      await first.ssc.stop()
      await kafka.grow(topic, 2)
      await kafka.addAnew(topic, ['on 0'], 0)
      await kafka.addAnew(topic, ['on 1'], 1)
      // `latest` would leave out what is on the new one.
      const again = await run({ ...options, otherwise: 'latest' })
      await again.batch()
      expect(again.values).toEqual(['on 0', 'on 1'])
    })

    test('where it begins is kept at once, so that nothing is left out by a crash before the first batch', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      await kafka.add(topic, ['old'])
      const crashed = await run({ topics: topic, group })
      await until(async () => ((await committedOf(group, topic)) as unknown[]).length > 0, 'the begin is kept')
      await crashed.stop()
      await kafka.add(topic, ['new'])
      const again = await run({ topics: topic, group })
      await again.batch()
      expect(again.values).toEqual(['new'])
    })

    test('with a checkpoint the batch log is the truth, whatever the group says', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      const disk = memoryFileSystem()
      const context = { disk, checkpoint: '/ckpt', appName: 'truth' }
      await kafka.add(topic, numbered(3))
      const options = { topics: topic, group, otherwise: 'earliest' } as const
      const first = await run(options, context)
      await first.batch()
      await first.ssc.stop()
      await kafka.client.commit(group, [{ topic, partition: 0, offset: 0n }])
      await kafka.add(topic, ['new'])
      const again = await run(options, { ...context, startMs: first.clock.now() + 10_000 })
      await again.batch()
      expect(again.values).toEqual(['new'])
    })

    test('one that has members is told of, and holds nothing up', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      await kafka.add(topic, numbered(1))
      const consumer = kafka.kafka.consumer({ groupId: group, maxWaitTimeInMs: 100 })
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve))
      await consumer.run({ eachMessage: () => Promise.resolve() })
      await joined
      const stream = await run({ topics: topic, from: 'earliest', group })
      await stream.batch()
      await until(() => stream.log.some((line) => /cannot store offsets in kafka group/.test(line)), 'a warning')
      await kafka.add(topic, numbered(1, 1))
      await stream.batch()
      expect(stream.values).toEqual(numbered(2))
      await consumer.disconnect()
    })

    test('kafkaGroupOffsets is a store of its own, too', async () => {
      const topic = await kafka.topic()
      const group = kafka.name('group')
      const store = kafkaGroupOffsets({ client: kafka.client, group, topics: [topic] })
      expect(await store.load('orders')).toEqual({})
      await store.store('orders', { [`${topic}-0`]: '7' })
      expect(await store.load('orders')).toEqual({ [`${topic}-0`]: '7' })
    })
  })

  test('with a store of offsets of one’s own', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, numbered(3))
    const { store, kept, events } = memoryStore()
    const options = { topics: topic, offsets: store, otherwise: 'earliest', name: 'orders' } as const
    const first = await run(options, { appName: 'app' })
    await first.batch()
    await first.ssc.stop()
    expect(kept).toEqual({ orders: { [`${topic}-0`]: '3' } })
    expect(events).toEqual(['open app', 'load orders', 'close'])
    await kafka.add(topic, ['new'])
    const again = await run(options)
    await again.batch()
    expect(again.values).toEqual(['new'])
  })

  test('a store of offsets is loaded also where reading begins elsewhere: it may tell by it whether another run was here', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, numbered(3))
    const { store, events } = memoryStore()
    const options = { topics: topic, offsets: store, name: 'orders', from: 'earliest' } as const
    const context = { disk: memoryFileSystem(), checkpoint: '/ckpt', appName: 'loads' }
    const first = await run(options, context)
    await first.batch()
    await first.ssc.stop()
    const again = await run(options, { ...context, startMs: first.clock.now() + 10_000 })
    await again.ssc.stop()
    expect(events.filter((event) => event.startsWith('load'))).toEqual(['load orders', 'load orders'])
  })
})

function memoryStore() {
  const kept: Record<string, StreamOffsets> = {}
  const events: string[] = []
  const store: OffsetStore = {
    '~sluice': 'offset-store/1',
    name: 'memory',
    open: ({ appName }) => Promise.resolve(void events.push(`open ${appName}`)),
    load: (stream) => {
      events.push(`load ${stream}`)
      return Promise.resolve(kept[stream] ?? {})
    },
    store: (stream, offsets) => {
      kept[stream] = { ...kept[stream], ...offsets }
      return Promise.resolve()
    },
    close: () => Promise.resolve(void events.push('close')),
  }
  return { store, kept, events }
}

function bigintAsText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
