import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import {
  describeWithInstalled,
  describeWithServices,
  kafkaJsConfig,
  makeTopic,
  startProxy,
  startService,
} from '../index.js'
import type { KafkaSaslValues, KafkaValues, SaslMechanism } from './client.js'
import { readWithJava, readWithKcat } from './oracles.js'

const LONG_MS = 180_000

let topics = 0
const newTopic = () => {
  topics += 1
  return `services-${String(process.pid)}-${String(topics)}`
}

function clientOf(values: KafkaValues | KafkaSaslValues, mechanism?: SaslMechanism): Kafka {
  const retry = { retries: 50, initialRetryTime: 50, maxRetryTime: 1_000 }
  return new Kafka({ ...kafkaJsConfig(values, mechanism), logLevel: logLevel.NOTHING, retry })
}

async function createTopic(kafka: Kafka, numPartitions = 1): Promise<string> {
  const topic = newTopic()
  const admin = kafka.admin()
  await admin.connect()
  await makeTopic(admin, { topic, numPartitions })
  await admin.disconnect()
  return topic
}

async function send(kafka: Kafka, topic: string, ...values: string[]): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) })
  await producer.disconnect()
}

/** The number of the broker that leads the one partition of a topic. */
async function leaderOf(kafka: Kafka, topic: string): Promise<number> {
  const admin = kafka.admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  return topics[0]!.partitions[0]!.leader
}

async function readValues(kafka: Kafka, topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: newTopic(), maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const values: string[] = []
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      reject(payload.error)
    })
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
      values.push(String(message.value))
      if (values.length >= count) resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return values
}

await describeWithServices({ describe, test }, ['kafka'], 'a shared broker', ({ kafka: values }) => {
  test('transactions and groups work at once', { timeout: LONG_MS }, async () => {
    const kafka = clientOf(values)
    const topic = await createTopic(kafka)
    const producer = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'one' }] })
    const offsets = [{ topic, partitions: [{ partition: 0, offset: '1' }] }]
    await transaction.sendOffsets({ consumerGroupId: topic, topics: offsets })
    await transaction.commit()
    await producer.disconnect()
    expect(await readValues(kafka, topic, 1)).toEqual(['one'])
  })

  test('it is the same for all who ask', { timeout: LONG_MS }, async () => {
    const { service } = await import('../index.js')
    expect(await service('kafka')).toEqual(values)
  })
})

await describeWithServices({ describe, test }, ['kafka', 'kcat'], 'readers that are not ours', ({ kafka, kcat }) => {
  const rows = [
    { partition: 0, key: 'k', value: 'line\nwith end' },
    { partition: 0, key: null, value: '' },
    { partition: 1, key: '', value: null },
    { partition: 1, key: 'ü', value: 'größer' },
  ]

  test('give committed rows, in order, with nulls and empty bytes', { timeout: LONG_MS }, async () => {
    const client = clientOf(kafka)
    const topic = await createTopic(client, 2)
    const producer = client.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const aborted = await producer.transaction()
    await aborted.send({ topic, messages: rows })
    await aborted.abort()
    const committed = await producer.transaction()
    await committed.send({ topic, messages: rows })
    await committed.commit()
    await producer.disconnect()

    // Two rows and a mark of the abort are before them in each partition.
    const expected = rows.map((row, index) => ({ ...row, offset: BigInt(3 + (index % 2)) }))
    expect(await readWithJava(kafka, { topic })).toEqual(expected)
    expect(await readWithKcat(kafka, { topic, command: kcat.command })).toEqual(expected)
    const range = { topic, from: 4n, to: 5n, encoding: 'base64' } as const
    const found = [
      { partition: 0, offset: 4n, key: null, value: '' },
      { partition: 1, offset: 4n, key: 'w7w=', value: Buffer.from('größer').toString('base64') },
    ]
    expect(await readWithJava(kafka, range)).toEqual(found)
    expect(await readWithKcat(kafka, range)).toEqual(found)
  })
})

await describeWithInstalled({ describe, test }, ['kafka'], 'a broker of its own', () => {
  test('still has its records after a kill and a restart', { timeout: LONG_MS }, async () => {
    const own = await startService('kafka', { properties: { 'num.partitions': '7' } })
    try {
      const kafka = clientOf(own.values)
      const topic = await createTopic(kafka)
      await send(kafka, topic, 'before')
      const [broker] = own.processes
      const firstPid = broker!.pid
      await broker!.kill()
      expect(await broker!.isRunning()).toBe(false)
      await broker!.restart()
      expect(broker!.pid).not.toBe(firstPid)
      await send(kafka, topic, 'after')
      expect(await readValues(kafka, topic, 2)).toEqual(['before', 'after'])
    } finally {
      await own.stop()
    }
    expect(await own.processes[0]!.isRunning()).toBe(false)
  })
})

await describeWithInstalled({ describe, test }, ['kafka'], 'a broker behind a proxy', () => {
  test('is reached by it alone, and again after it was cut', { timeout: LONG_MS }, async () => {
    const proxy = await startProxy()
    const own = await startService('kafka', { advertised: [proxy.address] })
    try {
      proxy.setTarget(own.values.targets)
      expect(own.values.bootstrap).toBe(proxy.address)
      const kafka = clientOf(own.values)
      const topic = await createTopic(kafka)
      await send(kafka, topic, 'by the proxy')
      // The connection breaks within the next request; kafkajs connects again.
      proxy.cutAfter(10, 'up')
      await send(kafka, topic, 'by a new connection')
      expect(await readValues(kafka, topic, 2)).toEqual(['by the proxy', 'by a new connection'])
      proxy.refuse()
      const impatient = new Kafka({ ...kafkaJsConfig(own.values), logLevel: logLevel.NOTHING, retry: { retries: 0 } })
      await expect(impatient.admin().connect()).rejects.toMatchObject({ name: 'KafkaJSNumberOfRetriesExceeded' })
    } finally {
      await own.stop()
      await proxy.stop()
    }
  })
})

await describeWithInstalled({ describe, test }, ['kafka3'], 'three brokers', () => {
  test(
    'take records while one of them is killed, first the leader, then another after its restart',
    { timeout: LONG_MS },
    async () => {
      const own = await startService('kafka3')
      try {
        expect(own.values.bootstrap.split(',')).toHaveLength(3)
        const kafka = clientOf(own.values)
        const topic = await createTopic(kafka)
        await send(kafka, topic, 'before')
        const leader = await leaderOf(kafka, topic)
        const broker = own.processes[leader - 1]!
        await broker.kill()
        await send(kafka, topic, 'without its leader')
        expect(await leaderOf(kafka, topic)).not.toBe(leader)
        await broker.restart()
        await own.processes[leader % 3]!.kill()
        await send(kafka, topic, 'without another')
        const found = await readWithJava(own.values, { topic })
        expect(found.map(({ value }) => value)).toEqual(['before', 'without its leader', 'without another'])
      } finally {
        await own.stop()
      }
    },
  )
})

await describeWithServices({ describe, test }, ['kafka-sasl', 'kcat'], 'a broker with a login', (services) => {
  const values = services['kafka-sasl']

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'lets %s in',
    { timeout: LONG_MS },
    async (mechanism) => {
      const kafka = clientOf(values, mechanism)
      const topic = await createTopic(kafka)
      await send(kafka, topic, mechanism)
      expect(await readValues(kafka, topic, 1)).toEqual([mechanism])
    },
  )

  test('lets the readers in that are not ours', { timeout: LONG_MS }, async () => {
    const kafka = clientOf(values)
    const topic = await createTopic(kafka)
    await send(kafka, topic, 'secret')
    const expected = [{ partition: 0, offset: 0n, key: null, value: 'secret' }]
    expect(await readWithKcat(values, { topic, command: services.kcat.command })).toEqual(expected)
    expect(await readWithJava(values, { topic })).toEqual(expected)
  })

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'keeps a wrong password of %s out',
    async (mechanism) => {
      const kafka = new Kafka({
        ...kafkaJsConfig({ ...values, password: 'wrong' }, mechanism),
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
      })
      await expect(kafka.admin().connect()).rejects.toMatchObject({ name: 'KafkaJSSASLAuthenticationError' })
    },
  )
})
