/** For tests on a real broker: topics of their own. */
import { systemClock } from '@sluice/core'
import { makeTopic } from '@sluice/services'
import { kafkajsClient, type CodecOptions, type KafkaClient, type RecordToProduce } from '@sluice/kafka-wire'
import { platformaticClient } from '@sluice/kafka-wire/platformatic'
import kafkajs, { type Admin, type Kafka } from 'kafkajs'

export interface TopicOptions {
  readonly partitions?: number | undefined
  readonly replicas?: number | undefined
  readonly config?: Readonly<Record<string, string>> | undefined
}

export type NewClient = (options: { brokers: readonly string[]; codecs?: CodecOptions }) => KafkaClient

/** Both clients that there are. */
export const newClients: Readonly<Record<string, NewClient>> = {
  kafkajs: kafkajsClient,
  platformatic: platformaticClient,
}

let count = 0

/** A broker as tests use it: a client of the port, and kafkajs for what administrators do. */
export class TestKafka {
  readonly brokers: readonly string[]
  readonly client: KafkaClient
  readonly kafka: Kafka
  readonly admin: Admin

  constructor(bootstrap: string, newClient: NewClient = kafkajsClient) {
    this.brokers = bootstrap.split(',')
    this.client = newClient({ brokers: this.brokers })
    const retry = { initialRetryTime: 30, retries: 100 }
    this.kafka = new kafkajs.Kafka({ brokers: [...this.brokers], retry, logLevel: kafkajs.logLevel.NOTHING })
    this.admin = this.kafka.admin()
  }

  async open(): Promise<void> {
    await this.admin.connect()
  }

  async close(): Promise<void> {
    await this.client.close()
    await this.admin.disconnect()
  }

  /** A name that no other test has. */
  name(prefix = 'test'): string {
    return `${prefix}-${String(process.pid)}-${String(systemClock.now())}-${String(count++)}`
  }

  async topic({ partitions = 1, replicas = 1, config = {} }: TopicOptions = {}, topic = this.name()): Promise<string> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await makeTopic(this.admin, { topic, numPartitions: partitions, replicationFactor: replicas, configEntries })
    return topic
  }

  /** Texts, all to one partition. */
  async add(topic: string, values: readonly string[], partition = 0): Promise<void> {
    await this.client.produce(
      topic,
      values.map((value): RecordToProduce => ({ partition, value })),
    )
  }

  /** Makes a topic of a name that another one had. */
  async remake(topic: string): Promise<void> {
    // False while the old one is still being deleted.
    while (!(await makeTopic(this.admin, { topic, numPartitions: 1 })));
  }

  /** Adds partitions; resolves when clients are told of them. */
  async grow(topic: string, partitions: number): Promise<void> {
    await this.admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
    while ((await this.client.metadata([topic]))[0]?.partitions.length !== partitions);
  }

  /** The same from a client that knows nothing of the topic yet: another one may not know of new partitions for a while. */
  async addAnew(topic: string, values: readonly string[], partition = 0): Promise<void> {
    const client = kafkajsClient({ brokers: this.brokers })
    await client.produce(
      topic,
      values.map((value) => ({ partition, value })),
    )
    await client.close()
  }

  /** Everything below the end of each partition is gone, or below `before`. */
  async deleteRecords(topic: string, partitions: readonly number[], before?: bigint): Promise<void> {
    const ends = await this.client.listOffsets(topic, partitions, 'latest')
    // kafkajs finds the leaders only of topics that it has looked up before.
    await this.admin.fetchTopicOffsets(topic)
    const wanted = partitions.map((partition) => ({ partition, offset: String(before ?? ends.get(partition)) }))
    await this.admin.deleteTopicRecords({ topic, partitions: wanted })
  }
}

export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `record ${String(from + i)}`)
}
