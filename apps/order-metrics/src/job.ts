/** One run of the job: its source, its stream, its view and its results, and the order in which they begin and end. */
import { consoleLogger, milliseconds, StreamingContext, textFileSink, type BatchTime, type DStream } from '@sluice/core'
import { kafkaDirectStream, kafkaReceiverStream, string } from '@sluice/source-kafka'
import { socketTextStream } from '@sluice/source-socket'
import { openBlacklist, type Blacklist } from './blacklist.js'
import type { KafkaLines, LineSource, Options } from './cli.js'
import { countInMongo } from './metrics-mongo.js'
import { orderMetrics, type OrderMetrics } from './metrics.js'
import { countInRedis } from './metrics-redis.js'
import { storeMetrics, storeMetricsInServer } from './metrics-store.js'
import { sendMetrics } from './metrics-topic.js'
import { isHeader } from './orders.js'
import { csvFiles } from './data-files.js'
import { startReplay, type Replay } from './replay.js'
import { openResults, RunError, type Results } from './results.js'
import { blacklistedRow, isInFiles, metricsRow, rejectedRow, suspiciousRow } from './rows.js'
import { suspicionsOf } from './suspicious.js'
import { totalsOf, type Standings } from './totals.js'
import { renderTotals, viewFor, type Output } from './view.js'

/** Who sends orders may be away for a moment. */
const RECONNECT = { maxDelay: milliseconds(5_000) }

/** Lines of a batch at most: what has piled up in a topic comes bit by bit. */
const MOST_LINES = 20_000

/** The least that brokers take by default: so long the next run waits for the partitions of one that was killed. */
const SESSION_MS = 6_000

export interface Terminal {
  readonly stdout: Output
  readonly stderr: Output
}

/** Runs the job to the end of its lines, or to Ctrl-C. Rejects when it failed; then there is no `totals.json`. */
export async function runJob(options: Options, terminal: Terminal): Promise<void> {
  const { blacklistFile } = options
  const blacklist = blacklistFile === undefined ? undefined : await openBlacklist(blacklistFile)
  const source = await openSource(options.source)
  let results: Results | undefined
  try {
    results = await openResults(options, new Date())
    const { standings, isAtEnd } = await streamTo(results, { ...source, blacklist }, options, terminal)
    const totals = totalsOf(standings)
    const path = await results.writeTotals(totals, isAtEnd)
    terminal.stdout.write(`\n${renderTotals(totals).join('\n')}\n${path}\n`)
  } finally {
    await source.replay?.close()
  }
}

/** Where the lines come from, and the replay behind it if there is one. */
interface OpenSource {
  readonly lines: SocketLines | KafkaLines
  readonly replay: Replay | undefined
}

interface SocketLines {
  readonly kind: 'socket'
  readonly host: string
  readonly port: number
  /** Whether lines are numbered, and sent again from where they were safe. */
  readonly sequenced: boolean
}

async function openSource(source: LineSource): Promise<OpenSource> {
  if (source.kind === 'kafka') return { lines: source, replay: undefined }
  if (source.kind === 'connect') return { lines: { ...source, kind: 'socket' }, replay: undefined }
  const { directory, speed, loop } = source
  const replay = await startReplay({ files: await csvFiles(directory), speed, loop })
  return { lines: { kind: 'socket', host: replay.host, port: replay.port, sequenced: true }, replay }
}

interface Inputs extends OpenSource {
  readonly blacklist: Blacklist | undefined
}

/** How a stream ended. */
interface Ended {
  /** How all subjects stand. */
  readonly standings: Standings
  /** False when it was stopped before its source had ended. */
  readonly isAtEnd: boolean
}

/** Runs the stream until its source has ended, or somebody stops it, and every batch is done. */
async function streamTo(
  results: Results,
  inputs: Inputs,
  options: Options,
  { stdout, stderr }: Terminal,
): Promise<Ended> {
  const { batchMs, windowMs, limits, partitions, takeOver } = options
  const view = viewFor(stdout, stderr, batchMs)
  const logger = consoleLogger('warn', (line) => {
    view.log(line.trimEnd())
  })
  const ssc = new StreamingContext({
    appName: 'order-metrics',
    batchInterval: milliseconds(batchMs),
    parallelism: partitions,
    checkpoint: results.checkpoint,
    takeOver,
    logger,
  })
  const { blacklist } = inputs
  const metrics = orderMetrics(orderLines(ssc, inputs), {
    window: milliseconds(windowMs),
    limits,
    blacklist: blacklist && (() => blacklist.customers((message) => logger.warn(message))),
  })
  writeResults(metrics, results, blacklist !== undefined)
  await writeElsewhere(metrics, results, options)
  if (inputs.lines.kind === 'kafka') sendMetrics(metrics.standings, inputs.lines)
  let standings: Standings = []
  metrics.standings.foreachRDD(async (rdd, batchTime) => {
    standings = await rdd.collect()
    const suspicious = standings.flatMap((standing) => suspicionsOf(standing, limits))
    view.show({ batchTime, windowMs, standings, suspicious })
  })
  const endOf = watch(ssc, inputs, stdout)
  await ssc.start()
  await ssc.awaitTermination()
  return { standings, isAtEnd: endOf() }
}

function orderLines(ssc: StreamingContext, { lines: source, replay }: OpenSource): DStream<string> {
  const lines = source.kind === 'kafka' ? kafkaLines(ssc, source) : socketLines(ssc, source)
  // The replay has left out the headers of its files. In a stream from elsewhere nobody sees where a file begins.
  return replay === undefined ? lines.filter((line) => !isHeader(line)) : lines
}

function socketLines(ssc: StreamingContext, { host, port, sequenced }: SocketLines): DStream<string> {
  // A line of over a megabyte is no order line. Its first megabyte is judged as one, and the lines around it are kept.
  const policy = { onEnd: 'stop', onLongLine: 'truncate', reliable: true, reconnect: RECONNECT } as const
  return socketTextStream(ssc, { host, port, sequenced, ...policy })
}

function kafkaLines(ssc: StreamingContext, { brokers, topic, group, consumers }: KafkaLines): DStream<string> {
  if (group !== undefined && consumers !== undefined) {
    return kafkaReceiverStream(ssc, {
      brokers,
      topics: { [topic]: consumers },
      group,
      otherwise: 'earliest',
      reliable: true,
      sessionTimeoutMs: SESSION_MS,
      value: string,
      handler: ({ value }) => value ?? '',
    })
  }
  return kafkaDirectStream(ssc, {
    brokers,
    topics: topic,
    group,
    from: 'earliest',
    maxRecordsPerBatch: MOST_LINES,
    value: string,
    handler: ({ value }) => value ?? '',
  })
}

function writeResults(metrics: OrderMetrics, results: Results, hasBlacklist: boolean): void {
  const { standings, suspicious, blacklisted, rejected } = metrics
  const { prefixes } = results
  standings
    .filter(isInFiles)
    .map(metricsRow)
    .to(textFileSink({ prefix: prefixes.metrics }), { name: 'metrics' })
  suspicious
    .transform((rdd, batchTime) => rdd.map((customer) => suspiciousRow(customer, batchTime)))
    .to(textFileSink({ prefix: prefixes.suspicious }), { name: 'suspicious' })
  if (hasBlacklist) {
    blacklisted
      .transform((rdd, batchTime) => rdd.map((order) => blacklistedRow(order, batchTime)))
      .to(textFileSink({ prefix: prefixes.blacklisted }), { name: 'blacklisted' })
  }
  rejected
    .transform((rdd, batchTime) => rdd.map((line) => rejectedRow(line, batchTime)))
    .to(textFileSink({ prefix: prefixes.rejected }), { name: 'rejected' })
}

async function writeElsewhere(
  { standings }: OrderMetrics,
  { directory }: Results,
  { database, sql, redis, mongo, hdfs, s3 }: Options,
): Promise<void> {
  if (database) storeMetrics(standings, directory)
  if (sql !== undefined) storeMetricsInServer(standings, sql)
  if (redis !== undefined) countInRedis(standings, redis, directory)
  if (mongo !== undefined) countInMongo(standings, mongo, directory)
  if (hdfs === undefined && s3 === undefined) return
  // The SDK of S3 is large; other runs should not wait for it.
  const { hdfsPlace, s3Place, writeFiles } = await import('./metrics-files.js')
  if (hdfs !== undefined) writeFiles(standings, hdfsPlace(hdfs), directory)
  if (s3 !== undefined) writeFiles(standings, s3Place(s3), directory)
}

/**
 * Stops the job when its source has ended. The function returned tells whether that is why it stopped, and throws when the run must
 * not count.
 */
function watch(ssc: StreamingContext, { lines, replay }: OpenSource, stdout: Output): () => boolean {
  const idleMs = lines.kind === 'kafka' ? lines.untilIdleMs : undefined
  // Consumers wait until their group has missed those of a run that was killed: then nothing can come.
  let isReceiving = !(lines.kind === 'kafka' && lines.consumers !== undefined)
  let lastRecordsAt = performance.now()
  const unfinished = new Set<BatchTime>()
  let failure: RunError | undefined
  let isAtEnd = false
  const stop = (): void => {
    ssc.stop().catch(() => undefined) // awaitTermination rejects with the same error
  }
  const fail = (message: string, cause: unknown): void => {
    failure ??= new RunError(message, { cause })
    stop()
  }
  ssc.addListener({
    onReceiverStarted: () => {
      isReceiving = true
      lastRecordsAt = performance.now()
    },
    onReceiverStopped: () => {
      // One that a stop has ended may not have been at its end.
      isAtEnd ||= ssc.state === 'active'
      stop()
    },
    onReceiverError: ({ active, lastError, lastErrorMessage = '' }) => {
      // A replay plays once: what was under way when its connection broke does not come again.
      const isBroken = replay !== undefined && !active && lastError !== undefined
      if (isBroken) fail(`the replay was cut off: ${lastErrorMessage}`, lastError)
    },
    onBatchSubmitted: ({ batchTime }) => unfinished.add(batchTime),
    onBatchCompleted: ({ batchTime, records }) => {
      unfinished.delete(batchTime)
      if (records > 0) lastRecordsAt = performance.now()
      else if (idleMs !== undefined && isReceiving && performance.now() - lastRecordsAt >= idleMs) {
        isAtEnd ||= ssc.state === 'active'
        stop()
      }
    },
  })
  replay?.finished.catch((error: unknown) => {
    fail(`cannot go on with the replay: ${(error as Error).message}`, error)
  })
  stdout.on?.('error', stop) // nobody looks any more, as after `| head`: as good as Ctrl-C
  return () => {
    if (failure !== undefined) throw failure
    if (unfinished.size > 0) throw new RunError('stopped before all batches were done; there are no totals')
    return isAtEnd
  }
}
