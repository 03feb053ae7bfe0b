/** Streams of a consumer group on a broker, in contexts. */
import type { DStream } from '@sluice/core'
import { memoryFileSystem } from '@sluice/core/testing'
import { ManualClock } from '@sluice/core/testing'
import { expect, test } from 'vitest'
import { json, string } from './decode/deserializer.js'
import { kafkaReceiverStream } from './kafka-receiver-stream.js'
import type { UndecodableRecord } from './record.js'
import { until, type TestContext } from './testing/context.js'
import { describeOnKafka } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

await describeOnKafka('kafkaReceiverStream', ({ kafka, context }) => {
  function keep<T>(stream: DStream<T>): T[] {
    const kept: T[] = []
    stream.foreachRDD(async (rdd) => {
      kept.push(...(await rdd.collect()))
    })
    return kept
  }

  /** Batches until `condition` holds. */
  const batches = (run: TestContext, condition: () => boolean, what: string): Promise<void> =>
    until(async () => {
      if (!condition()) await run.batch()
      return condition()
    }, what)

  const texts = (run: TestContext, topic: string, group: string, consumers = 1, reliable = false): string[] =>
    keep(
      kafkaReceiverStream(run.ssc, {
        brokers: kafka.brokers,
        group,
        topics: { [topic]: consumers },
        otherwise: 'earliest',
        reliable,
        value: string,
        handler: ({ value }) => value ?? '',
      }),
    )

  test('several consumers receive all partitions of a topic, in the order of each', async () => {
    const topic = await kafka.topic({ partitions: 4 })
    for (let partition = 0; partition < 4; partition++)
      await kafka.add(topic, numbered(100, 100 * partition), partition)
    const run = context()
    const seen = texts(run, topic, kafka.name('group'), 2)
    await run.ssc.start()
    await batches(run, () => seen.length >= 400, 'all are there')
    for (let partition = 0; partition < 4; partition++) {
      const wanted = numbered(100, 100 * partition)
      expect(seen.filter((text) => wanted.includes(text))).toEqual(wanted)
    }
    expect(seen.length).toBe(400)
  })

  test('whole records have their coordinates', async () => {
    const topic = await kafka.topic({ partitions: 2 })
    await kafka.client.produce(topic, [
      { partition: 1, key: 'a', value: 'one', timestampMs: 5, headers: [['h', 'x']] },
      { partition: 1, value: null, timestampMs: 6 },
    ])
    const run = context()
    const group = kafka.name('group')
    const seen = keep(
      kafkaReceiverStream(run.ssc, { brokers: kafka.brokers, group, topics: { [topic]: 1 }, otherwise: 'earliest' }),
    )
    await run.ssc.start()
    await batches(run, () => seen.length === 2, 'both are there')
    const place = { topic, partition: 1 }
    expect(seen).toEqual([
      {
        ...{ ...place, offset: 0n, timestamp: 5, key: Buffer.from('a'), value: Buffer.from('one') },
        headers: [{ name: 'h', value: Buffer.from('x') }],
      },
      { ...place, offset: 1n, timestamp: 6, key: null, value: null, headers: [] },
    ])
  })

  test('E14: with a checkpoint a restart goes on where the last run had stored', async () => {
    const [topic, group] = [await kafka.topic({ partitions: 2 }), kafka.name('group')]
    const clock = new ManualClock(1_800_000_000_000)
    const disk = memoryFileSystem({ clock })
    const first = context({ disk, checkpoint: '/ckpt' })
    const before = texts(first, topic, group, 2, true)
    await first.ssc.start()
    for (const partition of [0, 1]) await kafka.add(topic, numbered(50, 50 * partition), partition)
    await batches(first, () => before.length >= 100, 'the first run has them')
    await first.stop()
    for (const partition of [0, 1]) await kafka.add(topic, numbered(50, 100 + 50 * partition), partition)
    const second = context({ disk, checkpoint: '/ckpt', startMs: first.clock.now() })
    const after = texts(second, topic, group, 2, true)
    await second.ssc.start()
    await batches(second, () => before.length + after.length >= 200, 'the second run has the others')
    expect([...before, ...after].toSorted()).toEqual(numbered(200).toSorted())
  })

  test('E14: partitions that are added while it runs are received from their beginning, also from the latest on', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, ['earlier'])
    const run = context()
    const seen = keep(
      kafkaReceiverStream(run.ssc, {
        brokers: kafka.brokers,
        group: kafka.name('group'),
        topics: { [topic]: 2 },
        otherwise: 'latest',
        value: string,
        handler: ({ value }) => value ?? '',
      }),
    )
    await run.ssc.start()
    // Until it has begun, what is added is what was there.
    await until(async () => {
      await kafka.add(topic, ['first'])
      await run.batch()
      return seen.length > 0
    }, 'it has begun')
    await kafka.grow(topic, 3)
    for (const partition of [1, 2]) await kafka.addAnew(topic, numbered(50, 50 * partition), partition)
    const added = (): string[] => seen.filter((text) => text !== 'first')
    await batches(run, () => added().length >= 100, 'those of the new partitions are there')
    expect(added().toSorted()).toEqual(numbered(100, 50).toSorted())
    expect(seen).not.toContain('earlier')
  }, 120_000)

  test('what does not decode fails its batch by name, or goes to the dead-letter sink', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, ['1', 'two', '3'])
    const options = { brokers: kafka.brokers, topics: { [topic]: 1 }, otherwise: 'earliest' as const }
    const value = json<number>()
    const failing = context()
    keep(kafkaReceiverStream(failing.ssc, { ...options, group: kafka.name('group'), value }))
    await failing.ssc.start()
    await expect(batches(failing, () => false, 'it fails')).rejects.toMatchObject({
      message: expect.stringMatching(/offset 1: the value does not decode/) as string,
    })
    const rows: UndecodableRecord[] = []
    const run = context()
    const seen = keep(
      kafkaReceiverStream(run.ssc, {
        ...options,
        group: kafka.name('group'),
        value,
        handler: (record) => record.value,
        onDecodeError: { deadLetter: sinkInto(rows) },
      }),
    )
    await run.ssc.start()
    await batches(run, () => seen.length === 2, 'the good ones are there')
    expect(seen).toEqual([1, 3])
    expect(rows).toEqual([expect.objectContaining({ topic, partition: 0, offset: 1n, value: Buffer.from('two') })])
  })
})

function sinkInto<T>(rows: T[]) {
  return {
    '~sluice': 'sink/1' as const,
    name: 'rows',
    target: 'rows',
    guarantee: { level: 'at-least-once' as const, condition: 'it is a test' },
    async writePartition(_id: unknown, chunks: AsyncIterable<readonly T[]>): Promise<void> {
      for await (const chunk of chunks) rows.push(...chunk)
    },
  }
}
