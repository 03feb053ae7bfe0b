/** The adapter to @platformatic/kafka: its connections, metadata, groups and producers; our own fetch and decoder. */
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { Admin } from '@platformatic/kafka'
import type { AdminOptions, ConnectionOptions } from '@platformatic/kafka'
import { systemClock } from '@sluice/core'
import type { Clock } from '@sluice/core'
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
import { OUT_OF_RANGE, readRange } from '../range-reader.js'
import type { RecordChunk } from '../record.js'
import { abortable, within, withRetries } from '../waiting.js'
import { toSluice, typeOf } from './failures.js'
import { PlatformaticFetcher } from './platformatic-fetcher.js'
import { PlatformaticProducers } from './platformatic-producers.js'

export interface PlatformaticClientOptions {
  /** `host:port` of some brokers of the cluster. */
  readonly brokers: readonly string[]
  /** Stands in the brokers' logs and quotas. Default: `sluice`. */
  readonly clientId?: string | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly ssl?: TlsOptions | boolean | undefined
  /** Default: none. */
  readonly sasl?: PlatformaticLogin | undefined
  /** For connecting, TLS handshake included. Default: 10 000. */
  readonly connectTimeoutMs?: number | undefined
  /** How long metadata, offsets and groups are tried again after errors that may pass. Default: 30 000. */
  readonly callTimeoutMs?: number | undefined
  /** Codecs for reading in place of those that are built in, or besides them. */
  readonly codecs?: CodecOptions | undefined
  readonly clock?: Clock | undefined
}

export interface PlatformaticLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

const CONNECT_TIMEOUT_MS = 10_000
const CALL_TIMEOUT_MS = 30_000
const LATEST = -1n
const EARLIEST = -2n

export function platformaticClient(options: PlatformaticClientOptions): KafkaClient {
  if (options.brokers.length === 0) throw invalid('brokers is empty; give host:port of at least one')
  return new PlatformaticClient(options)
}

class PlatformaticClient implements KafkaClient {
  readonly '~sluice' = 'kafka-client/1'
  readonly name = 'platformatic'
  readonly supports: KafkaSupport
  readonly #clock: Clock
  readonly #callTimeoutMs: number
  readonly #codecs: Codecs
  readonly #admin: Admin
  readonly #fetcher: PlatformaticFetcher
  readonly #producers: PlatformaticProducers
  #isClosed = false

  constructor(options: PlatformaticClientOptions) {
    this.#clock = options.clock ?? systemClock
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
    this.#codecs = codecsOf(options.codecs)
    this.supports = { safeTransactions: false, compression: compressionsOf(codecsOf()) }
    const base = baseOptions(options)
    // We try again ourselves, by a deadline.
    this.#admin = new Admin({ ...base, retries: 0 })
    this.#fetcher = new PlatformaticFetcher(this.#admin, base.clientId, base)
    this.#producers = new PlatformaticProducers({
      admin: this.#admin,
      base,
      codecs: codecsOf(),
      clock: this.#clock,
      timeoutMs: this.#callTimeoutMs,
      partitionsOf: async (topic, isFresh) =>
        (await this.#admin.metadata({ topics: [topic], forceUpdate: isFresh })).topics.get(topic)?.partitionsCount ?? 0,
    })
  }

  async connect(options?: CallOptions): Promise<void> {
    await this.#call('connecting', options, () => this.#admin.metadata({ topics: [], forceUpdate: true }))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#fetcher.close()
    await this.#producers.close()
    await this.#admin.close()
  }

  async metadata(topics: readonly string[] | RegExp, options?: CallOptions): Promise<readonly TopicMetadata[]> {
    if (!(topics instanceof RegExp) && topics.length === 0) return []
    const what = topics instanceof RegExp ? 'all topics' : topics.join(', ')
    return this.#call(`looking up ${what}`, options, async () => {
      const names =
        topics instanceof RegExp
          ? (await this.#admin.listTopics({})).filter((name) => topics.test(name)).sort()
          : topics
      if (names.length === 0) return []
      // It sorts the names that it gets.
      const found = await this.#admin.metadata({ topics: [...names], forceUpdate: true })
      return names.map((topic) => ({
        topic,
        partitions: (found.topics.get(topic)?.partitions ?? []).map(({ leader }, partition) => ({ partition, leader })),
      }))
    })
  }

  async listOffsets(
    topic: string,
    partitions: readonly number[],
    moment: OffsetMoment,
    options?: CallOptions,
  ): Promise<ReadonlyMap<number, bigint>> {
    const timestamp =
      moment === 'earliest' ? EARLIEST : typeof moment === 'string' ? LATEST : BigInt(moment.timestampMs)
    const asked = partitions.map((partitionIndex) => ({ partitionIndex, timestamp }))
    const isolationLevel = moment === 'last-stable' ? 1 : 0
    const found = await this.#call(`asking for offsets of ${topic}`, options, () =>
      this.#admin.listOffsets({ topics: [{ name: topic, partitions: asked }], isolationLevel }),
    )
    const offsets = new Map(found.flatMap((each) => each.partitions).map((each) => [each.partitionIndex, each.offset]))
    const behind = partitions.filter((partition) => offsets.get(partition) === -1n)
    if (behind.length === 0) return offsets
    // No record is as young as that.
    return new Map([...offsets, ...(await this.listOffsets(topic, behind, 'latest', options))])
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    this.#requireOpen()
    try {
      return await abortable(this.#fetcher.fetch(request), request.signal)
    } catch (error) {
      if (request.signal?.aborted === true) throw error
      this.#requireOpen()
      throw toSluice(error, `reading ${request.topic}/${String(request.partition)}`)
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
    const asked = topics.map(({ topic, partitions }) => ({ name: topic, partitionIndexes: [...partitions] }))
    const found = await this.#call(`reading the offsets of group ${group}`, options, () =>
      this.#admin.listConsumerGroupOffsets({ groups: [{ groupId: group, topics: asked }], requireStable: false }),
    )
    return found.flatMap((each) =>
      each.topics.flatMap(({ name, partitions }) =>
        partitions
          .map(({ partitionIndex, committedOffset }) => ({
            topic: name,
            partition: partitionIndex,
            offset: committedOffset,
          }))
          .filter(({ offset }) => offset >= 0n),
      ),
    )
  }

  async commit(group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void> {
    const names = [...new Set(offsets.map(({ topic }) => topic))]
    const topics = names.map((name) => ({ name, partitionOffsets: offsets.filter(({ topic }) => topic === name) }))
    await this.#call(`committing offsets of group ${group}`, options, () =>
      this.#admin.alterConsumerGroupOffsets({ groupId: group, topics }),
    )
  }

  #call<T>(doing: string, options: CallOptions | undefined, attempt: () => Promise<T>): Promise<T> {
    const retrying = { clock: this.#clock, timeoutMs: this.#callTimeoutMs, signal: options?.signal, doing }
    const work = withRetries(retrying, async () => {
      this.#requireOpen()
      try {
        return await attempt()
      } catch (error) {
        this.#requireOpen()
        this.#admin.clearMetadata()
        throw toSluice(error, doing)
      }
    })
    return within(retrying, work)
  }

  #requireOpen(): void {
    if (this.#isClosed) throw stopped('this client of Kafka')
  }
}

function baseOptions(options: PlatformaticClientOptions): AdminOptions & ConnectionOptions {
  const { brokers, clientId = 'sluice', ssl = false, sasl, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: connectTimeoutMs,
    ...(ssl === false ? {} : { tls: ssl === true ? {} : ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  }
}
