/** What the conformance suite does not ask: options, topics by record, headers, compression, checks at the start, logins. */
import { SinkDrive } from '@sluice/testkit'
import { SluiceError, StreamingContext, milliseconds, type Rejected } from '@sluice/core'
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import { platformaticClient } from '@sluice/kafka-wire/platformatic'
import { describeWithServices, kafkaJsConfig } from '@sluice/services'
import { afterAll, describe, expect, test } from 'vitest'
import { json, kafkaSink, rejectedAsJson, text } from './index.js'
import { clientOf, newTopic, readTopic, topicName } from './testing/targets.js'

test('options that make no sense are refused at once', () => {
  const place = { brokers: ['localhost:1'] }
  const refused = (options: object, problem: string): void => {
    expect(() => kafkaSink({ ...place, topic: 't', ...options } as never)).toThrow(problem)
  }
  refused({ brokers: [] }, 'brokers is empty')
  refused({ client: {} }, 'client is none of @sluice/kafka-wire')
  refused({ topic: 'no topic' }, 'topic is no name of a topic')
  refused({ topic: '..' }, 'topic is no name of a topic')
  refused({ ledgerTopic: 't' }, 'topic and ledgerTopic are the same')
  refused({ compression: 'zip' }, 'compression must be one of')
  refused({ mode: 'twice' }, 'mode must be one of')
  refused({ transactionTimeoutMs: 0 }, 'transactionTimeoutMs must be at least 1')
  refused({ key: 'name' }, 'key must be a function')
})

test('serializers refuse what would not come back as it was', () => {
  for (const value of ['a', null, new Uint8Array(1)]) expect(text(value, 't')).toBe(value)
  expect([text(1.5, 't'), text(12n, 't'), text(true, 't')]).toEqual(['1.5', '12', 'true'])
  for (const value of [NaN, undefined, {}, [], Promise.resolve()]) expect(() => text(value, 't')).toThrow('is no text')
  expect(json({ a: [1, 'b', null] }, 't')).toBe('{"a":[1,"b",null]}')
  for (const value of [undefined, NaN, 1n, new Date(), { a: undefined }, new Map()])
    expect(() => json(value, 't')).toThrow('is no JSON')
})

test.each([
  ['OUT_OF_ORDER_SEQUENCE_NUMBER', { code: 'OUTPUT_FAILED', retryable: true }],
  ['TOPIC_AUTHORIZATION_FAILED', { code: 'BROKER_REFUSED', retryable: false }],
])('at-least-once: what a broker refuses with %s ends in %j', async (type, expected) => {
  const refusal = new SluiceError({ code: 'BROKER_REFUSED', component: 'fake', message: `the broker answered ${type}` })
  const client = {
    ...{ '~sluice': 'kafka-client/1', supports: { compression: ['none'] }, connect: () => Promise.resolve() },
    metadata: () => Promise.resolve([{ topic: 't', partitions: [{ partition: 0, leader: 1 }] }]),
    topicSettings: () => Promise.resolve(new Map()),
    produce: () => Promise.reject(refusal),
  } as unknown as KafkaClient
  const sink = kafkaSink<string>({ client, topic: 't', mode: 'at-least-once' })
  const drive = new SinkDrive()
  await drive.open(sink)
  await expect(drive.write(sink, ['a'])).rejects.toMatchObject(expected)
  await sink.close?.()
})

await describeWithServices({ describe, test }, ['kafka'], 'kafkaSink', ({ kafka }) => {
  const reader = clientOf(kafka)
  const brokers = kafka.bootstrap.split(',')
  afterAll(() => reader.close())

  test.each(['exactly-once', 'at-least-once'] as const)(
    '%s: writes each record where and as it is told',
    async (mode) => {
      const topics = [await newTopic(kafka, { partitions: 3 }), await newTopic(kafka)]
      const drive = new SinkDrive()
      const sink = kafkaSink<number>({
        ...{ brokers, mode, compression: 'lz4' },
        topic: (n) => topics[n % 2] ?? '',
        key: (n) => n,
        value: (n) => ({ n }),
        headers: (n) => [
          ['n', String(n)],
          ['n', Buffer.from('again')],
        ],
        partition: (n) => (n % 2 === 0 ? 2 : undefined),
        timestamp: (n) => new Date(1_700_000_000_000 + n),
        serializers: { value: json },
      })
      await drive.open(sink)
      await drive.write(sink, [0, 1, 2])
      const rowOf = (n: number, partition: number) => ({
        key: String(n),
        value: Buffer.from(`{"n":${String(n)}}`),
        headers: [
          ['n', String(n)],
          ['n', 'again'],
        ],
        timestampMs: 1_700_000_000_000 + n,
        partition,
      })
      expect(await readTopic(reader, topics[0] ?? '')).toEqual([rowOf(0, 2), rowOf(2, 2)])
      expect(await readTopic(reader, topics[1] ?? '')).toEqual([rowOf(1, 0)])
      await sink.close?.()
    },
  )

  test('E18: what Kafka would refuse is rejected, each for itself, and its neighbours are written', async () => {
    const topic = await newTopic(kafka, { settings: { 'max.message.bytes': '2000', 'cleanup.policy': 'compact' } })
    const records: Record<string, unknown>[] = [
      { key: 'good' },
      { key: 'too large', value: 'x'.repeat(2_000) },
      { key: null },
      { key: 'no partition', partition: 7 },
      { key: 'no topic', topic: topicName() },
      { key: 'no name', topic: 'no topic' },
      { key: 'no time', timestamp: NaN },
      { key: 'no header', headers: { a: 1 } },
      { key: 'no text', value: { a: 1 } },
      { key: 'throws', topic: null },
      { key: 'last', value: 'x'.repeat(1_800) },
    ]
    const sink = kafkaSink<Record<string, unknown>>({
      ...{ brokers, compression: 'gzip' },
      topic: (each) =>
        each['topic'] === null ? (each['none'] as string).trim() : ((each['topic'] ?? topic) as string),
      key: (each) => each['key'],
      value: (each) => each['value'] ?? 'v',
      partition: (each) => each['partition'] as number | undefined,
      timestamp: (each) => (each['timestamp'] ?? Date.now()) as number,
      headers: (each) => (each['headers'] ?? {}) as Record<string, string>,
    })
    const drive = new SinkDrive()
    await drive.open(sink)
    const rejected: number[] = []
    await drive.write(sink, records, { reject: (index) => rejected.push(index) })
    expect(rejected).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect((await readTopic(reader, topic)).map(({ key }) => key)).toEqual(['good', 'last'])
    await sink.close?.()
  })

  test('E18: a stream whose refused records go to another topic', async () => {
    const [topic, refused] = [await newTopic(kafka), await newTopic(kafka)]
    const ssc = new StreamingContext({
      appName: 'refusing',
      batchInterval: milliseconds(50),
      log: 'silent',
      signals: false,
    })
    const deadLetter = kafkaSink<Rejected<unknown>>({ brokers, topic: refused, value: rejectedAsJson })
    ssc
      .queueStream<unknown>([['a', {}, 'b']], { oneAtATime: true })
      .to(kafkaSink({ brokers, topic }), { onError: { deadLetter } })
    const done = new Promise<void>((resolve) => {
      ssc.addListener({ onBatchCompleted: ({ records }) => void (records > 0 && resolve()) })
    })
    await ssc.start()
    await done
    await ssc.stop()
    expect((await readTopic(reader, topic)).map(({ value }) => String(value))).toEqual(['a', 'b'])
    const [letter] = (await readTopic(reader, refused)).map(({ value }) => JSON.parse(String(value)) as object)
    expect(letter).toMatchObject({ code: 'RECORD_REJECTED', index: 1, record: '{}' })
  })

  test('start() says what is wrong', async () => {
    const drive = new SinkDrive()
    const missing = kafkaSink({ brokers, topic: topicName() })
    await expect(drive.open(missing)).rejects.toMatchObject({
      code: 'BROKER_REFUSED',
      message: expect.stringMatching(/UNKNOWN_TOPIC_OR_PARTITION; create it/) as unknown,
    })
    await missing.close?.()
    const topic = await newTopic(kafka)
    const forgetful = kafkaSink({ brokers, topic, ledgerTopic: await newTopic(kafka) })
    await expect(drive.open(forgetful)).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/cleanup.policy=delete.*; set it to compact/) as unknown,
    })
    await forgetful.close?.()
    const slow = kafkaSink({ brokers, topic, transactionTimeoutMs: 2 ** 31 - 1 })
    await expect(drive.open(slow)).rejects.toMatchObject({
      message: expect.stringMatching(/INVALID_TRANSACTION_TIMEOUT; raise transaction.max.timeout.ms/) as unknown,
    })
    await slow.close?.()
  })

  test('a client of the user is not closed, and without KIP-890 the guarantee is said to be less', async () => {
    const safe = kafkajsClient({ brokers })
    const clients = [
      [safe, 'exactly-once'],
      [kafkajsClient({ brokers, transactions: 'classic' }), 'effectively-once'],
      [platformaticClient({ brokers }), 'effectively-once'],
    ] as const
    for (const [client, level] of clients) {
      const topic = await newTopic(kafka)
      const drive = new SinkDrive()
      const sink = kafkaSink<string>({ client, topic })
      await drive.open(sink)
      expect(sink.guarantee.level).toBe(level)
      for (let attempt = 0; attempt < 2; attempt++) await drive.write(sink, ['a', 'b'], { id: { attempt } })
      await sink.close?.()
      expect((await readTopic(client, topic)).map(({ value }) => String(value)).sort()).toEqual(['a', 'b'])
      await client.close()
    }
  })
})

await describeWithServices({ describe, test }, ['kafka-sasl'], 'kafkaSink with TLS and a login', (services) => {
  const values = services['kafka-sasl']
  const config = kafkaJsConfig(values) as { brokers: string[] }

  test('writes, and a wrong password is nowhere', async () => {
    const client = kafkajsClient(config)
    const topic = topicName()
    await client.createTopic({ topic, partitions: 1 })
    const drive = new SinkDrive()
    const sink = kafkaSink<string>({ ...config, topic })
    await drive.open(sink)
    await drive.write(sink, ['a'])
    await sink.close?.()
    expect((await readTopic(client, topic)).map(({ value }) => String(value))).toEqual(['a'])
    await client.close()
    const { ssl, sasl } = kafkaJsConfig({ ...values, password: 'hush-hush' })
    const wrong = kafkaSink<string>({ brokers: config.brokers, ssl, sasl, topic })
    const lines: string[] = []
    const note = (line: string): void => void lines.push(line)
    const logger = { debug: note, info: note, warn: note, error: note }
    const error = await drive.open(wrong, { logger }).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: false })
    await wrong.close?.()
    expect(`${String((error as Error).stack)} ${JSON.stringify(error)} ${lines.join()}`).not.toContain('hush-hush')
  })
})
