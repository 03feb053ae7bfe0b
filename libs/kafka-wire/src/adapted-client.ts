/** The client over any adapter: it owns what they share, namely whether it is closed, trying again, time-outs, errors and ranges. */
import { systemClock, untilAborted } from '@sluice/core'
import type { Clock } from '@sluice/core'
import { EARLIEST, LATEST } from './adapter.js'
import type { Adapter, AdapterParts, ClientOptions } from './adapter.js'
import type {
  CallOptions,
  FetchAnswer,
  FetchRequest,
  KafkaClient,
  KafkaSupport,
  NewTopic,
  OffsetMoment,
  ProduceOptions,
  RangeRequest,
  RecordToProduce,
  TopicMetadata,
  TopicPartitionOffset,
  TransactionalProducer,
  TransactionOptions,
} from './client.js'
import { codecsOf } from './codecs/codecs.js'
import type { CodecOptions, Codecs } from './codecs/codecs.js'
import { brokerRefused, invalid, stopped, UNKNOWN_PARTITION } from './errors.js'
import { Member } from './group/group-member.js'
import { Producers } from './produce/producing.js'
import { OUT_OF_RANGE, readRange } from './read/range-reader.js'
import type { RecordChunk } from './record.js'
import { within, withRetries } from './waiting.js'
import type { WithinOptions } from './waiting.js'

const ALREADY_EXISTS = 'TOPIC_ALREADY_EXISTS'
export const CALL_TIMEOUT_MS = 30_000

/** Throws `ARGUMENT_INVALID`. */
export function clientOver<P>(options: ClientOptions, adapt: (parts: AdapterParts) => Adapter<P>): KafkaClient {
  if (options.brokers.length === 0) throw invalid('brokers is empty; give host:port of at least one')
  return new AdaptedClient(options, adapt)
}

class AdaptedClient<P> implements KafkaClient {
  readonly '~sluice' = 'kafka-client/1'
  readonly name: string
  readonly codecs: CodecOptions | undefined
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #codecs: Codecs
  readonly #adapter: Adapter<P>
  readonly #producers: Producers<P>
  #isClosed = false

  constructor(options: ClientOptions, adapt: (parts: AdapterParts) => Adapter<P>) {
    this.#clock = options.clock ?? systemClock
    this.#timeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
    this.codecs = options.codecs
    this.#codecs = codecsOf(options.codecs)
    const [clock, timeoutMs, codecs] = [this.#clock, this.#timeoutMs, this.#codecs]
    const adapter = adapt({ clock, timeoutMs, codecs, retried: (...args) => this.#call(...args) })
    this.#adapter = adapter
    this.name = adapter.name
    const gaveUp = (reason: Error): void => void adapter.gaveUp(reason)
    this.#producers = new Producers(adapter.producers, { clock, timeoutMs, failures: adapter.failures, gaveUp })
  }

  get supports(): KafkaSupport {
    const { compression, areTransactionsSafe = false } = this.#adapter
    return { safeTransactions: areTransactionsSafe, compression }
  }

  async connect(options?: CallOptions): Promise<void> {
    await this.#call('connecting', options, () => this.#adapter.connect())
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#producers.close()
    await this.#adapter.close(closed())
  }

  async metadata(topics: readonly string[] | RegExp, options?: CallOptions): Promise<readonly TopicMetadata[]> {
    if (!(topics instanceof RegExp) && topics.length === 0) return []
    const what = topics instanceof RegExp ? 'all topics' : topics.join(', ')
    return this.#call(`looking up ${what}`, options, () => this.#adapter.metadata(topics))
  }

  topicSettings(topic: string, options?: CallOptions): Promise<ReadonlyMap<string, string>> {
    return this.#call(`looking up the settings of ${topic}`, options, () => this.#adapter.topicSettings(topic))
  }

  async createTopic(topic: NewTopic, options?: CallOptions): Promise<void> {
    const doing = `making topic ${topic.topic}`
    const { failures } = this.#adapter
    await this.#call(doing, options, async () => {
      try {
        await this.#adapter.createTopic(topic)
      } catch (error) {
        if (failures.typeOf(error) !== ALREADY_EXISTS) throw error
      }
    })
    // Brokers hear of it one after the other.
    await this.#call(doing, options, async () => {
      const found = await this.#adapter.metadata([topic.topic]).catch((error: unknown) => {
        if (failures.typeOf(error) === UNKNOWN_PARTITION) return []
        throw error
      })
      const leaders = found.flatMap(({ partitions }) => partitions.map(({ leader }) => leader))
      if (leaders.length > 0 && leaders.every((leader) => leader >= 0)) return
      throw brokerRefused({ type: 'LEADER_NOT_AVAILABLE', doing, isRetryable: true })
    })
  }

  async listOffsets(
    topic: string,
    partitions: readonly number[],
    moment: OffsetMoment,
    options?: CallOptions,
  ): Promise<ReadonlyMap<number, bigint>> {
    const timestampMs = moment === 'earliest' ? EARLIEST : typeof moment === 'string' ? LATEST : moment.timestampMs
    const isolation = moment === 'last-stable' ? 'committed' : 'uncommitted'
    const offsets = await this.#call(`asking for offsets of ${topic}`, options, () =>
      this.#adapter.listOffsets(topic, partitions, timestampMs, isolation),
    )
    const behind = partitions.filter((partition) => offsets.get(partition) === -1n)
    if (behind.length === 0) return offsets
    // No record is as young as that.
    return new Map([...offsets, ...(await this.listOffsets(topic, behind, 'latest', options))])
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    this.#requireOpen()
    const { signal, maxWaitMs, timeoutMs = this.#timeoutMs } = request
    const doing = `reading ${request.topic}/${String(request.partition)}`
    const answer = this.#adapter.fetch(request).catch(async (error: unknown) => {
      throw await this.#failure(error, doing)
    })
    return this.#inTime({ doing, signal, timeoutMs: timeoutMs + maxWaitMs }, answer)
  }

  readRange(range: RangeRequest): AsyncIterable<RecordChunk> {
    const isOutOfRange = (error: unknown): boolean => this.#adapter.failures.typeOf(error) === OUT_OF_RANGE
    const [clock, codecs, callTimeoutMs] = [this.#clock, this.#codecs, this.#timeoutMs]
    return readRange({ client: this, clock, codecs, callTimeoutMs, isOutOfRange }, range)
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
    const found = await this.#call(`reading the offsets of group ${group}`, options, () =>
      this.#adapter.fetchCommitted(group, topics),
    )
    return found.filter(({ offset }) => offset >= 0n)
  }

  async commit(group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void> {
    await this.#call(`committing offsets of group ${group}`, options, () => this.#adapter.commit(group, offsets))
  }

  get groupMember(): KafkaClient['groupMember'] {
    const group = this.#adapter.group?.bind(this.#adapter)
    if (group === undefined) return undefined
    return (options) => {
      this.#requireOpen()
      const [clock, timeoutMs, { failures }] = [this.#clock, this.#timeoutMs, this.#adapter]
      const topicsOf: KafkaClient['metadata'] = (...args) => this.metadata(...args)
      return new Member(options, { group: group(options.group), clock, timeoutMs, failures, metadata: topicsOf })
    }
  }

  #call<T>(doing: string, options: CallOptions | undefined, attempt: () => Promise<T>): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs, newTopicMs } = options ?? {}
    const work = withRetries({ clock: this.#clock, doing, signal, timeoutMs, newTopicMs }, async () => {
      this.#requireOpen()
      try {
        return await attempt()
      } catch (error) {
        throw await this.#failure(error, doing)
      }
    })
    return this.#inTime({ doing, signal, timeoutMs }, work)
  }

  /** Libraries have ways to wait for ever, e.g. for the answer to a login: a time-out that is not the caller's own ends that. */
  #inTime<T>(options: Omit<WithinOptions, 'clock'>, work: Promise<T>): Promise<T> {
    const onLate = (reason: Error): void => {
      if (options.timeoutMs >= this.#timeoutMs) void this.#adapter.gaveUp(reason)
    }
    return untilAborted(within({ ...options, clock: this.#clock, onLate }, work), options.signal)
  }

  async #failure(error: unknown, doing: string): Promise<Error> {
    this.#requireOpen()
    await this.#adapter.failed(error)
    return this.#adapter.failures.toSluice(error, doing)
  }

  #requireOpen(): void {
    if (this.#isClosed) throw closed()
  }
}

function closed(): Error {
  return stopped('this client of Kafka')
}
