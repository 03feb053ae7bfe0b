/** The adapter to kafkajs: its connections, SASL, TLS, metadata, groups and producers; our own fetch and decoder. */
import { systemClock } from '@sluice/core'
import type { Clock, Logger } from '@sluice/core'
import kafkajs from 'kafkajs'
import type { Kafka, KafkaConfig } from 'kafkajs'
import type {
  CallOptions,
  FetchAnswer,
  FetchRequest,
  KafkaClient,
  KafkaSupport,
  OffsetMoment,
  ProduceOptions,
  RangeRequest,
  RecordToProduce,
  TopicMetadata,
  TopicPartitionOffset,
  TransactionalProducer,
  TransactionOptions,
} from '../client.js'
import { codecsOf, compressionsOf } from '../codecs/codecs.js'
import type { CodecOptions, Codecs } from '../codecs/codecs.js'
import { invalid, stopped } from '../errors.js'
import { byTopic } from '../offsets.js'
import { OUT_OF_RANGE, readRange } from '../range-reader.js'
import type { RecordChunk } from '../record.js'
import { abortable, within, withRetries } from '../waiting.js'
import { silentBrokerOf, toSluice, typeOf } from './failures.js'
import { connectionsOf, createCluster, dropConnection, mendKafkajs } from './inner.js'
import type { Broker, Cluster } from './inner.js'
import { KafkajsFetcher } from './kafkajs-fetcher.js'
import { KafkajsProducers } from './kafkajs-producers.js'

export interface KafkajsClientOptions {
  /** `host:port` of some brokers of the cluster. */
  readonly brokers: readonly string[]
  /** Stands in the brokers' logs and quotas. Default: `sluice`. */
  readonly clientId?: string | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly ssl?: KafkaConfig['ssl']
  /** E.g. `{ mechanism: 'scram-sha-512', username, password }`. Default: none. */
  readonly sasl?: KafkaConfig['sasl']
  /** For connecting, TLS handshake included. Default: 10 000. */
  readonly connectTimeoutMs?: number | undefined
  /** How long metadata, offsets and groups are tried again after errors that may pass. Default: 30 000. */
  readonly callTimeoutMs?: number | undefined
  /** Codecs in place of those that are built in, or besides them. */
  readonly codecs?: CodecOptions | undefined
  /** Gets what kafkajs logs, at level `debug`. Default: nothing does. */
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
const CALL_TIMEOUT_MS = 30_000
const LATEST = -1
const EARLIEST = -2
/** The generation of one who is not a member. */
const NO_GENERATION = -1

export function kafkajsClient(options: KafkajsClientOptions): KafkaClient {
  if (options.brokers.length === 0) throw invalid('brokers is empty; give host:port of at least one')
  return new KafkajsClient(options)
}

class KafkajsClient implements KafkaClient {
  readonly '~sluice' = 'kafka-client/1'
  readonly name = 'kafkajs'
  readonly supports: KafkaSupport
  readonly #clock: Clock
  readonly #callTimeoutMs: number
  readonly #codecs: Codecs
  readonly #cluster: Cluster
  readonly #fetcher: KafkajsFetcher
  readonly #producers: KafkajsProducers
  #isClosed = false

  constructor(options: KafkajsClientOptions) {
    mendKafkajs()
    this.#clock = options.clock ?? systemClock
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
    this.#codecs = codecsOf(options.codecs)
    this.supports = { safeTransactions: false, compression: compressionsOf(this.#codecs) }
    const kafka = newKafka(options)
    this.#cluster = createCluster(kafka)
    this.#fetcher = new KafkajsFetcher(this.#cluster)
    const [clock, timeoutMs] = [this.#clock, this.#callTimeoutMs]
    const partitionsOf = async (topic: string, signal?: AbortSignal) => {
      const [metadata] = await this.metadata([topic], { signal })
      return (metadata as TopicMetadata).partitions
    }
    this.#producers = new KafkajsProducers({ kafka, codecs: this.#codecs, clock, timeoutMs, partitionsOf })
  }

  connect(options?: CallOptions): Promise<void> {
    return this.#call('connecting', options, () => this.#cluster.connect())
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#producers.close()
    // kafkajs would wait for each request that is under way.
    const reason = stopped('this client of Kafka')
    await Promise.all(connectionsOf(this.#cluster).map((connection) => dropConnection(connection, reason)))
    await this.#cluster.disconnect()
  }

  async metadata(topics: readonly string[] | RegExp, options?: CallOptions): Promise<readonly TopicMetadata[]> {
    const names = topics instanceof RegExp ? [] : topics
    if (names.length === 0 && !(topics instanceof RegExp)) return []
    const what = names.length === 0 ? 'all topics' : names.join(', ')
    const answer = await this.#call(`looking up ${what}`, options, async () => {
      await this.#cluster.connect()
      const broker = await this.#cluster.brokerPool.findConnectedBroker()
      return broker.metadata(names)
    })
    const found = answer.topicMetadata.map(({ topic, partitionMetadata }) => ({
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
    moment: OffsetMoment,
    options?: CallOptions,
  ): Promise<ReadonlyMap<number, bigint>> {
    const timestamp = moment === 'earliest' ? EARLIEST : typeof moment === 'string' ? LATEST : moment.timestampMs
    const isolationLevel = moment === 'last-stable' ? 1 : 0
    const offsets = new Map<number, bigint>()
    await this.#call(`asking for offsets of ${topic}`, options, async () => {
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
    })
    const behind = partitions.filter((partition) => offsets.get(partition) === -1n)
    if (behind.length === 0) return offsets
    // No record is as young as that.
    return new Map([...offsets, ...(await this.listOffsets(topic, behind, 'latest', options))])
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    this.#requireOpen()
    const doing = `reading ${request.topic}/${String(request.partition)}`
    try {
      return await abortable(this.#fetcher.fetch(request), request.signal)
    } catch (error) {
      if (request.signal?.aborted === true) throw error
      throw await this.#failure(error, doing)
    }
  }

  readRange(range: RangeRequest): AsyncIterable<RecordChunk> {
    const isOutOfRange = (error: unknown): boolean => typeOf(error) === OUT_OF_RANGE
    return readRange({ client: this, clock: this.#clock, codecs: this.#codecs, isOutOfRange }, range)
  }

  produce(topic: string, records: readonly RecordToProduce[], options?: ProduceOptions): Promise<void> {
    this.#requireOpen()
    return this.#producers.produce(topic, records, options)
  }

  async transactional(transactionalId: string, options?: TransactionOptions): Promise<TransactionalProducer> {
    this.#requireOpen()
    return this.#producers.transactional(transactionalId, options)
  }

  async fetchCommitted(
    group: string,
    topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
    options?: CallOptions,
  ): Promise<readonly TopicPartitionOffset[]> {
    const asked = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((partition) => ({ partition })),
    }))
    const { responses } = await this.#call(`reading the offsets of group ${group}`, options, async () =>
      (await this.#coordinator(group)).offsetFetch({ groupId: group, topics: asked }),
    )
    return responses.flatMap(({ topic, partitions }) =>
      partitions
        .map(({ partition, offset }) => ({ topic, partition, offset: BigInt(offset) }))
        .filter(({ offset }) => offset >= 0n),
    )
  }

  async commit(group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void> {
    const request = { groupId: group, groupGenerationId: NO_GENERATION, memberId: '', topics: byTopic(offsets) }
    await this.#call(`committing offsets of group ${group}`, options, async () =>
      (await this.#coordinator(group)).offsetCommit(request),
    )
  }

  async #coordinator(groupId: string): Promise<Broker> {
    await this.#cluster.connect()
    if (Object.keys(this.#cluster.brokerPool.brokers).length === 0) await this.#fetcher.learnBrokers()
    return this.#cluster.findGroupCoordinator({ groupId })
  }

  #call<T>(doing: string, options: CallOptions | undefined, attempt: () => Promise<T>): Promise<T> {
    const retrying = { clock: this.#clock, timeoutMs: this.#callTimeoutMs, signal: options?.signal, doing }
    const work = withRetries(retrying, async () => {
      this.#requireOpen()
      try {
        return await attempt()
      } catch (error) {
        throw await this.#failure(error, doing)
      }
    })
    return within(retrying, work)
  }

  async #failure(error: unknown, doing: string): Promise<Error> {
    this.#requireOpen()
    const silent = silentBrokerOf(error)
    // kafkajs would go on asking it.
    for (const connection of connectionsOf(this.#cluster)) {
      if (connection.broker === silent) await dropConnection(connection, error as Error)
    }
    return toSluice(error, doing)
  }

  #requireOpen(): void {
    if (this.#isClosed) throw stopped('this client of Kafka')
  }
}

function newKafka({ brokers, clientId, ssl, sasl, connectTimeoutMs, logger }: KafkajsClientOptions): Kafka {
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: clientId ?? 'sluice',
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
