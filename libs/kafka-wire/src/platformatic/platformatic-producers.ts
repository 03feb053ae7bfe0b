/** Producers of @platformatic/kafka. */
import { FindCoordinatorKeyTypes, Producer } from '@platformatic/kafka'
import type { Admin, MessageToProduce, ProducerOptions } from '@platformatic/kafka'
import type { Clock } from '@sluice/core'
import type { AdapterTransaction, ProducerKind } from '../adapter.js'
import type { CallOptions, ProduceOptions, RecordToProduce, TopicPartitionOffset } from '../client.js'
import type { Codecs } from '../codecs/codecs.js'
import { requireCompressor } from '../codecs/codecs.js'
import { Partitioner } from '../produce/partitioner.js'
import { bufferOf, byPartition, requirePartitions, unknownPartition } from '../produce/producing.js'
import { withRetries } from '../waiting.js'
import { dropAll } from './connections.js'
import { toSluice } from './failures.js'

type BaseOptions = Pick<
  ProducerOptions<Buffer, Buffer, Buffer, Buffer>,
  'clientId' | 'bootstrapBrokers' | 'connectTimeout'
>

export interface PlatformaticProducersParts {
  readonly admin: Admin
  readonly base: BaseOptions
  readonly codecs: Codecs
  readonly clock: Clock
  readonly timeoutMs: number
  /** Unless `isFresh`, as of some time ago. */
  readonly partitionsOf: (topic: string, options: CallOptions, isFresh: boolean) => Promise<number>
}

type Sender = Pick<Producer, 'send'>
type PlatformaticTransaction = Awaited<ReturnType<Producer['beginTransaction']>>

const RETRY_DELAY_MS = 250
const RETRIES = 4
const REQUEST_TIMEOUT_MS = 30_000
const LONGEST_SPAN_MS = 2n ** 30n
/** Asks for the id and epoch that the transactional id has, whatever they are. */
const ANY_PRODUCER = { producerId: -1n, producerEpoch: -1 }

export class PlatformaticProducers implements ProducerKind<Producer> {
  readonly #parts: PlatformaticProducersParts
  readonly #partitioner = new Partitioner()

  constructor(parts: PlatformaticProducersParts) {
    this.#parts = parts
  }

  make(transaction?: { readonly transactionalId: string; readonly timeoutMs: number }): Producer {
    return new Producer({
      ...this.#parts.base,
      retries: RETRIES,
      retryDelay: RETRY_DELAY_MS,
      idempotent: true,
      autocreateTopics: false,
      timeout: transaction?.timeoutMs ?? REQUEST_TIMEOUT_MS,
      ...(transaction === undefined ? {} : { transactionalId: transaction.transactionalId }),
    })
  }

  /** It does so by itself. */
  connect(): Promise<void> {
    return Promise.resolve()
  }

  send(producer: Producer, topic: string, records: readonly RecordToProduce[], options: ProduceOptions): Promise<void> {
    return this.#send(producer, producer, topic, records, options)
  }

  async init(producer: Producer): Promise<void> {
    // A failed try leaves its transaction behind.
    await producer.transaction?.cancel()
    await (await producer.beginTransaction(ANY_PRODUCER)).cancel()
  }

  async begin(producer: Producer): Promise<AdapterTransaction> {
    const transaction = await producer.beginTransaction(ANY_PRODUCER)
    // The broker knows nothing of a transaction without records and offsets, and refuses to end it.
    let isKnown = false
    return {
      send: (topic, records, options) => {
        isKnown = true
        return this.#send(producer, transaction, topic, records, options)
      },
      sendOffsets: (group, offsets) => {
        isKnown = true
        return this.#sendOffsets(transaction, group, offsets)
      },
      commit: () => (isKnown ? transaction.commit() : transaction.cancel()),
      abort: () => (isKnown ? transaction.abort() : transaction.cancel()),
    }
  }

  async close(producer: Producer): Promise<void> {
    dropAll(producer.connections)
    await new Promise<void>((resolve, reject) => {
      producer.close(true, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  /** One request after the other: the client numbers the batches of a partition when it sends them. */
  async #send(
    producer: Producer,
    sender: Sender,
    topic: string,
    records: readonly RecordToProduce[],
    options: ProduceOptions,
  ): Promise<void> {
    const { compression = 'none' } = options
    if (compression !== 'none') requireCompressor(this.#parts.codecs, compression, topic)
    // It would look for a topic that is not there for as long as it sends.
    const count = await this.#parts.partitionsOf(topic, options, false)
    const groups = byPartition(records, (record) => this.#partitioner.partitionOf(record, count))
    if (Math.max(...groups.keys()) >= count) {
      requirePartitions(topic, groups.keys(), await this.#parts.partitionsOf(topic, options, true))
    }
    for (const [partition, some] of groups) {
      const messages = some.map((record) => toMessage(topic, partition, record, this.#parts.clock.now()))
      for (const near of nearInTime(messages)) {
        await this.#deliver(`writing to ${topic}/${String(partition)}`, producer, async () => {
          await requireKnown(producer, topic, partition)
          const { offsets } = await sender.send({ messages: near, acks: -1, compression, autocreateTopics: false })
          const isWritten = offsets?.some((each) => each.topic === topic && each.partition === partition) === true
          if (!isWritten) throw unknownPartition(topic, partition, false)
        })
      }
    }
  }

  /** Tries the same again at another leader, which it would not look for. The batch keeps its number, so it is not doubled. */
  async #deliver(doing: string, producer: Producer, send: () => Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#parts
    await withRetries({ clock, timeoutMs, signal: undefined, doing }, () =>
      send().catch((error: unknown) => {
        producer.clearMetadata()
        throw toSluice(error, doing)
      }),
    )
  }

  /** One by one: calls at the same time would be taken for one. */
  async #sendOffsets(
    transaction: PlatformaticTransaction,
    groupId: string,
    offsets: readonly TopicPartitionOffset[],
  ): Promise<void> {
    await transaction.addConsumer({ groupId } as never)
    const [coordinator] = await this.#parts.admin.findCoordinator({
      keyType: FindCoordinatorKeyTypes.GROUP,
      keys: [groupId],
    })
    const consumer = { groupId, generationId: -1, memberId: '', coordinatorId: coordinator?.nodeId }
    for (const { topic, partition, offset } of offsets) {
      // It takes the record that was read, and commits the offset behind it.
      await transaction.addOffset({ topic, partition, offset: offset - 1n, metadata: { consumer } } as never)
    }
  }
}

/** It puts records for a partition that it does not know yet into another one. */
async function requireKnown(producer: Producer, topic: string, partition: number): Promise<void> {
  if (isKnown(producer, topic, partition)) return
  await producer.metadata({ topics: [topic], autocreateTopics: false, forceUpdate: true })
  if (!isKnown(producer, topic, partition)) throw unknownPartition(topic, partition, true)
}

function isKnown(producer: Producer, topic: string, partition: number): boolean {
  return (producer.currentMetadata?.topics.get(topic)?.partitionsCount ?? 0) > partition
}

type Message = MessageToProduce & { readonly timestamp: bigint }

function toMessage(topic: string, partition: number, record: RecordToProduce, nowMs: number): Message {
  const { key, value, headers, timestampMs = nowMs } = record
  const message: Message = { topic, partition, timestamp: BigInt(timestampMs) }
  if (key !== undefined && key !== null) message.key = bytesOf(key)
  if (value !== null) message.value = bytesOf(value)
  // Names are buffers, each of which is a key of its own: equal ones stay.
  if (headers !== undefined)
    message.headers = new Map(headers.map(([name, data]) => [Buffer.from(name), bytesOf(data)]))
  return message
}

/** It writes how far a record's time is from the first one's, and gets that wrong from 2^31 ms on (24 days). */
function nearInTime(messages: readonly Message[]): Message[][] {
  const groups: Message[][] = []
  for (const message of messages) {
    const group = groups.at(-1)
    const span = message.timestamp - (group?.[0]?.timestamp ?? 0n)
    if (group !== undefined && span > -LONGEST_SPAN_MS && span < LONGEST_SPAN_MS) group.push(message)
    else groups.push([message])
  }
  return groups
}

function bytesOf(content: Uint8Array | string): Buffer {
  return typeof content === 'string' ? Buffer.from(content) : bufferOf(content)
}
