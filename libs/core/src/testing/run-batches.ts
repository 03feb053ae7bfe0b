/** Runs a graph of streams on scripted inputs, batch by batch, in no time: how a pipeline is tested. */
import { StreamingContext, type StreamingContextOptions } from '../context/streaming-context.js'
import type { DStream } from '../dstream/dstream.js'
import { requireArgument } from '../errors.js'
import { absent } from '../input/queue-source.js'
import type { Rec } from '../rdd/types.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { seconds, type BatchTime, type Duration } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { systemClock } from '../time/system-clock.js'

/** What an input gives to each batch: records, `[]` for none, or {@link absent} for a batch without RDD. */
export type Script<T> = readonly (readonly T[] | typeof absent)[]

/** What a stream had in each batch; `absent` where it had no RDD. */
export type Batches<T> = (T[] | typeof absent)[]

/** What a graph may return: the streams to be collected, if any. */
export type CollectedStreams =
  | DStream<unknown>
  | readonly [DStream<unknown>, ...DStream<unknown>[]]
  | { readonly [name: string]: DStream<unknown> }
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- a graph that only writes to outputs returns nothing
  | void

/** The records of each batch, in the shape in which the graph returned its streams. */
export type Collected<G> =
  G extends DStream<infer T>
    ? Batches<T>
    : G extends object
      ? { -readonly [K in keyof G]: G[K] extends DStream<infer T> ? Batches<T> : never }
      : undefined

export interface RunBatchesOptions extends Omit<StreamingContextOptions, 'batchInterval' | 'clock' | 'signals'> {
  /** Default: 1 s. */
  readonly batchInterval?: Duration | undefined
  /** How many batches. Default: as many as the longest input has; an input that is used up gives empty ones. */
  readonly batches?: number | undefined
  /** Partitions of each input's batches. Default: 1. */
  readonly inputPartitions?: number | undefined
  /** Wall-clock time of the start in ms; the first batch has the next multiple of the interval. Default: 0. */
  readonly startMs?: number | undefined
}

/** Real time without progress after which simulated time moves on, for what waits inside a batch. */
const STUCK_MS = 100

/**
 * Runs `graph` on one scripted input and resolves with what the streams that it returns had in each batch.
 *
 * ```ts
 * const out = await runBatches([[1, 2], absent, [], [3]], (numbers) => numbers.map((n) => n * 2))
 * // [[2, 4], absent, [], [6]]
 * ```
 *
 * Several inputs have names, and so may several outputs:
 *
 * ```ts
 * const { even, all } = await runBatches({ left: [[1]], right: [[2]] }, ({ left, right }) => ({
 *   even: right.filter((n) => n % 2 === 0),
 *   all: left.map((n) => n),
 * }))
 * ```
 *
 * Outputs that the graph itself declares (`foreachRDD`, `print`, `to`) run as always. Time is simulated: an hour of batches
 * takes less than a second, the n-th batch has the time `startMs + n × batchInterval` (aligned), and a back-off inside a
 * batch passes by itself. Files are in memory and logs are silent unless the options say otherwise. Rejects with the error
 * that a batch or the start failed with, and with what `graph` throws.
 */
export function runBatches<T extends Rec, G extends CollectedStreams>(
  input: Script<T>,
  graph: (stream: DStream<T>, ssc: StreamingContext) => G,
  options?: RunBatchesOptions,
): Promise<Collected<G>>
export function runBatches<I extends Readonly<Record<string, Rec>>, G extends CollectedStreams>(
  inputs: { readonly [K in keyof I]: Script<I[K]> },
  graph: (streams: { readonly [K in keyof I]: DStream<I[K]> }, ssc: StreamingContext) => G,
  options?: RunBatchesOptions,
): Promise<Collected<G>>
export async function runBatches(
  inputs: Script<unknown> | Readonly<Record<string, Script<unknown>>>,
  graph: (streams: never, ssc: StreamingContext) => CollectedStreams,
  options: RunBatchesOptions = {},
): Promise<unknown> {
  const clock = new ManualClock(options.startMs)
  const batchInterval = options.batchInterval ?? seconds(1)
  const ssc = new StreamingContext({
    localFileSystem: memoryFileSystem({ clock }),
    log: 'silent',
    stdout: () => undefined,
    ...options,
    batchInterval,
    clock,
    signals: false,
  })
  try {
    const scripts: readonly Script<unknown>[] = isScript(inputs) ? [inputs] : Object.values(inputs)
    const { inputPartitions: partitions } = options
    const streamOf = (script: Script<unknown>, name?: string): DStream<unknown> =>
      ssc.queueStream(script, { name, partitions })
    const streams = isScript(inputs)
      ? streamOf(inputs)
      : Object.fromEntries(Object.entries(inputs).map(([name, script]) => [name, streamOf(script, name)]))
    const collector = new Collector(graph(streams as never, ssc))
    const times = await run(ssc, clock, batchInterval, batchesOf(scripts, options))
    return collector.result(times)
  } finally {
    await ssc.stop({ graceful: false })
  }
}

function isScript(inputs: Script<unknown> | Readonly<Record<string, Script<unknown>>>): inputs is Script<unknown> {
  return Array.isArray(inputs)
}

function batchesOf(scripts: readonly Script<unknown>[], options: RunBatchesOptions): number {
  const batches = options.batches ?? Math.max(0, ...scripts.map((script) => script.length))
  requireArgument(
    Number.isSafeInteger(batches) && batches >= 0,
    'runBatches',
    `batches must be a whole number of at least 0, not ${String(batches)}`,
  )
  return batches
}

/** Runs this many batches; gives their times. */
async function run(
  ssc: StreamingContext,
  clock: ManualClock,
  interval: Duration,
  batches: number,
): Promise<readonly BatchTime[]> {
  const times: BatchTime[] = []
  let wake: () => void = () => undefined
  let ended = false
  ssc.addListener({
    onBatchCompleted({ batchTime }) {
      times.push(batchTime)
      // At once: ticks that came while a batch waited for the clock must not run as further batches.
      if (times.length === batches) void ssc.stop({ graceful: false })
      wake()
    },
  })
  const termination = ssc.awaitTermination().finally(() => {
    ended = true
    wake()
  })
  termination.catch(() => undefined)
  await ssc.start()
  const untilWoken = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
    })
  // Not clock.advance for all at once: the next tick comes when the batch is done, as with a fast job.
  for (let batch = 1; batch <= batches; batch++) {
    await clock.advance(batch === 1 ? firstWait(clock, interval) : interval)
    while (times.length < batch && !ended) await progress(clock, untilWoken())
    // A program may stop its context itself: what it did until then counts.
    if (ended) break
  }
  await ssc.stop({ graceful: false })
  await termination
  return times
}

function firstWait(clock: ManualClock, interval: Duration): number {
  return interval - (clock.now() % interval)
}

/** Waits for the batch; lets time pass when nothing else happens. */
async function progress(clock: ManualClock, woken: Promise<void>): Promise<void> {
  const timer = new AbortController()
  const stuck = systemClock.sleep(STUCK_MS, timer.signal).then(
    () => true,
    () => false,
  )
  const isStuck = await Promise.race([woken.then(() => false), stuck])
  timer.abort()
  if (isStuck && clock.nextDueMs !== undefined) await clock.advance(clock.nextDueMs)
}

/** The records of each stream, by its place in what the graph returned. */
export type CollectedRecords = Map<number, Map<BatchTime, unknown[]>>

/** Collects the streams that a graph returned. */
export class Collector {
  readonly #streams: CollectedStreams
  readonly #records: CollectedRecords

  /** Adds to `records`: an output that was done before a crash is not run again by the next life of an application. */
  constructor(streams: CollectedStreams, records: CollectedRecords = new Map()) {
    this.#streams = streams
    this.#records = records
    for (const [place, stream] of this.#all().entries()) this.#collect(stream, place)
  }

  #all(): readonly DStream<unknown>[] {
    if (this.#streams === undefined) return []
    return isStream(this.#streams) ? [this.#streams] : Object.values(this.#streams)
  }

  #collect(stream: DStream<unknown>, place: number): void {
    const byTime = this.#records.get(place) ?? new Map<BatchTime, unknown[]>()
    this.#records.set(place, byTime)
    stream.foreachRDD(
      async (rdd, time) => {
        byTime.set(time, await rdd.collect())
      },
      { name: `collected-${String(place + 1)}` },
    )
  }

  /** In the shape in which the graph returned its streams. */
  result(times: readonly BatchTime[]): unknown {
    const all = this.#all().map((_, place) => times.map((time) => this.#records.get(place)?.get(time) ?? absent))
    if (this.#streams === undefined) return undefined
    if (isStream(this.#streams)) return all[0]
    if (Array.isArray(this.#streams)) return all
    return Object.fromEntries(Object.keys(this.#streams).map((name, place) => [name, all[place]]))
  }
}

function isStream(streams: Exclude<CollectedStreams, undefined>): streams is DStream<unknown> {
  return '~sluice' in (streams as object)
}
