/** The adapter to @platformatic/kafka: its connections, metadata, groups and producers; our own fetch and decoder. */
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { Admin, ConfigResourceTypes, listOffsetsV5 } from '@platformatic/kafka'
import type { AdminOptions, ConnectionOptions, Producer } from '@platformatic/kafka'
import { clientOver } from '../adapted-client.js'
import { CONNECT_TIMEOUT_MS, DEFAULT_CLIENT_ID } from '../adapter.js'
import type { Adapter, AdapterParts, ClientOptions, ProducerKind } from '../adapter.js'
import type {
  FetchAnswer,
  FetchRequest,
  Isolation,
  KafkaClient,
  NewTopic,
  TopicMetadata,
  TopicPartitionOffset,
} from '../client.js'
import { codecsOf, compressionsOf } from '../codecs/codecs.js'
import type { CodecOptions } from '../codecs/codecs.js'
import { dropAll, tolerateLeaderless } from './connections.js'
import { toSluice, typeOf } from './failures.js'
import { leadersOf } from './leaders.js'
import { PlatformaticFetcher } from './platformatic-fetcher.js'
import { PlatformaticProducers } from './platformatic-producers.js'

export interface PlatformaticClientOptions extends ClientOptions {
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly ssl?: TlsOptions | boolean | undefined
  /** Default: none. */
  readonly sasl?: PlatformaticLogin | undefined
  /** Codecs for reading in place of those that are built in, or besides them. */
  readonly codecs?: CodecOptions | undefined
}

export interface PlatformaticLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

const CONSUMER = -1
const ANY_EPOCH = -1

export function platformaticClient(options: PlatformaticClientOptions): KafkaClient {
  return clientOver(options, (parts) => new PlatformaticAdapter(options, parts))
}

class PlatformaticAdapter implements Adapter<Producer> {
  readonly name = 'platformatic'
  readonly compression = compressionsOf(codecsOf())
  readonly failures = { toSluice, typeOf }
  readonly producers: ProducerKind<Producer>
  readonly #admin: Admin
  readonly #fetcher: PlatformaticFetcher

  constructor(options: PlatformaticClientOptions, parts: AdapterParts) {
    const base = baseOptions(options)
    // We try again ourselves, by a deadline.
    const admin = new Admin({ ...base, retries: 0 })
    tolerateLeaderless(admin)
    this.#admin = admin
    this.#fetcher = new PlatformaticFetcher(admin, base.clientId, base)
    this.producers = new PlatformaticProducers({
      admin,
      base,
      codecs: codecsOf(),
      clock: parts.clock,
      timeoutMs: parts.timeoutMs,
      partitionsOf: async (topic, options, isFresh) => {
        const look = () => admin.metadata({ topics: [topic], forceUpdate: isFresh })
        const { topics } = await parts.retried(`looking up ${topic}`, options, look)
        return topics.get(topic)?.partitionsCount ?? 0
      },
    })
  }

  connect(): Promise<unknown> {
    return this.#admin.metadata({ topics: [], forceUpdate: true })
  }

  async close(): Promise<void> {
    await this.#fetcher.close()
    dropAll(this.#admin.connections)
    await this.#admin.close()
  }

  async metadata(topics: readonly string[] | RegExp): Promise<readonly TopicMetadata[]> {
    const names =
      topics instanceof RegExp ? (await this.#admin.listTopics({})).filter((name) => topics.test(name)).sort() : topics
    if (names.length === 0) return []
    // It sorts the names that it gets.
    const found = await this.#admin.metadata({ topics: [...names], forceUpdate: true })
    return names.map((topic) => ({
      topic,
      partitions: (found.topics.get(topic)?.partitions ?? []).map(({ leader }, partition) => ({ partition, leader })),
    }))
  }

  async topicSettings(topic: string): Promise<ReadonlyMap<string, string>> {
    const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }]
    const found = await this.#admin.describeConfigs({ resources })
    return new Map(found.flatMap(({ configs }) => configs).map(({ name, value }) => [name, value ?? '']))
  }

  createTopic({ topic, partitions, replicas = -1, settings = {} }: NewTopic): Promise<unknown> {
    const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
    return this.#admin.createTopics({ topics: [topic], partitions, replicas, configs })
  }

  async listOffsets(
    topic: string,
    partitions: readonly number[],
    timestampMs: number,
    isolation: Isolation,
  ): Promise<ReadonlyMap<number, bigint>> {
    const timestamp = BigInt(timestampMs)
    const isolationLevel = isolation === 'committed' ? 1 : 0
    const offsets = new Map<number, bigint>()
    const byLeader = await leadersOf(this.#admin, topic, partitions)
    const asked = [...byLeader].map(async ([broker, some]) => {
      const connection = await this.#admin.connections.get(broker)
      const wanted = some.map((partitionIndex) => ({ partitionIndex, timestamp, currentLeaderEpoch: ANY_EPOCH }))
      const ofTopic = [{ name: topic, partitions: wanted }]
      const { topics } = await listOffsetsV5.api.async(connection, CONSUMER, isolationLevel, ofTopic)
      for (const each of topics[0]?.partitions ?? []) offsets.set(each.partitionIndex, each.offset)
    })
    await Promise.all(asked)
    return offsets
  }

  fetch(request: FetchRequest): Promise<FetchAnswer> {
    return this.#fetcher.fetch(request)
  }

  async fetchCommitted(
    groupId: string,
    topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  ): Promise<readonly TopicPartitionOffset[]> {
    const asked = topics.map(({ topic, partitions }) => ({ name: topic, partitionIndexes: [...partitions] }))
    const groups = [{ groupId, topics: asked }]
    const found = await this.#admin.listConsumerGroupOffsets({ groups, requireStable: false })
    return found
      .flatMap((each) => each.topics)
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, committedOffset }) => ({
          topic: name,
          partition: partitionIndex,
          offset: committedOffset,
        })),
      )
  }

  commit(groupId: string, offsets: readonly TopicPartitionOffset[]): Promise<unknown> {
    const names = [...new Set(offsets.map(({ topic }) => topic))]
    const topics = names.map((name) => ({ name, partitionOffsets: offsets.filter(({ topic }) => topic === name) }))
    return this.#admin.alterConsumerGroupOffsets({ groupId, topics })
  }

  failed(): Promise<void> {
    this.#admin.clearMetadata()
    return Promise.resolve()
  }

  gaveUp(): Promise<void> {
    this.#fetcher.drop()
    dropAll(this.#admin.connections)
    return this.failed()
  }
}

function baseOptions(options: PlatformaticClientOptions): AdminOptions & ConnectionOptions {
  const { brokers, clientId = DEFAULT_CLIENT_ID, ssl = false, sasl, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: connectTimeoutMs,
    ...(ssl === false ? {} : { tls: ssl === true ? {} : ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  }
}
