/** What may fail between the stream and its brokers; those that cannot be made to fail at the right moment are made to here. */
import { isSluiceError, SluiceError, type Sink } from '@sluice/core'
import type { KafkaClient, RangeRequest } from '@sluice/kafka-wire'
import { describe, expect, test } from 'vitest'
import { json } from './decode/deserializer.js'
import { kafkaDirectStream } from './kafka-stream.js'
import { offsetRanges } from './offset-ranges.js'
import type { UndecodableRecord } from './record.js'
import { until } from './testing/context.js'
import { describeOnKafka, type Run, type TextOptions } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'
import { withMethods } from './testing/with-methods.js'

function away(message = 'nobody there; wait'): SluiceError {
  return new SluiceError({ code: 'CONNECTION_FAILED', component: 'test', message, retryable: true })
}

await describeOnKafka('a stream', ({ kafka, context: newContext, declare, run: runWith }) => {
  /** Topics are looked at once only. */
  const run = (options: TextOptions): Promise<Run> => runWith({ refreshMs: 10_000, ...options } as TextOptions)

  describe('whose brokers are away', () => {
    test('plans nothing until they are back, says so once, and goes on', async () => {
      const topic = await kafka.topic()
      let isAway = false
      const client = withMethods(kafka.client, {
        listOffsets: (...args) => (isAway ? Promise.reject(away()) : kafka.client.listOffsets(...args)),
      })
      const stream = await run({ client, topics: topic, maxRecordsPerBatch: 2 })
      await kafka.add(topic, numbered(5))
      await stream.batch()
      isAway = true
      // What is known of earlier answers could be planned; whether it can be read is another matter.
      for (let i = 0; i < 3; i++) await stream.batch()
      expect(stream.values).toEqual(numbered(2))
      isAway = false
      for (let i = 0; i < 3; i++) await stream.batch()
      expect(stream.values).toEqual(numbered(5))
      expect(stream.log.filter((line) => line.includes('nothing is planned until they answer'))).toHaveLength(1)
      expect(stream.log).toContainEqual(expect.stringContaining('the brokers answer again'))
    })

    test('or slow waits for an answer for a moment, and never twice for the same', async () => {
      const topic = await kafka.topic()
      const waiting: (() => void)[] = []
      let isSlow = false
      let asked = 0
      const client = withMethods(kafka.client, {
        async listOffsets(...args) {
          asked++
          if (isSlow) await new Promise<void>((resolve) => waiting.push(resolve))
          return kafka.client.listOffsets(...args)
        },
      })
      const stream = await run({ client, topics: topic })
      await kafka.add(topic, numbered(2))
      isSlow = true
      asked = 0
      const first = stream.batch()
      await until(() => waiting.length > 0, 'the brokers are asked')
      await stream.clock.advance(500)
      await first
      await stream.batch()
      expect([asked, stream.values]).toEqual([1, []])
      isSlow = false
      for (const answer of waiting) answer()
      await until(async () => {
        await stream.batch()
        return stream.values.length > 0
      }, 'the answer is planned by')
      expect(stream.values).toEqual(numbered(2))
    })

    test('for good, as the login is wrong, fails', async () => {
      const topic = await kafka.topic()
      const refused = new SluiceError({ code: 'CONNECTION_FAILED', component: 'test', message: 'who are you; log in' })
      let isRefused = false
      const client = withMethods(kafka.client, {
        listOffsets: (...args) => (isRefused ? Promise.reject(refused) : kafka.client.listOffsets(...args)),
      })
      const stream = await run({ client, topics: topic })
      isRefused = true
      await expect(stream.batch()).rejects.toBe(refused)
    })
  })

  describe('one of whose partitions has no leader', () => {
    /** Partition 1 of every topic has none, as long as `isAway()`. */
    function leaderless(isAway: () => boolean): KafkaClient {
      return withMethods(kafka.client, {
        metadata: async (...args) =>
          (await kafka.client.metadata(...args)).map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map((each) => (each.partition === 1 && isAway() ? { ...each, leader: -1 } : each)),
          })),
        listOffsets: (topic, partitions, ...rest) =>
          isAway() && partitions.includes(1)
            ? Promise.reject(away(`${topic}/1 has no leader`))
            : kafka.client.listOffsets(topic, partitions, ...rest),
      })
    }

    test('reads the others on, names it, and reads it again when it has one', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      let isAway = false
      const stream = await run({ client: leaderless(() => isAway), topics: topic, maxRecordsPerBatch: 4 })
      await kafka.add(topic, numbered(4), 0)
      await kafka.add(topic, numbered(4, 10), 1)
      await stream.batch()
      expect(stream.values).toEqual([...numbered(2), ...numbered(2, 10)])
      isAway = true
      // One to be told, one without anything, one with the others.
      for (let i = 0; i < 3; i++) await stream.batch()
      expect(stream.values.slice(4)).toEqual(numbered(2, 2))
      const lines = (text: string): unknown[] => stream.log.filter((line) => line.includes(text))
      expect(lines(`${topic}-1 has no leader; nothing of it is planned`)).toHaveLength(1)
      isAway = false
      for (let i = 0; i < 3; i++) await stream.batch()
      expect(stream.values.slice(6)).toEqual(numbered(2, 12))
      expect(lines(`${topic}-1 has a leader again`)).toHaveLength(1)
    })

    test('waits for it at the start', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      await kafka.add(topic, ['of 1'], 1)
      let isAway = true
      const stream = declare({ client: leaderless(() => isAway), topics: topic })
      const started = stream.ssc.start()
      await until(() => stream.log.some((line) => /1 has no leader.*the start waits for it/.test(line)), 'it waits')
      isAway = false
      await stream.clock.advance(1_000)
      await started
      await stream.batch()
      expect(stream.values).toEqual(['of 1'])
    })

    test('and none for too long fails the start by its name', async () => {
      const topic = await kafka.topic({ partitions: 2 })
      const stream = declare({ client: leaderless(() => true), topics: topic, deadlineMs: 3_000 })
      const failed = stream.ssc.start().catch((error: unknown) => error)
      await until(() => stream.log.some((line) => line.includes('the start waits for it')), 'it waits')
      await stream.clock.advance(3_000)
      expect(await failed).toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringMatching(/not answered within 3000 ms .*1 has no leader/) as unknown,
      })
    })
  })

  describe('whose reading makes no progress', () => {
    /** Gives the first chunk of a range, and then fails so often. */
    function failing(times: number, asked: RangeRequest[]): KafkaClient {
      let left = times
      return withMethods(kafka.client, {
        async *readRange(range) {
          asked.push(range)
          const to = left > 0 ? range.from + 2n : range.to
          yield* kafka.client.readRange({ ...range, to })
          if (left-- > 0) {
            throw new SluiceError({ code: 'TIMEOUT', component: 'test', message: 'no progress; wait', retryable: true })
          }
        },
      })
    }

    test('fails the batch', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(6))
      const asked: RangeRequest[] = []
      const stream = await run({ client: failing(9, asked), topics: topic, deadlineMs: 1_234, readAheadBytes: 0 })
      await expect(stream.batch()).rejects.toMatchObject({ code: 'TIMEOUT' })
      expect(asked[0]).toMatchObject({ deadlineMs: 1_234 })
    })

    test('maxRetries: begins anew where it was, so often', async () => {
      const topic = await kafka.topic()
      await kafka.add(topic, numbered(6))
      const asked: RangeRequest[] = []
      const stream = await run({ client: failing(2, asked), topics: topic, maxRetries: 2, readAheadBytes: 0 })
      await stream.batch()
      expect(stream.values).toEqual(numbered(6))
      expect(asked.map(({ from }) => from)).toEqual([0n, 2n, 4n])
    })
  })

  test('that is stopped while it reads leaves its batch, and does not take that for its end', async () => {
    const topic = await kafka.topic()
    await kafka.add(topic, numbered(4))
    let isReading = false
    const client = withMethods(kafka.client, {
      async *readRange(range) {
        yield* kafka.client.readRange({ ...range, to: range.from + 2n })
        isReading = true
        await new Promise((_, reject) => {
          range.signal?.addEventListener('abort', () => {
            reject(range.signal?.reason as Error)
          })
        })
      },
    })
    const context = newContext()
    const outcomes: unknown[] = []
    kafkaDirectStream(context.ssc, { client, topics: topic, from: 'earliest' }).foreachRDD(async (rdd) => {
      outcomes.push(
        await rdd
          .map(({ offset }) => offset)
          .collect()
          .catch((error: unknown) => isSluiceError(error)),
      )
    })
    await context.ssc.start()
    void context.clock.advance(1_000)
    await until(() => isReading, 'the batch reads')
    await context.stop()
    await until(() => outcomes.length > 0, 'the read has ended')
    expect(outcomes).toEqual([true])
  })

  test('leaves the client that it was given open, and closes its own', async () => {
    const topic = await kafka.topic()
    let closed = 0
    const client = withMethods(kafka.client, { close: () => Promise.resolve(void closed++) })
    const given = await run({ client, topics: topic })
    await given.ssc.stop()
    expect(closed).toBe(0)
    const context = newContext()
    kafkaDirectStream(context.ssc, { brokers: kafka.brokers, topics: topic, from: 'earliest' })
      .count()
      .foreachRDD(() => undefined)
    await context.ssc.start()
    await context.batch()
    await context.ssc.stop()
    expect(context.log.filter((line) => line.startsWith('warn'))).toEqual([])
  })

  describe('E18: dead letters', () => {
    /** Keeps what is written. */
    function memorySink<T>(events: string[], name: string): Sink<T> & { readonly records: T[] } {
      const records: T[] = []
      return {
        '~sluice': 'sink/1',
        name,
        target: name,
        records,
        guarantee: { level: 'at-least-once', condition: 'a test' },
        async writePartition(_id, chunks) {
          for await (const chunk of chunks) records.push(...chunk)
          events.push(name)
        },
      }
    }

    test('are an output of their own, written before the others, with topic, partition, offset and bytes', async () => {
      const topic = await kafka.topic()
      await kafka.client.produce(topic, [
        { key: 'a', value: '{"n":1}' },
        { key: 'b', value: '{' },
        { value: '{"n":3}' },
      ])
      const context = newContext()
      const events: string[] = []
      const letters = memorySink<UndecodableRecord>(events, 'letters')
      const good = memorySink<number>(events, 'good')
      const counts: number[] = []
      const stream = kafkaDirectStream(context.ssc, {
        ...{ client: kafka.client, topics: topic, from: 'earliest', name: 'numbers' },
        value: json<{ n: number }>(),
        handler: ({ value }) => value?.n ?? 0,
        onDecodeError: { deadLetter: letters },
      })
      stream.to(good)
      stream.foreachRDD(async (rdd) => {
        counts.push(await rdd.count(), offsetRanges(rdd).length)
      })
      await context.ssc.start()
      await context.batch()
      expect(good.records).toEqual([1, 3])
      expect(letters.records).toMatchObject([
        { topic, partition: 0, offset: 1n, key: Buffer.from('b'), value: Buffer.from('{') },
      ])
      expect(letters.records[0]?.message).toMatch(/^the value does not decode: /)
      expect(events).toEqual(['letters', 'good'])
      expect(counts).toEqual([2, 1])
      expect(context.log.some((line) => line.includes('numbers-undecodable'))).toBe(true)
    })
  })
})
