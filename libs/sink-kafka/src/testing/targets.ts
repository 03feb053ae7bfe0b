/** Topics for tests, and what they hold. */
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import { makeTopic, type KafkaValues } from '@sluice/services'
import kafkajs from 'kafkajs'

export interface Item {
  readonly id: string
  readonly body: string | Uint8Array | null
}

export const item = (id: string, body: Item['body'] = `body of ${id}`): Item => ({ id, body })

let topics = 0

export function topicName(): string {
  return `sink-${String(process.pid)}-${String(++topics)}`
}

export async function newTopic(
  { bootstrap }: KafkaValues,
  {
    partitions = 1,
    replicas = 1,
    settings = {},
  }: { partitions?: number; replicas?: number; settings?: Record<string, string> } = {},
): Promise<string> {
  const retry = { retries: 50, initialRetryTime: 50, maxRetryTime: 1_000 }
  const admin = new kafkajs.Kafka({ brokers: bootstrap.split(','), logLevel: kafkajs.logLevel.NOTHING, retry }).admin()
  await admin.connect()
  try {
    const topic = topicName()
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
    await makeTopic(admin, { topic, numPartitions: partitions, replicationFactor: replicas, configEntries })
    return topic
  } finally {
    await admin.disconnect()
  }
}

export interface Row {
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [string, string])[]
  readonly timestampMs: number
  readonly partition: number
}

/** All committed records, by partition and offset. Waits for transactions that are about to end. */
export async function readTopic(client: KafkaClient, topic: string): Promise<Row[]> {
  const rows: Row[] = []
  const [metadata] = await client.metadata([topic])
  const partitions = metadata?.partitions.map(({ partition }) => partition) ?? []
  for (const [partition, to] of await client.listOffsets(topic, partitions, 'latest')) {
    for await (const chunk of client.readRange({ topic, partition, from: 0n, to })) {
      const record = chunk.records()
      while (record.next()) {
        const headers = record.headers.map(({ name, value }) => [name, String(value)] as const)
        const value = record.value === null ? null : Buffer.from(record.value)
        rows.push({ key: record.keyText, value, headers, timestampMs: record.timestampMs, partition })
      }
    }
  }
  return rows
}

export const clientOf = ({ bootstrap }: KafkaValues): KafkaClient => kafkajsClient({ brokers: bootstrap.split(',') })
