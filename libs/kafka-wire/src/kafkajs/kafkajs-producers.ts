/** Producers of kafkajs, used so that what it does after an error loses and doubles nothing. */
import type { Clock } from '@sluice/core'
import kafkajs from 'kafkajs'
import type { Kafka, Message, ProducerConfig, Transaction as KafkajsTransaction } from 'kafkajs'
import type {
  CallOptions,
  PartitionMetadata,
  ProduceOptions,
  RecordToProduce,
  TopicPartitionOffset,
  Transaction,
  TransactionalProducer,
  TransactionOptions,
} from '../client.js'
import type { CodecName, Codecs } from '../codecs/codecs.js'
import { requireCompressor } from '../codecs/codecs.js'
import { stopped } from '../errors.js'
import { byTopic } from '../offsets.js'
import { Partitioner } from '../partitioner.js'
import { allEnded, bufferOf, byPartition, guarded, requirePartitions, SharedProducer } from '../producing.js'
import { abortable, reasonOf, withRetries } from '../waiting.js'
import { toSluice } from './failures.js'
import { KafkajsOutlet } from './kafkajs-outlet.js'
import type { Sender } from './kafkajs-outlet.js'

export interface ProducersParts {
  readonly kafka: Kafka
  readonly codecs: Codecs
  readonly clock: Clock
  readonly timeoutMs: number
  readonly partitionsOf: (topic: string, signal?: AbortSignal) => Promise<readonly PartitionMetadata[]>
}

/** About half a minute: kafkajs cannot be told to stop, so it must stop by itself. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 3000, retries: 14 }
const TRANSACTION_TIMEOUT_MS = 60_000

const { CompressionTypes, CompressionCodecs, Partitioners } = kafkajs
const TYPES = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const

export class KafkajsProducers {
  readonly #parts: ProducersParts
  readonly #partitioner = new Partitioner()
  readonly #open = new Set<KafkajsOutlet>()
  readonly #shared: SharedProducer<KafkajsOutlet>
  #isClosed = false

  constructor(parts: ProducersParts) {
    this.#parts = parts
    this.#shared = new SharedProducer({
      make: () => this.#connected(),
      discard: (outlet) => this.#discard(outlet),
    })
  }

  produce(topic: string, records: readonly RecordToProduce[], options: ProduceOptions = {}): Promise<void> {
    const doing = `writing to ${topic}`
    const work = this.#shared.use(async (outlet) => {
      if (options.signal?.aborted === true) throw reasonOf(options.signal)
      await translated(doing, () => this.#send(outlet, outlet.producer, topic, records, options))
    })
    return abortable(
      translated(doing, () => work),
      options.signal,
    )
  }

  transactional(transactionalId: string, options: TransactionOptions = {}): TransactionalProducer {
    const { clock, timeoutMs, kafka } = this.#parts
    const doing = `the transaction ${transactionalId}`
    const transactionTimeout = options.timeoutMs ?? TRANSACTION_TIMEOUT_MS
    const outlet = this.#newOutlet(kafka, { transactionalId, transactionTimeout })
    const { producer } = outlet
    const retrying = <T>(call: CallOptions | undefined, attempt: () => Promise<T>) =>
      withRetries({ clock, timeoutMs, signal: call?.signal, doing }, () => translated(doing, attempt))
    const inner: TransactionalProducer = {
      init: (call) =>
        retrying(call, async () => {
          await producer.connect()
          // Asks for the producer's id; a transaction without a record is not known to the broker.
          await (await producer.transaction()).abort()
        }),
      begin: async () =>
        this.#transaction(outlet, await translated(doing, () => producer.transaction()), doing, retrying),
      close: () => this.#discard(outlet),
    }
    return guarded(inner, transactionalId)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#open].map((outlet) => this.#discard(outlet)))
  }

  #transaction(
    outlet: KafkajsOutlet,
    transaction: KafkajsTransaction,
    doing: string,
    retrying: <T>(call: CallOptions | undefined, attempt: () => Promise<T>) => Promise<T>,
  ): Transaction {
    const once = (call: CallOptions | undefined, work: () => Promise<void>): Promise<void> =>
      abortable(translated(doing, work), call?.signal)
    return {
      send: (topic, records, options = {}) =>
        once(options, () => this.#send(outlet, transaction, topic, records, options)),
      sendOffsets: (group: string, offsets: readonly TopicPartitionOffset[], options) =>
        // A broker that has just started has no coordinator of groups yet; asking twice adds nothing.
        retrying(options, () => transaction.sendOffsets({ consumerGroupId: group, topics: byTopic(offsets) })),
      commit: (options) => once(options, () => transaction.commit()),
      abort: (options) => once(options, () => transaction.abort()),
    }
  }

  /**
   * Each partition in a request of its own: when kafkajs tries again, it leaves out brokers that have answered, and
   * with them the records of partitions that have moved there meanwhile.
   */
  async #send(
    outlet: KafkajsOutlet,
    sender: Sender,
    topic: string,
    records: readonly RecordToProduce[],
    options: ProduceOptions,
  ): Promise<void> {
    const { compression = 'none' } = options
    if (compression !== 'none') registerCodec(compression, requireCompressor(this.#parts.codecs, compression, topic))
    const partitions = await this.#parts.partitionsOf(topic, options.signal)
    const groups = byPartition(records, (record) => this.#partitioner.partitionOf(record, partitions.length))
    requirePartitions(topic, groups.keys(), partitions.length)
    const { clock, timeoutMs } = this.#parts
    const retrying = { clock, timeoutMs, signal: options.signal }
    await allEnded(
      [...groups].map(([partition, some]) => {
        const record = { topic, partition, messages: some.map(toMessage), acks: -1, compression: TYPES[compression] }
        return outlet.send(sender, record, retrying)
      }),
    )
  }

  #newOutlet(kafka: Kafka, config: ProducerConfig): KafkajsOutlet {
    const outlet = new KafkajsOutlet(kafka, { ...config, ...commonOptions() })
    this.#open.add(outlet)
    return outlet
  }

  async #connected(): Promise<KafkajsOutlet> {
    if (this.#isClosed) throw stopped('this client of Kafka')
    const outlet = this.#newOutlet(this.#parts.kafka, { idempotent: true })
    await outlet.producer.connect()
    return outlet
  }

  async #discard(outlet: KafkajsOutlet): Promise<void> {
    this.#open.delete(outlet)
    await outlet.producer.disconnect()
  }
}

function commonOptions() {
  return {
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    retry: RETRY,
  }
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toSluice(error, doing)
  }
}

function toMessage({ key, value, headers, timestampMs, partition }: RecordToProduce): Message {
  const message: Message = { key: contentOf(key ?? null), value: contentOf(value) }
  if (partition !== undefined) message.partition = partition
  if (timestampMs !== undefined) message.timestamp = String(timestampMs)
  if (headers !== undefined) message.headers = toHeaders(headers)
  return message
}

function toHeaders(headers: NonNullable<RecordToProduce['headers']>): NonNullable<Message['headers']> {
  const byName: Record<string, (Buffer | string)[]> = {}
  for (const [name, value] of headers) (byName[name] ??= []).push(contentOf(value) as Buffer | string)
  return byName
}

function contentOf(content: Uint8Array | string | null): Buffer | string | null {
  return content === null || typeof content === 'string' ? content : bufferOf(content)
}

/** Codecs of kafkajs are one for the whole process: one that is there already, perhaps the user's, stays. */
function registerCodec(name: CodecName, compress: (bytes: Buffer) => Uint8Array): void {
  const type = TYPES[name]
  try {
    // By default it throws that there is none.
    ;(CompressionCodecs[type] as () => unknown)()
  } catch {
    CompressionCodecs[type] = () => ({
      compress: ({ buffer }: { readonly buffer: Buffer }) => Promise.resolve(bufferOf(compress(buffer))),
      decompress: () => Promise.reject(new Error('not used: records are decoded by @sluice/kafka-wire')),
    })
  }
}
