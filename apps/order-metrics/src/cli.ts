/** The command line: what can be asked for, and what is wrong with what was asked. */
import { parseArgs } from 'node:util'
import type { ReplaySpeed } from './replay.js'
import type { Limits } from './suspicious.js'

export const USAGE = `Usage: npm start -- [options]

Replays real orders over a TCP socket into a Sluice stream and shows their metrics live.

  --data DIR             replay all *.csv of DIR, in the order of their names (default: the sample, twelve days of orders)
  --speed N|max          lines a second, or as fast as the job takes them (default: 260, the sample in two minutes)
  --loop                 replay again and again, until Ctrl-C
  --connect HOST:PORT    read lines from there instead of a replay
  --sequenced            with --connect: the lines are numbered, and sent again from where they were safe
  --kafka HOST:PORT      read a Kafka topic from its beginning instead of a replay; several brokers with commas
  --topic NAME           the topic whose values are the lines
  --group NAME           Kafka group by which lag tools see how far the job is (default: none)
  --consumers N          with --group: be N consumers of that group, which may have others (default: read all, as no member)
  --until-idle SECONDS   with --kafka: end when nothing came for so long (default: go on until Ctrl-C)
  --out-topic NAME       with --kafka: write the metrics of each batch into this topic, too, each batch once
  --batch MS             batch interval in milliseconds, from 10 (default: 1000)
  --window SECONDS       what the sliding window covers, rounded up to whole batches (default: 300)
  --max-orders N         customers with more orders in the window are suspicious (default: 10)
  --max-cancellations N  customers with more cancellations in the window are suspicious (default: 2)
  --blacklist FILE       customers whose orders are marked, one a line; read again when it changes
  --partitions N         partitions that the job's figures are spread over (default: the engine's)
  --out DIR              where results go (default: a new folder, out/order-metrics-YYYYMMDD-HHMMSS)
  --checkpoint DIR       where the log goes from which a run is resumed (default: OUT/checkpoint)
  --take-over            resume a run whose process hangs
  --no-database          write no SQLite database
  --redis URL            also count in Redis, e.g. redis://localhost:6379
  --mongo URL            also count in MongoDB, e.g. mongodb://localhost:27017
  --sql URL              keep the figures in a database server, too: postgres:, mysql: or mariadb://user:password@host:port/database
  --hdfs URL             write the figures of each batch to HDFS, too: http://NAMENODE:9870/folder
  --s3 URL               write the figures of each batch to S3, too: s3://bucket/folder
  --fresh                first remove the results of an earlier run from DIR
  --help                 show this
`

/** Where the lines come from. */
export type LineSource =
  | {
      readonly kind: 'replay'
      /** Undefined: the sample. */
      readonly directory: string | undefined
      readonly speed: ReplaySpeed
      readonly loop: boolean
    }
  | { readonly kind: 'connect'; readonly host: string; readonly port: number; readonly sequenced: boolean }
  | KafkaLines

export interface KafkaLines {
  readonly kind: 'kafka'
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly topic: string
  /** Undefined: none. */
  readonly group: string | undefined
  /** How many members of the group receive the lines. Undefined: none, ranges are read. */
  readonly consumers: number | undefined
  /** Undefined: it never ends by itself. */
  readonly untilIdleMs: number | undefined
  /** Where metrics are written, too. Undefined: nowhere. */
  readonly outTopic: string | undefined
}

export interface Options {
  readonly source: LineSource
  readonly batchMs: number
  /** A multiple of the batch interval. */
  readonly windowMs: number
  readonly limits: Limits
  /** Undefined: nobody is blacklisted. */
  readonly blacklistFile: string | undefined
  readonly partitions: number | undefined
  /** Undefined: a new folder. */
  readonly outDirectory: string | undefined
  /** Undefined: a folder in that of the results. */
  readonly checkpoint: string | undefined
  readonly takeOver: boolean
  readonly database: boolean
  /** Undefined: in no server. */
  readonly sql: string | undefined
  /** Where Redis is; undefined: nothing goes there. */
  readonly redis: string | undefined
  /** Where MongoDB is; undefined: nothing goes there. */
  readonly mongo: string | undefined
  /** A NameNode's web server and a folder; undefined: nothing goes to HDFS. */
  readonly hdfs: string | undefined
  /** A bucket and a folder; undefined: nothing goes to S3. */
  readonly s3: string | undefined
  readonly fresh: boolean
}

/** A command line that makes no sense. The message says why. */
export class UsageError extends Error {}

/** The sample's 31,102 lines take two minutes. */
const DEFAULT_LINES_PER_SECOND = 260
const DEFAULT_BATCH_MS = 1_000
const SHORTEST_BATCH_MS = 10
const DEFAULT_WINDOW_SECONDS = 300
const LONGEST_WINDOW_SECONDS = 1_000_000
/** In the sample a handful of customers has more. */
const DEFAULT_LIMITS: Limits = { orders: 10, cancellations: 2 }

/** Reads the arguments behind the program's name; `help` when they ask for it. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const values = readValues(args)
  if (values.help === true) return 'help'
  const batchMs = readInteger('--batch', values.batch, SHORTEST_BATCH_MS) ?? DEFAULT_BATCH_MS
  return {
    source: readSource(values),
    batchMs,
    windowMs: readWindowMs(values.window, batchMs),
    limits: {
      orders: readInteger('--max-orders', values['max-orders'], 0) ?? DEFAULT_LIMITS.orders,
      cancellations: readInteger('--max-cancellations', values['max-cancellations'], 0) ?? DEFAULT_LIMITS.cancellations,
    },
    blacklistFile: readPath('--blacklist', values.blacklist, 'file'),
    partitions: readInteger('--partitions', values.partitions, 1),
    outDirectory: readPath('--out', values.out),
    checkpoint: readCheckpoint(values),
    takeOver: values['take-over'] === true,
    database: values['no-database'] !== true,
    sql: readSql(values.sql),
    redis: readRedis(values.redis),
    mongo: readMongo(values.mongo),
    hdfs: readHdfs(values.hdfs),
    s3: readS3(values.s3),
    fresh: values.fresh === true,
  }
}

type Values = ReturnType<typeof readValues>

function readValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        data: { type: 'string' },
        speed: { type: 'string' },
        loop: { type: 'boolean' },
        connect: { type: 'string' },
        sequenced: { type: 'boolean' },
        kafka: { type: 'string' },
        topic: { type: 'string' },
        group: { type: 'string' },
        consumers: { type: 'string' },
        'until-idle': { type: 'string' },
        'out-topic': { type: 'string' },
        batch: { type: 'string' },
        window: { type: 'string' },
        'max-orders': { type: 'string' },
        'max-cancellations': { type: 'string' },
        blacklist: { type: 'string' },
        partitions: { type: 'string' },
        out: { type: 'string' },
        checkpoint: { type: 'string' },
        'take-over': { type: 'boolean' },
        'no-database': { type: 'boolean' },
        sql: { type: 'string' },
        redis: { type: 'string' },
        mongo: { type: 'string' },
        hdfs: { type: 'string' },
        s3: { type: 'string' },
        fresh: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error })
  }
}

function readSource(values: Values): LineSource {
  if (values.kafka !== undefined) return readKafka(values, values.kafka)
  const ofKafka = ['topic', 'group', 'consumers', 'until-idle', 'out-topic'] as const
  const kafkaOnly = ofKafka.find((name) => values[name] !== undefined)
  if (kafkaOnly !== undefined) throw new UsageError(`--${kafkaOnly} is about --kafka; add that`)
  if (values.connect === undefined) {
    if (values.sequenced === true) throw new UsageError('--sequenced is about the lines of --connect; add that')
    return {
      kind: 'replay',
      directory: readPath('--data', values.data),
      speed: values.speed === 'max' ? 'max' : (readSpeed(values.speed) ?? DEFAULT_LINES_PER_SECOND),
      loop: values.loop === true,
    }
  }
  refuseReplay(values, '--connect')
  return { kind: 'connect', ...readAddress('--connect', values.connect), sequenced: values.sequenced === true }
}

function refuseReplay(values: Values, option: string): void {
  const replayOnly = (['data', 'speed', 'loop'] as const).find((name) => values[name] !== undefined)
  if (replayOnly !== undefined) {
    throw new UsageError(`--${replayOnly} is about the replay, and ${option} reads from elsewhere; leave one out`)
  }
}

function readKafka(values: Values, brokers: string): KafkaLines {
  refuseReplay(values, '--kafka')
  if (values.connect !== undefined || values.sequenced === true) {
    throw new UsageError('--kafka and --connect both say where lines come from; leave one out')
  }
  const { topic, group } = values
  if (topic === undefined || topic === '') throw new UsageError('--kafka reads a topic; name it with --topic')
  if (group === '') throw new UsageError('--group takes a name, not an empty one')
  const outTopic = values['out-topic']
  if (outTopic === '') throw new UsageError('--out-topic takes a name, not an empty one')
  if (outTopic === topic) throw new UsageError('--out-topic is the topic that is read; name another one')
  const consumers = readInteger('--consumers', values.consumers, 1)
  if (consumers !== undefined && group === undefined)
    throw new UsageError('--consumers is about the members of a group; name it with --group')
  const untilIdleSeconds = readInteger('--until-idle', values['until-idle'], 1, LONGEST_WINDOW_SECONDS)
  return {
    kind: 'kafka',
    brokers: readBrokers(brokers),
    topic,
    group,
    consumers,
    untilIdleMs: untilIdleSeconds === undefined ? undefined : untilIdleSeconds * 1_000,
    outTopic,
  }
}

/** As they were given. */
export function readBrokers(text: string): string[] {
  const brokers = text.split(',')
  for (const broker of brokers) readAddress('--kafka', broker)
  return brokers
}

function readAddress(option: string, text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port < 1 || port > 65_535) {
    throw new UsageError(`${option} takes HOST:PORT, e.g. localhost:9999, not '${text}'`)
  }
  return { host, port }
}

export function readInteger(
  option: string,
  text: string | undefined,
  least: number,
  most?: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(Number.isSafeInteger(value) && value >= least && value <= (most ?? Infinity))) {
    const range = most === undefined ? `from ${String(least)}` : `from ${String(least)} to ${String(most)}`
    throw new UsageError(`${option} takes a whole number ${range}, not '${text}'`)
  }
  return value
}

/** Whole batches only: a window that ends within one would cut it in two. */
function readWindowMs(text: string | undefined, batchMs: number): number {
  const seconds = readInteger('--window', text, 1, LONGEST_WINDOW_SECONDS) ?? DEFAULT_WINDOW_SECONDS
  return Math.ceil((seconds * 1_000) / batchMs) * batchMs
}

export function readSpeed(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (!(Number.isFinite(value) && value > 0)) {
    throw new UsageError(`--speed takes lines a second above 0, or max, not '${text}'`)
  }
  return value
}

/** A log belongs to its results: in a new folder there would be none to go on with. */
function readCheckpoint(values: Values): string | undefined {
  if (values.out === undefined) {
    const alone = (['checkpoint', 'take-over'] as const).find((name) => values[name] !== undefined)
    if (alone !== undefined) throw new UsageError(`--${alone} is about a run that has a folder; name it with --out`)
  }
  return readPath('--checkpoint', values.checkpoint)
}

/** What it holds is not repeated: there may be a password in it. */
function readRedis(text: string | undefined): string | undefined {
  if (text === undefined || (/^rediss?:\/\/[^/]/.test(text) && URL.canParse(text))) return text
  throw new UsageError('--redis takes redis://HOST:PORT, or rediss:// for TLS')
}

function readMongo(text: string | undefined): string | undefined {
  if (text === undefined || /^mongodb(\+srv)?:\/\/[^/]/.test(text)) return text
  throw new UsageError('--mongo takes mongodb://HOST:PORT')
}

function readHdfs(text: string | undefined): string | undefined {
  if (text === undefined || (/^https?:\/\/[^/@?#]+\/[^?#]+$/.test(text) && URL.canParse(text))) return text
  throw new UsageError('--hdfs takes http://NAMENODE:9870/FOLDER, the address of its web server')
}

function readS3(text: string | undefined): string | undefined {
  if (text === undefined || /^s3:\/\/[^/@]+\/[^/]/.test(text)) return text
  throw new UsageError('--s3 takes s3://BUCKET/FOLDER')
}

function readPath(option: string, text: string | undefined, kind = 'folder'): string | undefined {
  if (text === '') throw new UsageError(`${option} takes a ${kind}, not an empty name`)
  return text
}

/** The password in it is not for messages. */
function readSql(text: string | undefined): string | undefined {
  const isRight =
    text === undefined || (URL.canParse(text) && /^(postgres(ql)?|mysql|mariadb):$/.test(new URL(text).protocol))
  if (!isRight) throw new UsageError('--sql takes postgres: or mysql://user:password@host:port/database')
  return text
}
