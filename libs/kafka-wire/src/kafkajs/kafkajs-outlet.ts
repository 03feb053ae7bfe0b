/** A producer of kafkajs, kept from what it does when topics change: dropping records, and minding topics of long ago. */
import type { Clock } from '@sluice/core'
import kafkajs from 'kafkajs'
import type { Kafka, Message, Producer, ProducerConfig, ProducerRecord } from 'kafkajs'
import { unknownPartition } from '../producing.js'
import { withRetries } from '../waiting.js'
import { createProducer, retire } from './inner.js'
import type { Cluster } from './inner.js'

export type Sender = Pick<Producer, 'send'>

export interface PartitionRecord extends Omit<ProducerRecord, 'messages'> {
  readonly partition: number
  readonly messages: readonly Message[]
}

/** What kafkajs throws when a broker has answered that there is something wrong with a topic. */
const ANSWERED = new Set(['KafkaJSProtocolError', 'KafkaJSNumberOfRetriesExceeded'])

export class KafkajsOutlet {
  readonly producer: Producer
  readonly #cluster: Cluster
  /** How many sends to each topic are under way. */
  readonly #inUse = new Map<string, number>()

  constructor(kafka: Kafka, config: ProducerConfig) {
    const { producer, cluster } = createProducer(kafka, config)
    this.producer = producer
    this.#cluster = cluster
    this.#forgetTopicsThatAreGone()
  }

  /**
   * Sends by `sender`, which is the producer or a transaction of it, the records of one partition. kafkajs drops those of a
   * partition that it does not know yet, and says that all is well: the answer tells. Sent again by the same producer
   * they have the same numbers, so that they are not doubled even if they had been written before.
   */
  async send(
    sender: Sender,
    { partition, messages, ...record }: PartitionRecord,
    retrying: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const { topic } = record
    const doing = `writing to ${topic}/${String(partition)}`
    const numbered = messages.map((message) => ({ ...message, partition }))
    this.#use(topic, 1)
    try {
      // What kafkajs throws is no SluiceError, and so is not tried again here.
      await withRetries({ ...retrying, doing }, async () => {
        const answers = await sender.send({ ...record, messages: numbered })
        if (isAnswered(answers, topic, partition)) return
        await this.#cluster.refreshMetadata()
        throw unknownPartition(topic, partition, true)
      })
    } finally {
      this.#use(topic, -1)
    }
  }

  /** At once: kafkajs would wait for each request that is under way, and try it again many times meanwhile. */
  async close(): Promise<void> {
    await retire(this.#cluster, new kafkajs.KafkaJSNonRetriableError('the producer is closed'))
    await this.producer.disconnect()
  }

  #use(topic: string, change: 1 | -1): void {
    const count = (this.#inUse.get(topic) ?? 0) + change
    if (count === 0) this.#inUse.delete(topic)
    else this.#inUse.set(topic, count)
  }

  /** kafkajs looks up all topics that it ever wrote to, and fails when there is one that is not there any more. */
  #forgetTopicsThatAreGone(): void {
    const cluster = this.#cluster
    const pool = cluster.brokerPool
    const refresh = pool.refreshMetadata.bind(pool)
    pool.refreshMetadata = async (topics) => {
      try {
        await refresh(topics)
      } catch (error) {
        const used = topics.filter((topic) => this.#inUse.has(topic))
        if (used.length === topics.length || !ANSWERED.has((error as Error).name)) throw error
        for (const topic of topics) if (!this.#inUse.has(topic)) cluster.targetTopics.delete(topic)
        await refresh(used)
      }
    }
  }
}

function isAnswered(answers: readonly unknown[], topic: string, partition: number): boolean {
  return answers.some((answer) => {
    const each = (answer ?? {}) as { readonly topicName?: unknown; readonly partition?: unknown }
    return each.topicName === topic && each.partition === partition
  })
}
