/** The sink for Kafka: a batch's records and the ledger's entry for them in one transaction (E1, E8, E18, E22). */
import type { BatchPartitionId, Sink, SinkContext, SinkGuarantee, WriteContext } from '@sluice/core'
import { kafkajsClient, type KafkaClient, type ProduceOptions, type RecordToProduce } from '@sluice/kafka-wire'
import { failedOnce, isProducerLost, requireThat, sinkError } from './errors.js'
import {
  checkOptions,
  DEFAULT_LEDGER,
  DEFAULT_TRANSACTION_TIMEOUT_MS,
  type KafkaSinkOptions,
} from './kafka-sink.config.js'
import { LedgeredOutput } from './ledgered-output.js'
import { mapRecords, RecordMapper, type OutgoingRecord } from './records.js'
import { Topics } from './topics.js'

const NAME = 'kafka-sink'
/** Segments of the ledger are compacted when they are full, or so old. */
const LEDGER_SETTINGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(16 << 20),
  'min.cleanable.dirty.ratio': '0.1',
}
/** Leaves room for what a batch has besides its records. */
const MAX_BATCH_BYTES = 512 << 10

/**
 * A sink that writes to topics of Kafka. With `exactly-once` a consumer that reads what is committed sees each batch once, however often
 * it is run. Throws `ARGUMENT_INVALID` for options that make no sense; what is wrong with the brokers rejects `start()`.
 */
export function kafkaSink<T>(options: KafkaSinkOptions<T>): Sink<T> {
  return new KafkaSink(options as KafkaSinkOptions<never>)
}

interface Session {
  readonly client: KafkaClient
  readonly context: SinkContext
  readonly topics: Topics
  /** Those with a ledger, by app and output. */
  readonly outputs: Map<string, LedgeredOutput>
}

class KafkaSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name = NAME
  readonly target: string
  readonly settledIndexes?: (id: BatchPartitionId) => Promise<readonly number[]>
  readonly #options: KafkaSinkOptions<never>
  readonly #mapper: RecordMapper
  readonly #isExact: boolean
  #session: Session | undefined
  /** Whether the brokers have transactions of KIP-890; known when one is open. */
  #isSafe = true

  constructor(options: KafkaSinkOptions<never>) {
    checkOptions(options)
    this.#options = options
    this.#mapper = new RecordMapper(options)
    this.#isExact = options.mode !== 'at-least-once'
    this.target = typeof options.topic === 'string' ? options.topic : 'topics by record'
    if (this.#isExact) this.settledIndexes = (id) => Promise.resolve(this.#output(id).settledIndexes(id))
  }

  /** As it is known: `open` asks the brokers. */
  get guarantee(): SinkGuarantee {
    if (!this.#isExact) return { level: 'at-least-once', condition: 'a batch that is run again is written again' }
    const condition = 'the application has a checkpoint, and consumers read with isolation.level=read_committed'
    if (this.#isSafe) return { level: 'exactly-once', condition }
    const lack = 'without the transactions of KIP-890 a message that was late may get into a later transaction'
    return { level: 'effectively-once', condition: `${condition}; ${lack}` }
  }

  /** A sink may belong to several outputs: each has producers and a fence of its own. */
  async open(context: SinkContext): Promise<void> {
    const session = (this.#session ??= this.#newSession(context))
    const { client, topics, outputs } = session
    const { topic, transactionTimeoutMs = DEFAULT_TRANSACTION_TIMEOUT_MS } = this.#options
    await client.connect({ signal: context.signal })
    const { compression = 'none' } = this.#options
    requireThat(
      client.supports.compression.includes(compression),
      `compression ${compression} is not to be had here; choose one of ${client.supports.compression.join(', ')}, or give a codec`,
    )
    if (typeof topic === 'string') await topics.require(topic)
    if (!this.#isExact) return
    const ledger = await this.#openLedger(session)
    const output = new LedgeredOutput({ client, topic: ledger, clock: context.clock, transactionTimeoutMs, context })
    try {
      await output.open()
    } catch (error) {
      await output.close()
      throw error
    }
    this.#isSafe = client.supports.safeTransactions
    if (this.#session === session) outputs.set(keyOf(context), output)
    else await output.close()
  }

  #newSession(context: SinkContext): Session {
    const options = this.#options
    const client = 'client' in options ? options.client : kafkajsClient({ ...options, logger: context.logger })
    return { client, context, topics: new Topics(client, context.clock, context.logger), outputs: new Map() }
  }

  async #openLedger({ client, topics }: Session): Promise<string> {
    const { ledgerTopic = DEFAULT_LEDGER } = this.#options
    const found = await client.metadata(new RegExp(`^${ledgerTopic.replaceAll('.', '[.]')}$`))
    if (found.length === 0) await client.createTopic({ topic: ledgerTopic, partitions: 1, settings: LEDGER_SETTINGS })
    const policy = (await topics.settings(ledgerTopic)).get('cleanup.policy') ?? 'compact'
    requireThat(
      policy === 'compact',
      `the ledger topic ${ledgerTopic} has cleanup.policy=${policy}, so its entries would be deleted; set it to compact`,
    )
    return ledgerTopic
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const {
      client,
      topics,
      context: { clock },
    } = this.#opened()
    const { signal, reject, indexes } = context
    const output = this.#isExact ? this.#output(id) : undefined
    signal.throwIfAborted()
    const records = await mapRecords(chunks, this.#mapper, topics, { nowMs: clock.now(), signal, reject })
    await context.settleRejects()
    const options = {
      compression: this.#options.compression,
      maxBatchBytes: await this.#batchBytes(records, topics),
      signal,
    }
    if (output === undefined) {
      for (const [topic, own] of byTopic(records, () => true)) await produce(client, topic, own, options)
    } else {
      await output.write(id, { signal, indexes }, async (transaction, isNew) => {
        for (const [topic, own] of byTopic(records, isNew)) await transaction.send(topic, own, options)
      })
    }
    signal.throwIfAborted()
  }

  async #batchBytes(
    records: readonly (OutgoingRecord | undefined)[],
    topics: Topics,
  ): Promise<ProduceOptions['maxBatchBytes']> {
    let smallest = MAX_BATCH_BYTES
    for (const topic of new Set(records.map((each) => each?.topic))) {
      const info = topic === undefined ? undefined : await topics.get(topic)
      smallest = Math.min(smallest, info?.maxBytes ?? smallest)
    }
    return smallest
  }

  #opened(): Session {
    if (this.#session !== undefined) return this.#session
    throw sinkError('STOPPED', `the sink for ${this.target} is not open; open it before it is written to`)
  }

  #output(id: Pick<BatchPartitionId, 'app' | 'output'>): LedgeredOutput {
    const output = this.#opened().outputs.get(keyOf(id))
    if (output !== undefined) return output
    throw sinkError('STOPPED', `output ${id.output} is not open; open it before it is written to`)
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    if (session === undefined) return
    await Promise.all([...session.outputs.values()].map((output) => output.close()))
    if (!('client' in this.#options)) await session.client.close()
  }
}

async function produce(
  client: KafkaClient,
  topic: string,
  records: readonly RecordToProduce[],
  options: ProduceOptions,
) {
  try {
    await client.produce(topic, records, options)
  } catch (error) {
    throw isProducerLost(error) ? failedOnce(error) : error
  }
}

function keyOf({ app, output }: Pick<BatchPartitionId, 'app' | 'output'>): string {
  return JSON.stringify([app, output])
}

/** Without those that were rejected. */
function byTopic(
  records: readonly (OutgoingRecord | undefined)[],
  isNew: (index: number) => boolean,
): Map<string, RecordToProduce[]> {
  const groups = new Map<string, RecordToProduce[]>()
  for (const [index, each] of records.entries()) {
    if (each === undefined || !isNew(index)) continue
    const group = groups.get(each.topic)
    if (group === undefined) groups.set(each.topic, [each.record])
    else group.push(each.record)
  }
  return groups
}
