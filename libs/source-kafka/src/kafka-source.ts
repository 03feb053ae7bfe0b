/** The Kafka source: plans ranges of offsets at ticks, reads them when batches run. */
import { isSluiceError, SluiceError, type InputContext, type InputPlan, type InputSource } from '@sluice/core'
import type { CallOptions, KafkaClient, TopicMetadata, TopicPartitionOffset } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import type { Decoding } from './decode/chunk-decoder.js'
import { kafkaGroupOffsets } from './group-offset-store.js'
import type { KafkaSettings, KafkaSourceOptions } from './kafka-source.config.js'
import { kafkaSettings } from './kafka-source.config.js'
import { OffsetKeeper } from './offset-keeper.js'
import type { KafkaPlan } from './offset-ranges.js'
import { startOffsets, type NextOffsets } from './offsets.js'
import { planRanges, positionsIn, type OffsetRange } from './plan.js'
import { RangeReader } from './range-reader.js'
import type { Undecodable } from './record.js'
import { noAnswer, topicGone, TopicWatch } from './watch.js'

export interface KafkaSourceParts<T> {
  readonly options: KafkaSourceOptions
  /** Called at the start. */
  readonly openClient: () => KafkaClient
  readonly closesClient: boolean
  readonly decoding: Decoding<T>
  readonly batchIntervalMs: number
}

interface Head {
  readonly next: NextOffsets
}

/** A plan waits so long for brokers that are slow to tell the ends; what they tell later counts for the next one. */
const PLAN_WAIT_MS = 500
/** Ends that were told longer ago than this, or than this many intervals, are not planned by. */
const STALE_MS = 5_000
const STALE_INTERVALS = 3
const DESCRIBED_RANGES = 100
const BEGIN_PAUSE_MS = 1_000

/** What it is made of between start and stop. */
interface Running<T> {
  readonly client: KafkaClient
  readonly watch: TopicWatch
  readonly reader: RangeReader<T>
  readonly keeper: OffsetKeeper | undefined
  readonly context: InputContext
}

export class KafkaSource<T> implements InputSource<T | Undecodable, KafkaPlan> {
  readonly '~sluice' = 'input/1'
  readonly name: string
  readonly replayable = true
  readonly #parts: KafkaSourceParts<T>
  readonly #settings: KafkaSettings
  /** Ends what is asked of brokers. */
  readonly #ended = new AbortController()
  #client: KafkaClient | undefined
  #running: Running<T> | undefined
  #store: ReturnType<typeof kafkaGroupOffsets> | undefined
  #rate = Infinity
  /** The part of a record that the rate allows beyond whole ones. */
  #carry = 0
  #turn = 0
  /** Why it has not begun yet. */
  #problem: unknown

  constructor(parts: KafkaSourceParts<T>) {
    this.#parts = parts
    this.#settings = kafkaSettings(parts.options)
    this.name = parts.options.name ?? `kafka ${describeSelection(this.#settings)}`
  }

  async start(context: InputContext): Promise<void> {
    const client = this.#parts.openClient()
    this.#client = client
    if (context.signal.aborted) this.#end(context.signal.reason)
    context.signal.addEventListener(
      'abort',
      () => {
        this.#end(context.signal.reason)
      },
      { once: true },
    )
    const timer = new AbortController()
    const { deadlineMs } = this.#settings
    const late = context.clock.sleep(deadlineMs, timer.signal).then(
      () => {
        throw noAnswer(deadlineMs, this.#problem)
      },
      () => undefined,
    )
    try {
      await Promise.race([this.#open(client, context), late])
    } finally {
      timer.abort()
    }
  }

  async #open(client: KafkaClient, context: InputContext): Promise<void> {
    const { signal } = this.#ended
    const { clock, logger } = context
    await client.connect({ signal })
    const watch = new TopicWatch({ ...this.#settings, client, clock, logger, signal })
    const store = await this.#openStore(client, await watch.topics(), context)
    const reader = new RangeReader({ ...this.#settings, client, decoding: this.#parts.decoding, clock, logger })
    const keeper = store && new OffsetKeeper(store, context.id, logger)
    const begin = await this.#beginInTime(client, watch, context)
    // Should it die before its first batch is done, the next run begins here, too.
    if (context.resumed === undefined) keeper?.done(begin.map((each) => ({ ...each, until: each.offset })))
    this.#running = { client, watch, reader, keeper, context }
  }

  /** A partition that has no leader may soon have one: it is waited for as long as the start may take. */
  async #beginInTime(client: KafkaClient, watch: TopicWatch, context: InputContext): Promise<TopicPartitionOffset[]> {
    const { clock, logger } = context
    for (;;) {
      try {
        const topics = await watch.topics()
        const begin = await this.#begin(client, topics, context)
        await watch.begin(topics, begin)
        return begin
      } catch (error) {
        const { signal } = this.#ended
        if (signal.aborted || !isSluiceError(error) || !error.retryable) throw error
        logger.warn(`[${COMPONENT}] ${error.message}; the start waits for it`)
        this.#problem = error
        await clock.sleep(BEGIN_PAUSE_MS, signal)
      }
    }
  }

  async #openStore(client: KafkaClient, topics: readonly TopicMetadata[], context: InputContext) {
    const { group, offsets } = this.#parts.options
    const names = topics.map(({ topic }) => topic)
    this.#store = group === undefined ? offsets : kafkaGroupOffsets({ client, group, topics: names })
    const { appName, logger, clock } = context
    await this.#store?.open?.({ appName, logger, clock, signal: this.#ended.signal })
    return this.#store
  }

  async #begin(
    client: KafkaClient,
    topics: readonly TopicMetadata[],
    context: InputContext,
  ): Promise<TopicPartitionOffset[]> {
    const { resumed, id } = context
    const head = resumed?.head as Head | undefined
    // Also where reading begins elsewhere: a store may tell by it who was here since.
    const stored = (await this.#store?.load(id)) ?? {}
    // Partitions that the head does not know are new.
    if (head !== undefined) return this.#resume(head, topics, context)
    const { from, otherwise } = this.#settings
    const latest = resumed === undefined ? 'latest' : { timestampMs: resumed.zeroTime }
    const options: CallOptions = { signal: this.#ended.signal }
    return startOffsets({ client, topics, from, otherwise, stored, latest, options })
  }

  #resume(head: Head, topics: readonly TopicMetadata[], { logger }: InputContext): TopicPartitionOffset[] {
    const { selection, onDeletedTopic } = this.#settings
    for (const topic of Object.keys(head.next)) {
      if (selection.kind !== 'pattern' || !selection.pattern.test(topic)) continue
      if (topics.some((each) => each.topic === topic)) continue
      if (onDeletedTopic === 'fail') throw topicGone(topic)
      logger.warn(`[${COMPONENT}] topic ${topic} is gone, and is not read any more`)
    }
    return resumedOffsets(head, topics)
  }

  setRate(recordsPerSecond: number): void {
    this.#rate = recordsPerSecond
  }

  async plan(): Promise<InputPlan<KafkaPlan>> {
    const { watch, reader } = this.#require()
    await this.#look()
    watch.check()
    const ranges = planRanges(this.#plannable(), this.#caps(), this.#turn++)
    for (const { topic, partition, until } of ranges) watch.advance(topic, partition, until)
    reader.readAhead(ranges)
    return {
      data: { kind: 'kafka/1', ranges },
      records: positionsIn(ranges),
      description: describe(ranges),
      head: headOf(ranges),
    }
  }

  /** Waits for the brokers' answer, but not for those that have let an earlier plan wait in vain. */
  async #look(): Promise<void> {
    const { watch, context } = this.#require()
    const { clock } = context
    if (watch.isPolling) return
    const timer = new AbortController()
    const late = clock.sleep(PLAN_WAIT_MS, timer.signal).catch(() => undefined)
    await Promise.race([watch.poll(), late])
    timer.abort()
  }

  /** While it is not known how far partitions go, nothing new of them is planned. */
  #plannable(): readonly { topic: string; partition: number; next: bigint; end: bigint }[] {
    const { watch } = this.#require()
    const isKnown = watch.isKnown(Math.max(STALE_MS, STALE_INTERVALS * this.#parts.batchIntervalMs))
    return isKnown ? watch.partitions : watch.partitions.map((each) => ({ ...each, end: each.next }))
  }

  #caps() {
    const { maxRatePerPartition, minRatePerPartition, maxRecordsPerBatch } = this.#settings
    const seconds = this.#parts.batchIntervalMs / 1_000
    return {
      budget: this.#budget(seconds),
      maxRecords: Math.floor(maxRecordsPerBatch),
      maxPerPartition: Math.max(1, Math.floor(maxRatePerPartition * seconds)),
      minPerPartition: minRatePerPartition === 0 ? 0 : Math.max(1, Math.floor(minRatePerPartition * seconds)),
    }
  }

  /** Low rates and short intervals come to less than a record a batch: what is left over counts for the next one. */
  #budget(seconds: number): number {
    if (this.#rate === Infinity) return Infinity
    const exact = this.#rate * seconds + this.#carry
    this.#carry = exact % 1
    return Math.floor(exact)
  }

  partitions({ ranges }: KafkaPlan): readonly OffsetRange[] {
    return ranges
  }

  read(range: OffsetRange, signal: AbortSignal | undefined): AsyncIterable<readonly (T | Undecodable)[]> {
    return this.#require().reader.read(range, signal)
  }

  count(range: OffsetRange, signal: AbortSignal | undefined): Promise<number> {
    return this.#require().reader.count(range, signal)
  }

  async commit({ ranges }: KafkaPlan): Promise<void> {
    const { reader, keeper } = this.#require()
    keeper?.done(ranges)
    await reader.release(ranges)
  }

  async stop(): Promise<void> {
    await this.#running?.keeper?.flush()
    this.#end(new SluiceError({ code: 'STOPPED', component: COMPONENT, message: 'the context has been stopped' }))
    await this.#running?.reader.close(this.#ended.signal.reason)
    await this.#store?.close?.()
    if (this.#parts.closesClient) await this.#client?.close()
  }

  #end(reason: unknown): void {
    this.#ended.abort(reason)
  }

  #require(): Running<T> {
    if (this.#running !== undefined) return this.#running
    throw new SluiceError({
      code: 'STOPPED',
      component: COMPONENT,
      message: 'the source has not been started; start the context',
    })
  }
}

function resumedOffsets({ next }: Head, topics: readonly TopicMetadata[]): TopicPartitionOffset[] {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.flatMap(({ partition }) => {
      const offset = next[topic]?.[String(partition)]
      return offset === undefined ? [] : [{ topic, partition, offset }]
    }),
  )
}

function headOf(ranges: readonly OffsetRange[]): Head {
  const next: Record<string, Record<string, bigint>> = {}
  for (const { topic, partition, until } of ranges) (next[topic] ??= {})[String(partition)] = until
  return { next }
}

/** As Spark's: the fullest first. */
function describe(ranges: readonly OffsetRange[]): string {
  const lines = ranges
    .filter(({ from, until }) => until > from)
    .sort((a, b) => Number(b.until - b.from - (a.until - a.from)))
    .map(
      ({ topic, partition, from, until }) =>
        `topic: ${topic}\tpartition: ${String(partition)}\toffsets: ${String(from)} to ${String(until)}\tcount: ${String(until - from)}`,
    )
  const more = lines.length - DESCRIBED_RANGES
  return [...lines.slice(0, DESCRIBED_RANGES), ...(more > 0 ? [`and ${String(more)} more`] : [])].join('\n')
}

function describeSelection({ selection }: KafkaSettings): string {
  if (selection.kind === 'pattern') return String(selection.pattern)
  const names = selection.kind === 'topics' ? selection.topics : selection.partitions.map(({ topic }) => topic)
  return [...new Set(names)].join(', ')
}
