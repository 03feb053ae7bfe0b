/** Producers over an adapter's connections, with our own requests and encoder, which are faster than those of libraries. */
import type { AdapterParts, AdapterTransaction, ProducerKind } from '../adapter.js'
import type { ProduceOptions, RecordToProduce } from '../client.js'
import { codecIdOf, requireCompressor } from '../codecs/codecs.js'
import { Partitioner } from './partitioner.js'
import { byPartition, requirePartitions } from './producing.js'
import { withRetries } from '../waiting.js'
import { dialectCall } from './produce-wire.js'
import type { Dialect } from './produce-wire.js'
import { encodeBatches } from './record-encoder.js'
import type { Wire } from './wire.js'
import { WireProducer } from './wire-producer.js'

export interface WireProducersParts extends Pick<AdapterParts, 'clock' | 'codecs' | 'timeoutMs'> {
  readonly wire: Wire
  /** Default: what the brokers speak. */
  readonly dialect?: Dialect | undefined
}

/** Topics take batches of a megabyte unless they are told otherwise. */
const BATCH_BYTES = 512 << 10

export class WireProducers implements ProducerKind<WireProducer> {
  readonly #parts: WireProducersParts
  readonly #partitioner = new Partitioner()
  #dialect: Dialect | undefined

  constructor(parts: WireProducersParts) {
    this.#parts = parts
    this.#dialect = parts.dialect
  }

  /** False until the first producer has asked. */
  get areTransactionsSafe(): boolean {
    return this.#dialect === 'safe'
  }

  make(transaction?: { readonly transactionalId: string; readonly timeoutMs: number }): WireProducer {
    return new WireProducer({ ...this.#parts, transaction })
  }

  connect(producer: WireProducer): Promise<void> {
    return this.init(producer)
  }

  async init(producer: WireProducer): Promise<void> {
    await producer.init(await this.learnDialect())
  }

  async learnDialect(): Promise<Dialect> {
    this.#dialect ??= await (await this.#parts.wire.anyBroker()).call(dialectCall())
    return this.#dialect
  }

  begin(producer: WireProducer): Promise<AdapterTransaction> {
    producer.begin()
    return Promise.resolve({
      send: (topic, records, options) => this.#send(producer, topic, records, options, true),
      sendOffsets: (group, offsets) => producer.sendOffsets(group, offsets),
      commit: () => producer.end(true),
      abort: () => producer.end(false),
    })
  }

  send(
    producer: WireProducer,
    topic: string,
    records: readonly RecordToProduce[],
    options: ProduceOptions,
  ): Promise<void> {
    return this.#send(producer, topic, records, options, false)
  }

  close(producer: WireProducer): Promise<void> {
    producer.close()
    return Promise.resolve()
  }

  async #send(
    producer: WireProducer,
    topic: string,
    records: readonly RecordToProduce[],
    options: ProduceOptions,
    isTransactional: boolean,
  ): Promise<void> {
    const { codecs, clock } = this.#parts
    const { compression = 'none', maxBatchBytes = BATCH_BYTES, signal } = options
    const compress = compression === 'none' ? undefined : requireCompressor(codecs, compression, topic)
    const count = await this.#partitionCount(topic, 1, options)
    const groups = byPartition(records, (record) => this.#partitioner.partitionOf(record, count))
    const highest = Math.max(-1, ...groups.keys())
    const known = highest < count ? count : await this.#partitionCount(topic, highest + 1, options)
    requirePartitions(topic, groups.keys(), known)
    const codec = codecIdOf(compression)
    const encoding = { maxBytes: maxBatchBytes, nowMs: clock.now(), isTransactional, codec, compress }
    const queues = [...groups].map(([partition, some]) => ({
      partition,
      batches: encodeBatches(some, encoding),
      sent: 0,
    }))
    await producer.send(topic, queues, signal)
  }

  /** Nothing is sent yet, so that it may be tried again: brokers hear of a new topic one after the other. */
  #partitionCount(topic: string, atLeast: number, { signal, newTopicMs }: ProduceOptions): Promise<number> {
    const { wire, clock, timeoutMs } = this.#parts
    const doing = `writing to ${topic}`
    return withRetries({ clock, timeoutMs, signal, newTopicMs, doing }, () =>
      wire.partitionCount(topic, atLeast).catch((error: unknown) => {
        throw wire.failures.toSluice(error, doing)
      }),
    )
  }
}
