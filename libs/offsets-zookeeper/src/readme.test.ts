/** The README's example: stopped and started again, it goes on where it was, and nothing is lost. */
import { runBlock } from '@sluice/doc-blocks'
import { describeWithServices, makeTopic } from '@sluice/services'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterAll, describe, expect, test } from 'vitest'
import { newGroup, Plain } from './testing/plain.js'

const PARTITIONS = 2
const LONG_MS = 180_000

await describeWithServices({ describe, test }, ['kafka', 'zookeeper'], 'the README', ({ kafka, zookeeper }) => {
  const plain = new Plain(zookeeper.url)
  const client = new Kafka({ brokers: kafka.bootstrap.split(','), logLevel: logLevel.NOTHING })
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  afterAll(async () => {
    plain.close()
    await producer.disconnect()
  })

  async function newTopic(): Promise<string> {
    const topic = newGroup()
    const admin = client.admin()
    await admin.connect()
    await makeTopic(admin, { topic, numPartitions: PARTITIONS })
    await admin.disconnect()
    await producer.connect()
    return topic
  }

  async function send(topic: string, from: number, until: number): Promise<string[]> {
    const values = Array.from({ length: until - from }, (_, i) => `order ${String(from + i)}`)
    await producer.send({ topic, messages: values.map((value, i) => ({ value, partition: i % PARTITIONS })) })
    return values
  }

  test(
    'its example goes on from what an old consumer has left, prints each order once, and keeps offsets where tools look',
    async () => {
      const [topic, group] = [await newTopic(), newGroup()]
      const printed = async (): Promise<string[]> => {
        const { stdout } = await runBlock('libs/offsets-zookeeper/README.md', 'zookeeperOffsetStore', {
          changes: { [`topics: 'orders'`]: `topics: '${topic}'`, [`group: 'shop'`]: `group: '${group}'` },
          env: { KAFKA: kafka.bootstrap, ZOOKEEPER: zookeeper.url },
        })
        return stdout.trim().split('\n').sort()
      }
      const offset = async (partition: number) =>
        (await plain.get(`/consumers/${group}/offsets/${topic}/${String(partition)}`))?.data
      await send(topic, 100, 104)
      await plain.set(`/consumers/${group}/offsets/${topic}/0`, '1')
      expect(await printed()).toEqual(['order 101', 'order 102', 'order 103'])
      expect([await offset(0), await offset(1)]).toEqual(['2', '2'])
      const meanwhile = await send(topic, 104, 109)
      expect(await printed()).toEqual(meanwhile)
      expect([await offset(0), await offset(1)]).toEqual(['5', '4'])
    },
    LONG_MS,
  )
})
