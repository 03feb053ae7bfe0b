/** Streams on a real broker: what batches cover and hold. Names tell the trap of Spark's that each is about. */
import { isSluiceError, seconds, type Rdd } from '@sluice/core'
import { memoryFileSystem } from '@sluice/core/testing'
import { describe, expect, test } from 'vitest'
import { json, string } from './decode/deserializer.js'
import { kafkaDirectStream } from './kafka-stream.js'
import { offsetRanges } from './offset-ranges.js'
import { describeByEachClient, type Run } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

await describeByEachClient('kafkaDirectStream', ({ kafka, context: newContext, run }) => {
  const sizesOf = ({ ranges }: Run): number[][] =>
    ranges.map((batch) => batch.map(({ from, until }) => Number(until - from)))

  describe('batches', () => {
    test('each partition of the RDD is one of the topic, in order, with its range', async () => {
      const topic = await kafka.topic({ partitions: 3 })
      await kafka.add(topic, numbered(4), 0)
      await kafka.add(topic, numbered(2, 10), 2)
      const stream = await run({ topics: topic })
      await stream.batch()
      expect(stream.parts).toEqual([[numbered(4), [], numbered(2, 10)]])
      expect(stream.ranges).toEqual([
        [
          { topic, partition: 0, from: 0n, until: 4n },
          { topic, partition: 1, from: 0n, until: 0n },
          { topic, partition: 2, from: 0n, until: 2n },
        ],
      ])
    })

    test('records have all that Kafka knows of them, in buffers of their own', async () => {
      const topic = await kafka.topic()
      const headers = [
        ['a', 'x'],
        ['a', Buffer.from([0, 255])],
      ] as const
      await kafka.client.produce(topic, [
        { key: Buffer.from([1, 2]), value: 'one', headers, timestampMs: 1_700_000_000_000 },
        { key: null, value: null, timestampMs: 1_700_000_000_001 },
      ])
      const context = newContext()
      let records: unknown[] = []
      kafkaDirectStream(context.ssc, { client: kafka.client, topics: topic, from: 'earliest' }).foreachRDD(
        async (rdd) => {
          records = await rdd.collect()
        },
      )
      await context.ssc.start()
      await context.batch()
      const [one, two] = records as { value: Buffer }[]
      expect(one).toEqual({
        ...{ topic, partition: 0, offset: 0n, timestamp: 1_700_000_000_000 },
        key: Buffer.from([1, 2]),
        value: Buffer.from('one'),
        headers: [
          { name: 'a', value: Buffer.from('x') },
          { name: 'a', value: Buffer.from([0, 255]) },
        ],
      })
      expect(two).toEqual({
        ...{ topic, partition: 0, offset: 1n, timestamp: 1_700_000_000_001 },
        ...{ key: null, value: null, headers: [] },
      })
      // No more than Node's pool of small buffers: never the bytes of a whole fetch.
      expect(one?.value.buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize)
    })

    test('an empty topic gives empty batches', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      const stream = await run({ topics: topic })
      await stream.batch()
      await stream.batch()
      expect(stream.parts).toEqual([
        [[], []],
        [[], []],
      ])
    })

    test('ranges are known after map and filter, and refused after a shuffle', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(2))
      const context = newContext()
      const seen: unknown[] = []
      kafkaDirectStream(context.ssc, { client: kafka.client, topics: topic, from: 'earliest' }).foreachRDD((rdd) => {
        seen.push(offsetRanges(rdd.map(({ offset }) => offset).filter((offset) => offset > 0n)))
        try {
          offsetRanges(rdd.repartition(2))
        } catch (error) {
          seen.push(isSluiceError(error, 'ARGUMENT_INVALID'))
        }
      })
      await context.ssc.start()
      await context.batch()
      expect(seen).toEqual([[{ topic, partition: 0, from: 0n, until: 2n }], true])
    })
  })

  describe('caps', () => {
    test('hold for the first batch after a start, however much has piled up', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      await kafka.add(topic, numbered(90), 0)
      await kafka.add(topic, numbered(10), 1)
      const byPartition = await run({ topics: topic, maxRatePerPartition: 20 })
      await byPartition.batch()
      expect(sizesOf(byPartition)).toEqual([[20, 10]])
      const whole = await run({ topics: topic, maxRecordsPerBatch: 50 })
      await whole.batch()
      expect(sizesOf(whole)).toEqual([[44, 6]])
      const byRate = await run({ topics: topic }, { backpressure: { initialRate: 30 } })
      await byRate.batch()
      expect(sizesOf(byRate)).toEqual([[26, 4]])
    })

    test('hold for the first batch after a recovery, however long the application was down', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(5))
      const disk = memoryFileSystem()
      const options = { topics: topic, maxRatePerPartition: 10 }
      const first = await run(options, { disk, checkpoint: '/ckpt', appName: 'caps' })
      await first.batch()
      await first.stop()
      await kafka.add(topic, numbered(100, 5))
      const downMs = 3_600_000
      const again = await run(options, {
        ...{ disk, checkpoint: '/ckpt', appName: 'caps', takeOver: true },
        startMs: first.clock.now() + downMs,
      })
      await again.batch()
      expect(again.ranges).toEqual([[{ topic, partition: 0, from: 5n, until: 15n }]])
    })

    test('a rate below one record a batch is not rounded to none', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(10))
      const options = { topics: topic, minRatePerPartition: 0 }
      const slow = await run(options, { backpressure: { initialRate: 0.5, minRate: 0.1 } })
      for (let i = 0; i < 4; i++) await slow.batch()
      expect(sizesOf(slow)).toEqual([[0], [1], [0], [1]])
    })

    test('a partition that is hardly behind is not starved by one that is far behind', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      await kafka.add(topic, numbered(1_000), 0)
      await kafka.add(topic, numbered(3), 1)
      const stream = await run({ topics: topic, maxRecordsPerBatch: 10 })
      for (let i = 0; i < 3; i++) await stream.batch()
      expect(sizesOf(stream)).toEqual([
        [9, 1],
        [9, 1],
        [9, 1],
      ])
    })
  })

  describe('positions that hold no record', () => {
    test('E22: markers and aborted transactions: ranges end by position, and count is not a difference of offsets', async () => {
      const topic = await kafka.topic()
      const producer = await kafka.client.transactional(kafka.name('tx'))
      await producer.init()
      for (const [values, end] of [
        [numbered(3), 'commit'],
        [numbered(4, 3), 'abort'],
        [numbered(2, 7), 'commit'],
        [numbered(1, 9), 'abort'],
      ] as const) {
        const transaction = await producer.begin()
        await transaction.send(
          topic,
          values.map((value) => ({ value })),
        )
        await transaction[end]()
      }
      await producer.close()
      // 10 records and 4 markers; the last ones arrive a moment after the call.
      await expect.poll(async () => (await kafka.client.listOffsets(topic, [0], 'last-stable')).get(0)).toBe(14n)
      const counts: number[] = []
      const context = newContext()
      const options = { client: kafka.client, topics: topic, from: 'earliest', value: string } as const
      kafkaDirectStream(context.ssc, options).foreachRDD(async (rdd) => {
        counts.push(await rdd.count(), (await rdd.collect()).length, Number(offsetRanges(rdd)[0]?.until))
      })
      await context.ssc.start()
      await context.batch()
      expect(counts).toEqual([5, 5, 14])
      const one = await run({ topics: topic, maxRatePerPartition: 4 })
      for (let i = 0; i < 4; i++) await one.batch()
      expect(sizesOf(one)).toEqual([[4], [4], [4], [2]])
      expect(one.values).toEqual([...numbered(3), ...numbered(2, 7)])
    })

    test('a compacted topic: what is gone between others is no loss', async () => {
      const config = {
        'cleanup.policy': 'compact',
        'segment.ms': '100',
        'min.cleanable.dirty.ratio': '0.01',
        'max.compaction.lag.ms': '100',
      }
      const topic = await kafka.topic({ config })
      for (let i = 0; i < 4; i++) {
        await kafka.client.produce(topic, [
          { key: 'same', value: String(i) },
          { key: `other ${String(i)}`, value: 'x' },
        ])
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
      const countNow = async (): Promise<number> => {
        let count = 0
        for await (const chunk of kafka.client.readRange({ topic, partition: 0, from: 0n, to: 8n }))
          count += chunk.count()
        return count
      }
      // One more now and then: the segment that is written to is never compacted.
      await expect
        .poll(
          async () => {
            await kafka.client.produce(topic, [{ key: 'more', value: 'x' }])
            return countNow()
          },
          { timeout: 25_000, interval: 200 },
        )
        .toBeLessThan(8)
      const left = await countNow()
      const stream = await run({
        topics: topic,
        from: { offsets: [{ topic, partition: 0, offset: 0n }] },
        maxRatePerPartition: 8,
      })
      await stream.batch()
      expect(sizesOf(stream)).toEqual([[8]])
      expect(stream.values.length).toBeLessThanOrEqual(left)
    }, 60_000)

    test('an open transaction: nothing is planned beyond the last stable offset, and it goes on when it ends', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(2))
      const producer = await kafka.client.transactional(kafka.name('tx'))
      await producer.init()
      const transaction = await producer.begin()
      await transaction.send(topic, [{ value: 'open' }])
      await kafka.add(topic, ['behind it'])
      const committed = await run({ topics: topic })
      const uncommitted = await run({ topics: topic, isolation: 'uncommitted' })
      await committed.batch()
      await uncommitted.batch()
      expect(committed.ranges).toEqual([[{ topic, partition: 0, from: 0n, until: 2n }]])
      expect(uncommitted.values).toEqual([...numbered(2), 'open', 'behind it'])
      await committed.batch()
      expect(sizesOf(committed)).toEqual([[2], [0]])
      await transaction.commit()
      await producer.close()
      await expect.poll(async () => (await kafka.client.listOffsets(topic, [0], 'last-stable')).get(0)).toBe(5n)
      await committed.batch()
      expect(committed.values).toEqual([...numbered(2), 'open', 'behind it'])
    })
  })

  describe('count, take and isEmpty', () => {
    test('E22: decode no more than they must', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      await kafka.add(topic, numbered(3_000), 0)
      await kafka.add(topic, numbered(3_000), 1)
      const context = newContext()
      let decoded = 0
      const counting = {
        from: 'text',
        decode: (text: string): string => {
          decoded++
          return text
        },
      } as const
      const found: unknown[] = []
      const decodedBy = async (action: (rdd: Rdd<unknown>) => Promise<unknown>, rdd: Rdd<unknown>): Promise<void> => {
        decoded = 0
        found.push([await action(rdd), decoded])
      }
      const options = { client: kafka.client, topics: topic, from: 'earliest', value: counting } as const
      kafkaDirectStream(context.ssc, { ...options, handler: ({ value }) => value ?? '' }).foreachRDD(async (rdd) => {
        await decodedBy((each) => each.count(), rdd)
        await decodedBy((each) => each.isEmpty(), rdd)
        await decodedBy((each) => each.first(), rdd)
        await decodedBy((each) => each.take(3), rdd)
      })
      await context.ssc.start()
      await context.batch()
      expect(found).toEqual([
        [6_000, 0],
        [false, 1],
        ['record 0', 1],
        [numbered(3), 17],
      ])
    })
  })

  describe('several outputs and windows', () => {
    test('read the same again, each from its own fetches', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      await kafka.add(topic, numbered(50), 0)
      const context = newContext()
      const seen: string[][] = []
      const stream = kafkaDirectStream(context.ssc, {
        ...{ client: kafka.client, topics: topic, from: 'earliest' },
        value: string,
        handler: ({ value }) => value ?? '',
      })
      const keep = async (rdd: Rdd<string>): Promise<void> => void seen.push(await rdd.collect())
      stream.foreachRDD(keep)
      stream.foreachRDD(keep)
      stream.window(seconds(2)).foreachRDD(keep)
      await context.ssc.start()
      await context.batch()
      await kafka.add(topic, numbered(2, 50), 1)
      await context.batch()
      expect(seen).toEqual([numbered(50), numbered(50), numbered(50), numbered(2, 50), numbered(2, 50), numbered(52)])
    })
  })

  describe('values', () => {
    test('JSON, as what the handler makes of it', async () => {
      const topic = await kafka.topic()
      await kafka.client.produce(topic, [{ key: 'k', value: '{"n":1}' }, { value: null }])
      const context = newContext()
      let found: unknown
      kafkaDirectStream(context.ssc, {
        ...{ client: kafka.client, topics: topic, from: 'earliest' },
        key: string,
        value: json<{ n: number }>(),
        handler: ({ key, value, offset }) => [key, value?.n, offset] as const,
      }).foreachRDD(async (rdd) => {
        found = await rdd.collect()
      })
      await context.ssc.start()
      await context.batch()
      expect(found).toEqual([
        ['k', 1, 0n],
        [null, undefined, 1n],
      ])
    })
  })
})
