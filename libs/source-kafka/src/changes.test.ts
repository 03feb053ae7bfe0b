/** What may happen to topics while they are read, on a real broker. */
import { memoryFileSystem } from '@sluice/core/testing'
import { describe, expect, test } from 'vitest'
import { kafkaDirectStream } from './kafka-stream.js'
import type { TestContext, TestContextOptions } from './testing/context.js'
import { describeOnKafka, type Run, type TextOptions } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

await describeOnKafka('while a topic is read', ({ kafka, context, run: runWith }) => {
  /** Only what its batch reads is fetched: what is deleted meanwhile is gone. */
  const run = (options: TextOptions, contextOptions?: TestContextOptions): Promise<Run> =>
    runWith({ readAheadBytes: 0, ...options } as TextOptions, contextOptions)

  /** The last batch's ranges. */
  const lastRanges = ({ ranges }: Run): string[] =>
    (ranges.at(-1) ?? []).map(({ partition, from, until }) => `${String(partition)}: ${String(from)}-${String(until)}`)

  /** The error with which batches end; fails when they go on. */
  async function failure(stream: TestContext, batches = 20): Promise<unknown> {
    for (let i = 0; i < batches; i++) {
      try {
        await stream.batch()
      } catch (error) {
        return error
      }
    }
    throw new Error('nothing failed')
  }

  const lost = (pattern: RegExp): object => ({
    code: 'OFFSETS_LOST',
    message: expect.stringMatching(pattern) as unknown,
  })

  describe('partitions and topics are added', () => {
    test('new partitions join, from their beginning also where the stream began at the latest', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, ['old'])
      const stream = await run({ topics: topic, from: 'latest' })
      await stream.batch()
      await kafka.grow(topic, 2)
      await kafka.addAnew(topic, ['on 1'], 1)
      await stream.batch()
      await stream.batch()
      expect(stream.values).toEqual(['on 1'])
      expect(lastRanges(stream)).toEqual(['0: 1-1', '1: 1-1'])
    })

    test('new topics join a pattern from their beginning; others, and those of Kafka itself, do not', async () => {
      const prefix = kafka.name('join')
      const first = await kafka.topic({}, `${prefix}.a`)
      await kafka.topic({}, `not-${prefix}.a`)
      await kafka.addAnew(first, ['of a'])
      await kafka.addAnew(`not-${prefix}.a`, ['of none'])
      const stream = await run({ pattern: new RegExp(`^(__.*|${prefix}[.].*)$`, 'g') })
      await stream.batch()
      const second = await kafka.topic({ partitions: 2 }, `${prefix}.b`)
      await kafka.addAnew(second, ['of b'], 1)
      await stream.batch()
      await stream.batch()
      expect(stream.values).toEqual(['of a', 'of b'])
      expect(lastRanges(stream)).toEqual(['0: 1-1', '0: 0-0', '1: 1-1'])
    })

    test('a pattern may match nothing yet', async () => {
      const prefix = kafka.name('later')
      const stream = await run({ pattern: new RegExp(`^${prefix}`) })
      await stream.batch()
      expect(lastRanges(stream)).toEqual([])
      await kafka.addAnew(await kafka.topic({}, `${prefix}-1`), ['there'])
      await stream.batch()
      await stream.batch()
      expect(stream.values).toEqual(['there'])
    })

    test('over a restart from the checkpoint, new partitions are read from their beginning', async () => {
      const topic = await kafka.topic()
      const checkpoint = { disk: memoryFileSystem(), checkpoint: '/ckpt', appName: 'grown' }
      await kafka.addAnew(topic, ['old'])
      const options = { topics: topic, from: 'latest' } as const
      const first = await run(options, checkpoint)
      await first.batch()
      await first.ssc.stop()
      await kafka.grow(topic, 2)
      await kafka.addAnew(topic, ['on 1'], 1)
      const again = await run(options, { ...checkpoint, startMs: first.clock.now() + 60_000 })
      await again.batch()
      expect(again.values).toEqual(['on 1'])
    })
  })

  describe('a topic is deleted', () => {
    test('which fails the application by name', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, ['old'])
      const stream = await run({ topics: topic })
      await stream.batch()
      await kafka.admin.deleteTopics({ topics: [topic] })
      expect(await failure(stream)).toMatchObject({
        code: 'INPUT_MISSING',
        message: expect.stringContaining(`topic ${topic} is gone`) as unknown,
      })
    })

    test('or is left, while others go on, and is read again when it is made anew', async () => {
      const prefix = kafka.name('left')
      const [gone, stays] = [`${prefix}-gone`, `${prefix}-stays`]
      for (const topic of [gone, stays]) await kafka.addAnew(await kafka.topic({}, topic), [`of ${topic}`])
      const stream = await run({ topics: [gone, stays], onDeletedTopic: 'leave' })
      await stream.batch()
      await kafka.admin.deleteTopics({ topics: [gone] })
      for (let i = 0; i < 20 && lastRanges(stream).length > 1; i++) await stream.batch()
      await kafka.addAnew(stays, ['more'])
      await stream.batch()
      expect(stream.values).toEqual([`of ${gone}`, `of ${stays}`, 'more'])
      expect(lastRanges(stream)).toEqual(['0: 1-2'])
      expect(stream.log).toContainEqual(expect.stringMatching(`^warn: .*topic ${gone} is gone`))
      await kafka.remake(gone)
      await kafka.addAnew(gone, ['again'])
      for (let i = 0; i < 20 && !stream.values.includes('again'); i++) await stream.batch()
      expect(stream.values.at(-1)).toBe('again')
    })
  })

  describe('E15: records are deleted', () => {
    test('before they were planned: the application fails, and names the range', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, numbered(10))
      const stream = await run({ topics: topic, maxRecordsPerBatch: 4 })
      await stream.batch()
      await kafka.deleteRecords(topic, [0], 7n)
      expect(await failure(stream)).toMatchObject(lost(new RegExp(`offsets 4 to 6 of ${topic}-0 are gone`)))
      expect(stream.values).toEqual(numbered(4))
    })

    test('before they were planned: onDataLoss reset goes on with what is there, and says what is lost', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, numbered(10))
      const stream = await run({ topics: topic, maxRecordsPerBatch: 4, onDataLoss: 'reset' })
      await stream.batch()
      await kafka.deleteRecords(topic, [0], 7n)
      await stream.batch()
      expect(stream.values).toEqual([...numbered(4), ...numbered(3, 7)])
      expect(stream.log).toContainEqual(expect.stringMatching(`^warn: .*offsets 4 to 6 of ${topic}-0 are gone`))
    })

    test('after they were planned: the batch fails, also with reset, and again after a restart', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, numbered(4))
      const checkpoint = { disk: memoryFileSystem(), checkpoint: '/ckpt', appName: 'lost' }
      const first = context(checkpoint)
      const options = { client: kafka.client, topics: topic, from: 'earliest', onDataLoss: 'reset' } as const
      const declareOn = ({ ssc }: TestContext): void => {
        kafkaDirectStream(ssc, { ...options, readAheadBytes: 0 }).foreachRDD(async (rdd) => {
          await kafka.deleteRecords(topic, [0], 3n)
          await rdd.count()
        })
      }
      declareOn(first)
      await first.ssc.start()
      const pattern = /offsets 0 to 2 of .* are gone.*sluice-checkpoint amend/
      expect(await failure(first, 1)).toMatchObject(lost(pattern))
      const again = context({ ...checkpoint, startMs: first.clock.now() + 60_000 })
      declareOn(again)
      await again.ssc.start()
      expect(await failure(again, 1)).toMatchObject(lost(pattern))
    })

    test('or the topic is made anew: it ends before what is planned, which is no loss for a moment, but for long', async () => {
      const topic = await kafka.topic()
      await kafka.addAnew(topic, numbered(5))
      const stream = await run({ topics: topic, deadlineMs: 10_000 })
      await stream.batch()
      await kafka.admin.deleteTopics({ topics: [topic] })
      await kafka.remake(topic)
      await kafka.addAnew(topic, ['new'])
      await stream.batch()
      expect(stream.values).toEqual(numbered(5))
      expect(await failure(stream)).toMatchObject(lost(new RegExp(`offsets 1 to 4 of ${topic}-0 are gone`)))
    })
  })
})
