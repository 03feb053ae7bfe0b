/** The adapter to kafkajs: its connections, SASL, TLS, metadata, groups and producers; our own fetch and decoder. */
import type { Logger } from '@sluice/core'
import kafkajs from 'kafkajs'
import type { Kafka, KafkaConfig } from 'kafkajs'
import { CALL_TIMEOUT_MS, clientOver } from '../adapted-client.js'
import { CONNECT_TIMEOUT_MS, DEFAULT_CLIENT_ID } from '../adapter.js'
import type { Adapter, AdapterParts, ClientOptions } from '../adapter.js'
import type {
  Compression,
  FetchAnswer,
  FetchRequest,
  Isolation,
  KafkaClient,
  NewTopic,
  TopicMetadata,
  TopicPartitionOffset,
} from '../client.js'
import { compressionsOf } from '../codecs/codecs.js'
import { byTopic } from '../offsets.js'
import { silentBrokerOf, toSluice, typeOf } from './failures.js'
import { AnswerBuffers } from './answer-buffers.js'
import { framedSockets } from './framed-socket.js'
import { connectionsOf, createCluster, dropConnection, dropConnections, retire } from './inner.js'
import type { Broker, Cluster } from './inner.js'
import { KafkajsGroup } from './kafkajs-group.js'
import { KafkajsFetcher } from './kafkajs-fetcher.js'
import { KafkajsWire } from './kafkajs-wire.js'
import type { WireProducer } from '../produce/wire-producer.js'
import { WireProducers } from '../produce/wire-producers.js'

export interface KafkajsClientOptions extends ClientOptions {
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly ssl?: KafkaConfig['ssl']
  /** E.g. `{ mechanism: 'scram-sha-512', username, password }`. Default: none. */
  readonly sasl?: KafkaConfig['sasl']
  /**
   * How transactions are written: `safe` as of KIP-890 (Kafka 4), `classic` as brokers before do. Default: what the brokers speak.
   */
  readonly transactions?: 'safe' | 'classic' | undefined
  /** Gets what kafkajs logs, at level `debug`. Default: nothing does. */
  readonly logger?: Logger | undefined
}

/** A kind of resource that has settings. */
const TOPIC = 2
/** The generation of one who is not a member. */
const NO_GENERATION = -1

export function kafkajsClient(options: KafkajsClientOptions): KafkaClient {
  return clientOver(options, (parts) => new KafkajsAdapter(options, parts))
}

class KafkajsAdapter implements Adapter<WireProducer> {
  readonly name = 'kafkajs'
  readonly compression: readonly Compression[]
  readonly failures = { toSluice, typeOf }
  readonly producers: WireProducers
  readonly #wire: KafkajsWire
  readonly #kafka: Kafka
  readonly #cluster: Cluster
  readonly #fetcher: KafkajsFetcher

  constructor(options: KafkajsClientOptions, parts: AdapterParts) {
    this.compression = compressionsOf(parts.codecs)
    const buffers = new AnswerBuffers()
    const kafka = newKafka(options, buffers)
    this.#kafka = kafka
    this.#cluster = createCluster(kafka)
    this.#fetcher = new KafkajsFetcher(this.#cluster, parts, buffers)
    // Records must not wait behind fetches, nor look-ups behind records.
    this.#wire = new KafkajsWire(createCluster(kafka), parts)
    this.producers = new WireProducers({ ...parts, wire: this.#wire, dialect: options.transactions })
  }

  get areTransactionsSafe(): boolean {
    return this.producers.areTransactionsSafe
  }

  connect(): Promise<void> {
    return this.#cluster.connect()
  }

  async close(reason: Error): Promise<void> {
    // kafkajs would wait for each request that is under way.
    await retire(this.#cluster, reason)
    await this.#cluster.disconnect()
    await this.#wire.close(reason)
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

  async topicSettings(topic: string): Promise<ReadonlyMap<string, string>> {
    await this.#cluster.connect()
    const broker = await this.#cluster.brokerPool.findConnectedBroker()
    const { resources } = await broker.describeConfigs({ resources: [{ type: TOPIC, name: topic }] })
    const entries = resources.flatMap(({ configEntries }) => configEntries)
    return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? '']))
  }

  async createTopic({ topic, partitions, replicas = -1, settings = {} }: NewTopic): Promise<void> {
    await this.#cluster.connect()
    // Who the controller is comes with them.
    await this.#fetcher.learnBrokers()
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
    const made = { topic, numPartitions: partitions, replicationFactor: replicas, configEntries }
    try {
      await (await this.#cluster.findControllerBroker()).createTopics({ topics: [made] })
    } catch (error) {
      // One error for each topic, in one for all.
      throw (error as { readonly errors?: readonly Error[] }).errors?.[0] ?? error
    }
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

  async gaveUp(reason: Error): Promise<void> {
    await Promise.all([dropConnections(this.#cluster, reason), this.#wire.gaveUp(reason)])
  }

  async #coordinator(groupId: string): Promise<Broker> {
    await this.#cluster.connect()
    if (Object.keys(this.#cluster.brokerPool.brokers).length === 0) await this.#fetcher.learnBrokers()
    return this.#cluster.findGroupCoordinator({ groupId })
  }
}

function newKafka(
  { brokers, clientId, ssl, sasl, connectTimeoutMs, callTimeoutMs, logger }: KafkajsClientOptions,
  buffers: AnswerBuffers,
): Kafka {
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: clientId ?? DEFAULT_CLIENT_ID,
    connectionTimeout: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    // One that nobody answers must not take longer than all tries together.
    requestTimeout: callTimeoutMs ?? CALL_TIMEOUT_MS,
    socketFactory: framedSockets(buffers),
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
