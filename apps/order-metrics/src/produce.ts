/** Writes orders into a Kafka topic: `npm run produce -- --kafka HOST:PORT --topic orders`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { isSluiceError } from '@sluice/core'
import { kafkajsClient, type KafkaClient, type RecordToProduce, type TransactionalProducer } from '@sluice/kafka-wire'
import { readBrokers, readInteger, readSpeed, UsageError } from './cli.js'
import { csvFiles } from './data-files.js'
import { linesOf } from './replay.js'
import { RunError } from './results.js'

const USAGE = `Usage: npm run produce -- --kafka HOST:PORT --topic NAME [options]

Writes real orders into a Kafka topic: a line of the data set is a value, its invoice number the key.

  --kafka HOST:PORT   where the brokers are; several with commas
  --topic NAME        the topic; made when it is missing
  --partitions N      partitions of a topic that is made (default: 4)
  --replicas N        replicas of a topic that is made (default: 1)
  --data DIR          all *.csv of DIR, in the order of their names (default: the sample, twelve days of orders)
  --speed N|max       lines a second (default: max)
  --transactions N    lines of a transaction (default: none are used)
  --abort-every N     each so many transactions one is aborted, and its lines written again by the next (default: never)
  --help              show this
`

const CHUNK_LINES = 500
const DEFAULT_PARTITIONS = 4
/** After a failure whose outcome is unknown the transaction's lines may come twice. */
const TRIES = 100
const RETRY_MS = 200

interface ProduceOptions {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly replicas: number
  readonly directory: string | undefined
  readonly speed: number
  readonly transactionLines: number | undefined
  readonly abortEvery: number
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args)
    if (options === 'help') process.stdout.write(USAGE)
    else process.stdout.write(`${String(await produce(options))} lines written to ${options.topic}\n`)
    return 0
  } catch (error) {
    const isKnown = error instanceof UsageError || error instanceof RunError || isSluiceError(error)
    process.stderr.write(`produce: ${isKnown ? error.message : String((error as Error).stack)}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

function readOptions(args: readonly string[]): ProduceOptions | 'help' {
  const text = { type: 'string' } as const
  const options = {
    ...{ kafka: text, topic: text, partitions: text, replicas: text, data: text, speed: text, transactions: text },
    'abort-every': text,
    help: { type: 'boolean', short: 'h' },
  } as const
  let values
  try {
    ;({ values } = parseArgs({ args: [...args], options }))
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error })
  }
  if (values.help === true) return 'help'
  if (values.kafka === undefined || values.topic === undefined) throw new UsageError('--kafka and --topic are needed')
  return {
    brokers: readBrokers(values.kafka),
    topic: values.topic,
    partitions: readInteger('--partitions', values.partitions, 1) ?? DEFAULT_PARTITIONS,
    replicas: readInteger('--replicas', values.replicas, 1) ?? 1,
    directory: values.data,
    speed: values.speed === 'max' ? Infinity : (readSpeed(values.speed) ?? Infinity),
    transactionLines: readInteger('--transactions', values.transactions, 1),
    abortEvery: readInteger('--abort-every', values['abort-every'], 1) ?? Infinity,
  }
}

async function produce(options: ProduceOptions): Promise<number> {
  const files = await csvFiles(options.directory)
  const client = kafkajsClient({ brokers: options.brokers, clientId: 'produce' })
  try {
    const { topic, partitions, replicas } = options
    await client.createTopic({ topic, partitions, replicas })
    const writer =
      options.transactionLines === undefined ? new PlainWriter(client, options) : new TransactionWriter(client, options)
    return await writeAll(files, options, (records) => writer.write(records))
  } finally {
    await client.close()
  }
}

type Write = (records: readonly RecordToProduce[]) => Promise<void>

async function writeAll(files: readonly string[], options: ProduceOptions, write: Write): Promise<number> {
  const most = options.transactionLines ?? CHUNK_LINES
  const startMs = performance.now()
  let written = 0
  let chunk: RecordToProduce[] = []
  const flush = async (): Promise<void> => {
    await write(chunk)
    written += chunk.length
    chunk = []
    await sleep(Math.max(0, startMs + (written / options.speed) * 1_000 - performance.now()))
  }
  for await (const lines of linesOf({ files, loop: false })) {
    for (const line of lines) {
      const value = line.toString().replace(/\r?\n$/, '')
      chunk.push({ key: value.slice(0, Math.max(0, value.indexOf(','))), value })
      if (chunk.length >= most) await flush()
    }
  }
  if (chunk.length > 0) await flush()
  return written
}

class PlainWriter {
  readonly #client: KafkaClient
  readonly #topic: string

  constructor(client: KafkaClient, { topic }: ProduceOptions) {
    this.#client = client
    this.#topic = topic
  }

  write(records: readonly RecordToProduce[]): Promise<void> {
    return this.#client.produce(this.#topic, records)
  }
}

class TransactionWriter {
  readonly #client: KafkaClient
  readonly #options: ProduceOptions
  #producer: TransactionalProducer | undefined
  #transactions = 0

  constructor(client: KafkaClient, options: ProduceOptions) {
    this.#client = client
    this.#options = options
  }

  async write(records: readonly RecordToProduce[]): Promise<void> {
    if (++this.#transactions % this.#options.abortEvery === 0) await this.#tryOften(records, 'abort')
    await this.#tryOften(records, 'commit')
  }

  /** After any failure the producer is a new one: its `init` ends what is left of the transaction. */
  async #tryOften(records: readonly RecordToProduce[], end: 'commit' | 'abort'): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#try(records, end)
        return
      } catch (error) {
        await this.#producer?.close().catch(() => undefined)
        this.#producer = undefined
        if (tries >= TRIES) throw error
        process.stderr.write(`produce: ${(error as Error).message}; tries again\n`)
        await sleep(RETRY_MS)
      }
    }
  }

  async #try(records: readonly RecordToProduce[], end: 'commit' | 'abort'): Promise<void> {
    const { topic } = this.#options
    if (this.#producer === undefined) {
      this.#producer = await this.#client.transactional(`produce-${topic}`)
      await this.#producer.init()
    }
    const transaction = await this.#producer.begin()
    await transaction.send(topic, records)
    await transaction[end]()
  }
}

// At the end: the classes above are there only now.
process.exitCode = await main(process.argv.slice(2))
