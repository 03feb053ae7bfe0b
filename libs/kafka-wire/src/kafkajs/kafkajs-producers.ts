/** Producers of kafkajs, used so that what it does after an error loses and doubles nothing. */
import kafkajs from 'kafkajs'
import type { Kafka, Message } from 'kafkajs'
import type { AdapterParts, AdapterTransaction, ProducerKind } from '../adapter.js'
import type { PartitionMetadata, ProduceOptions, RecordToProduce } from '../client.js'
import type { CodecName } from '../codecs/codecs.js'
import { requireCompressor } from '../codecs/codecs.js'
import { byTopic } from '../offsets.js'
import { Partitioner } from '../partitioner.js'
import { allEnded, bufferOf, byPartition, requirePartitions } from '../producing.js'
import { KafkajsOutlet } from './kafkajs-outlet.js'
import type { Sender } from './kafkajs-outlet.js'

export interface KafkajsProducersParts extends Pick<AdapterParts, 'clock' | 'codecs' | 'timeoutMs'> {
  readonly kafka: Kafka
  readonly partitionsOf: (topic: string, signal?: AbortSignal) => Promise<readonly PartitionMetadata[]>
}

/** About half a minute: kafkajs cannot be told to stop, so it must stop by itself. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 3000, retries: 14 }

const { CompressionTypes, CompressionCodecs, Partitioners } = kafkajs
const TYPES = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const

export class KafkajsProducers implements ProducerKind<KafkajsOutlet> {
  readonly #parts: KafkajsProducersParts
  readonly #partitioner = new Partitioner()

  constructor(parts: KafkajsProducersParts) {
    this.#parts = parts
  }

  make(transaction?: { readonly transactionalId: string; readonly timeoutMs: number }): KafkajsOutlet {
    const config =
      transaction === undefined
        ? { idempotent: true }
        : { transactionalId: transaction.transactionalId, transactionTimeout: transaction.timeoutMs }
    return new KafkajsOutlet(this.#parts.kafka, { ...config, ...commonOptions() })
  }

  connect({ producer }: KafkajsOutlet): Promise<void> {
    return producer.connect()
  }

  send(
    outlet: KafkajsOutlet,
    topic: string,
    records: readonly RecordToProduce[],
    options: ProduceOptions,
  ): Promise<void> {
    return this.#send(outlet, outlet.producer, topic, records, options)
  }

  async init({ producer }: KafkajsOutlet): Promise<void> {
    await producer.connect()
    // Asks for the producer's id; a transaction without a record is not known to the broker.
    await (await producer.transaction()).abort()
  }

  async begin(outlet: KafkajsOutlet): Promise<AdapterTransaction> {
    const transaction = await outlet.producer.transaction()
    return {
      send: (topic, records, options) => this.#send(outlet, transaction, topic, records, options),
      sendOffsets: (group, offsets) => transaction.sendOffsets({ consumerGroupId: group, topics: byTopic(offsets) }),
      commit: () => transaction.commit(),
      abort: () => transaction.abort(),
    }
  }

  close(outlet: KafkajsOutlet): Promise<void> {
    return outlet.close()
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
}

function commonOptions() {
  return {
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    retry: RETRY,
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
