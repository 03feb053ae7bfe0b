/** The adapter to kafkajs: its connections, SASL, TLS, metadata, groups and producers; our own fetch and decoder. */
import type { Logger } from '@sluice/core'
import kafkajs from 'kafkajs'
import type { Kafka, KafkaConfig } from 'kafkajs'
import { clientOver } from '../adapted-client.js'
import { CONNECT_TIMEOUT_MS, DEFAULT_CLIENT_ID } from '../adapter.js'
import type { Adapter, AdapterParts, ClientOptions } from '../adapter.js'
import type {
  Compression,
  FetchAnswer,
  FetchRequest,
  Isolation,
  KafkaClient,
  TopicMetadata,
  TopicPartitionOffset,
} from '../client.js'
import { compressionsOf } from '../codecs/codecs.js'
import { byTopic } from '../offsets.js'
import { silentBrokerOf, toSluice, typeOf } from './failures.js'
import { connectionsOf, createCluster, dropConnection, dropConnections, mendKafkajs, retire } from './inner.js'
import type { Broker, Cluster } from './inner.js'
import { KafkajsGroup } from './kafkajs-group.js'
import { KafkajsFetcher } from './kafkajs-fetcher.js'
import type { KafkajsOutlet } from './kafkajs-outlet.js'
import { KafkajsProducers } from './kafkajs-producers.js'

export interface KafkajsClientOptions extends ClientOptions {
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly ssl?: KafkaConfig['ssl']
  /** E.g. `{ mechanism: 'scram-sha-512', username, password }`. Default: none. */
  readonly sasl?: KafkaConfig['sasl']
  /** Gets what kafkajs logs, at level `debug`. Default: nothing does. */
  readonly logger?: Logger | undefined
}

/** The generation of one who is not a member. */
const NO_GENERATION = -1

export function kafkajsClient(options: KafkajsClientOptions): KafkaClient {
  return clientOver(options, (parts) => new KafkajsAdapter(options, parts))
}

class KafkajsAdapter implements Adapter<KafkajsOutlet> {
  readonly name = 'kafkajs'
  readonly compression: readonly Compression[]
  readonly failures = { toSluice, typeOf }
  readonly producers: KafkajsProducers
  readonly #kafka: Kafka
  readonly #cluster: Cluster
  readonly #fetcher: KafkajsFetcher

  constructor(options: KafkajsClientOptions, parts: AdapterParts) {
    mendKafkajs()
    this.compression = compressionsOf(parts.codecs)
    const kafka = newKafka(options)
    this.#kafka = kafka
    this.#cluster = createCluster(kafka)
    this.#fetcher = new KafkajsFetcher(this.#cluster, parts)
    const partitionsOf = async (topic: string, signal?: AbortSignal) => {
      const [metadata] = await parts.retried(`looking up ${topic}`, { signal }, () => this.metadata([topic]))
      return (metadata as TopicMetadata).partitions
    }
    this.producers = new KafkajsProducers({ ...parts, kafka, partitionsOf })
  }

  connect(): Promise<void> {
    return this.#cluster.connect()
  }

  async close(reason: Error): Promise<void> {
    // kafkajs would wait for each request that is under way.
    await retire(this.#cluster, reason)
    await this.#cluster.disconnect()
  }

  async metadata(topics: readonly string[] | RegExp): Promise<readonly TopicMetadata[]> {
    await this.#cluster.connect()
    const broker = await this.#cluster.brokerPool.findConnectedBroker()
    const { topicMetadata } = await broker.metadata(topics instanceof RegExp ? [] : topics)
    const found = topicMetadata.map(({ topic, partitionMetadata }) => ({
      topic,
      partitions: partitionMetadata
        .map(({ partitionId, leader }) => ({ partition: partitionId, leader }))
        .sort((a, b) => a.partition - b.partition),
    }))
    if (topics instanceof RegExp) {
      return found.filter(({ topic }) => topics.test(topic)).sort((a, b) => (a.topic < b.topic ? -1 : 1))
    }
    return topics.map((topic) => found.find((each) => each.topic === topic) as TopicMetadata)
  }

  async listOffsets(
    topic: string,
    partitions: readonly number[],
    timestamp: number,
    isolation: Isolation,
  ): Promise<ReadonlyMap<number, bigint>> {
    const isolationLevel = isolation === 'committed' ? 1 : 0
    const offsets = new Map<number, bigint>()
    const byLeader = await this.#fetcher.byLeader(topic, partitions)
    const asked = [...byLeader].map(async ([broker, some]) => {
      const topics = [{ topic, partitions: some.map((partition) => ({ partition, timestamp })) }]
      const { responses } = await broker.listOffsets({ replicaId: -1, isolationLevel, topics })
      for (const each of responses[0]?.partitions ?? []) offsets.set(each.partition, BigInt(each.offset))
    })
    await Promise.all(asked).catch((error: unknown) => {
      this.#fetcher.forget(topic)
      throw error
    })
    return offsets
  }

  fetch(request: FetchRequest): Promise<FetchAnswer> {
    return this.#fetcher.fetch(request)
  }

  async fetchCommitted(
    groupId: string,
    topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  ): Promise<readonly TopicPartitionOffset[]> {
    const asked = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((partition) => ({ partition })),
    }))
    const { responses } = await (await this.#coordinator(groupId)).offsetFetch({ groupId, topics: asked })
    return responses.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset }) => ({ topic, partition, offset: BigInt(offset) })),
    )
  }

  async commit(groupId: string, offsets: readonly TopicPartitionOffset[]): Promise<void> {
    const request = { groupId, groupGenerationId: NO_GENERATION, memberId: '', topics: byTopic(offsets) }
    await (await this.#coordinator(groupId)).offsetCommit(request)
  }

  group(group: string): KafkajsGroup {
    return new KafkajsGroup(createCluster(this.#kafka), group)
  }

  async failed(error: unknown): Promise<void> {
    const silent = silentBrokerOf(error)
    // kafkajs would go on asking it.
    for (const connection of connectionsOf(this.#cluster)) {
      if (connection.broker === silent) await dropConnection(connection, error as Error)
    }
  }

  gaveUp(reason: Error): Promise<void> {
    return dropConnections(this.#cluster, reason)
  }

  async #coordinator(groupId: string): Promise<Broker> {
    await this.#cluster.connect()
    if (Object.keys(this.#cluster.brokerPool.brokers).length === 0) await this.#fetcher.learnBrokers()
    return this.#cluster.findGroupCoordinator({ groupId })
  }
}

function newKafka({ brokers, clientId, ssl, sasl, connectTimeoutMs, logger }: KafkajsClientOptions): Kafka {
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: clientId ?? DEFAULT_CLIENT_ID,
    connectionTimeout: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    // We try again ourselves, by a deadline; but each of the given brokers gets its chance.
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: brokers.length },
    logLevel: logger === undefined ? kafkajs.logLevel.NOTHING : kafkajs.logLevel.INFO,
    logCreator:
      () =>
      ({ namespace, label, log }) =>
        logger?.debug(`[kafkajs] ${label} ${namespace}: ${log.message}`),
  })
}
