/** Watches the topics of a stream: their partitions, and where these begin and end. */
import { isSluiceError, SluiceError, type Clock, type Logger } from '@sluice/core'
import { isUnknownTopic } from '@sluice/kafka-wire'
import type { Isolation, KafkaClient, TopicMetadata, TopicPartitionOffset } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import { messageOf } from './decode/message.js'
import { partitionName } from './offsets.js'
import type { PartitionLag } from './plan.js'

/** Which partitions a stream reads. */
export type Selection =
  | { readonly kind: 'topics'; readonly topics: readonly string[] }
  | { readonly kind: 'pattern'; readonly pattern: RegExp }
  | {
      readonly kind: 'partitions'
      readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
    }

export interface WatchParts {
  readonly client: KafkaClient
  readonly selection: Selection
  readonly isolation: Isolation
  readonly refreshMs: number
  /** How long a partition may seem to end before what is planned, e.g. while leaders change. */
  readonly deadlineMs: number
  readonly onDataLoss: 'fail' | 'reset'
  readonly onDeletedTopic: 'fail' | 'leave'
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** A partition that is read. */
interface Watched extends PartitionLag {
  next: bigint
  end: bigint
  /** Since when it seems to end before `next`, on the monotonic clock. */
  shrunkSince: number | undefined
}

/** A topic must be missing so many times in a row to count as deleted: brokers that have just started may not know all. */
const MISSING_TIMES = 3
const MISSING_PAUSE_MS = 1_000

export class TopicWatch {
  readonly #parts: WatchParts
  readonly #partitions = new Map<string, Watched>()
  #sorted: readonly Watched[] = []
  readonly #missing = new Map<string, number>()
  /** Partitions that have no leader, by name: nobody could say where they end. */
  readonly #leaderless = new Set<string>()
  #refreshAt = -Infinity
  #polling: Promise<void> | undefined
  #polledAt = -Infinity
  #isAway = false
  #failure: unknown
  /** Of the poll that is under way. */
  #signal: AbortSignal

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#signal = parts.signal
  }

  /** What there is to read; rejects when a topic is missing that was named. */
  async topics(): Promise<readonly TopicMetadata[]> {
    const { client, selection } = this.#parts
    if (selection.kind === 'pattern') {
      const all = await client.metadata(selection.pattern, { signal: this.#signal })
      // Kafka's own, such as __consumer_offsets, are nobody's data.
      return all.filter(({ topic }) => !topic.startsWith('__'))
    }
    const all = await client.metadata(namesOf(selection), { signal: this.#signal })
    return all.map((topic) => selected(topic, selection))
  }

  /** Begins with these offsets; those of other partitions begin at their beginning when they appear. */
  async begin(topics: readonly TopicMetadata[], next: readonly TopicPartitionOffset[]): Promise<void> {
    for (const { topic, partition, offset } of next) this.#add(topic, partition, offset)
    await this.#take(topics)
    this.#refreshAt = this.#parts.clock.monotonic() + this.#parts.refreshMs
    if (this.#failure !== undefined) throw this.#failure
  }

  /** The partitions in the order of topics and numbers. Nothing is to be planned where the ends are not known. */
  get partitions(): readonly PartitionLag[] {
    return this.#sorted
  }

  /** Ends that are older than this are not known: brokers are away, or slow. */
  isKnown(maxAgeMs: number): boolean {
    return !this.#isAway && this.#parts.clock.monotonic() - this.#polledAt <= maxAgeMs
  }

  /** Throws what cannot pass by itself. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** These offsets are planned. */
  advance(topic: string, partition: number, until: bigint): void {
    const watched = this.#partitions.get(partitionName(topic, partition))
    if (watched !== undefined) watched.next = until
  }

  /** Asks the brokers, unless they have not answered the last time yet. Never rejects. */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined
    })
    return this.#polling
  }

  get isPolling(): boolean {
    return this.#polling !== undefined
  }

  /** What does not answer at all is given up and asked anew: nothing may stand still for ever, and in silence. */
  async #poll(): Promise<void> {
    const { clock, deadlineMs, signal } = this.#parts
    const poll = new AbortController()
    const abort = (): void => {
      poll.abort(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    this.#signal = poll.signal
    const timer = new AbortController()
    const late = clock.sleep(deadlineMs, timer.signal).then(
      () => {
        poll.abort(noAnswer(deadlineMs))
        throw noAnswer(deadlineMs)
      },
      () => undefined,
    )
    try {
      await Promise.race([this.#ask(), late])
      this.#answered()
    } catch (error) {
      if (!signal.aborted) this.#failed(error)
    } finally {
      timer.abort()
      signal.removeEventListener('abort', abort)
    }
  }

  async #ask(): Promise<void> {
    const { clock, refreshMs } = this.#parts
    if (clock.monotonic() >= this.#refreshAt) {
      this.#refreshAt = clock.monotonic() + refreshMs
      await this.#refresh()
    }
    await this.#askEnds()
  }

  #answered(): void {
    const { clock, logger } = this.#parts
    this.#polledAt = clock.monotonic()
    if (this.#isAway) logger.info(`[${COMPONENT}] the brokers answer again`)
    this.#isAway = false
  }

  #failed(error: unknown): void {
    const { logger } = this.#parts
    this.#refreshAt = -Infinity
    if (!isSluiceError(error) || !error.retryable) this.#failure ??= error
    else if (!this.#isAway) logger.warn(`[${COMPONENT}] ${messageOf(error)}; nothing is planned until they answer`)
    this.#isAway = true
  }

  async #refresh(): Promise<void> {
    const { selection, clock } = this.#parts
    const topics = selection.kind === 'pattern' ? await this.topics() : await this.#named(selection)
    this.#notice(topics)
    this.#noticeLeaderless(topics)
    if (this.#missing.size + this.#leaderless.size > 0) this.#refreshAt = clock.monotonic() + MISSING_PAUSE_MS
    await this.#take(topics)
  }

  /** Those of the named topics that are there. */
  async #named(selection: Selection): Promise<TopicMetadata[]> {
    const { client } = this.#parts
    const found = await Promise.all(
      namesOf(selection).map((topic) =>
        client.metadata([topic], { signal: this.#signal, newTopicMs: 0 }).catch((error: unknown) => {
          if (isUnknownTopic(error)) return []
          throw error
        }),
      ),
    )
    return found.flat().map((topic) => selected(topic, selection))
  }

  /** Topics that are read and gone. */
  #notice(topics: readonly TopicMetadata[]): void {
    const there = new Set(topics.map(({ topic }) => topic))
    for (const topic of new Set(this.#sorted.map((each) => each.topic))) {
      if (there.has(topic)) this.#missing.delete(topic)
      else this.#missing.set(topic, (this.#missing.get(topic) ?? 0) + 1)
    }
    for (const [topic, times] of this.#missing) if (times >= MISSING_TIMES) this.#leave(topic)
  }

  /** Where the only replica of a partition is away, the others are read on. */
  #noticeLeaderless(topics: readonly TopicMetadata[]): void {
    const { logger } = this.#parts
    for (const { topic, partitions } of topics) {
      for (const { partition, leader } of partitions) {
        const name = partitionName(topic, partition)
        const watched = this.#partitions.get(name)
        if (leader >= 0) {
          if (this.#leaderless.delete(name)) logger.info(`[${COMPONENT}] ${name} has a leader again`)
        } else if (watched !== undefined) {
          if (!this.#leaderless.has(name)) {
            logger.warn(
              `[${COMPONENT}] ${name} has no leader; nothing of it is planned until it has one: are all brokers up?`,
            )
          }
          this.#leaderless.add(name)
          watched.end = watched.next
        }
      }
    }
  }

  #leave(topic: string): void {
    const { onDeletedTopic, logger } = this.#parts
    if (onDeletedTopic === 'fail') {
      this.#failure ??= topicGone(topic)
      return
    }
    logger.warn(
      `[${COMPONENT}] topic ${topic} is gone, and is not read any more; if it is made anew it is read from its beginning`,
    )
    this.#missing.delete(topic)
    for (const [key, each] of this.#partitions) {
      if (each.topic !== topic) continue
      this.#partitions.delete(key)
      this.#leaderless.delete(key)
    }
    this.#sort()
  }

  /** New partitions are read from their beginning; of the others it is seen that nothing is lost. */
  async #take(topics: readonly TopicMetadata[]): Promise<void> {
    const { client, logger } = this.#parts
    for (const { topic, partitions } of topics) {
      // One that is just being made may have no leader yet.
      const numbers = partitions.filter(({ leader }) => leader >= 0).map(({ partition }) => partition)
      if (numbers.length === 0) continue
      const earliest = await client.listOffsets(topic, numbers, 'earliest', { signal: this.#signal })
      for (const [partition, offset] of earliest) {
        const watched = this.#partitions.get(partitionName(topic, partition))
        if (watched !== undefined) {
          if (watched.next < offset) this.#lost(watched, watched.next, offset, offset)
          continue
        }
        logger.info(`[${COMPONENT}] ${partitionName(topic, partition)} is new, and read from offset ${String(offset)}`)
        this.#add(topic, partition, offset)
      }
    }
  }

  #add(topic: string, partition: number, next: bigint): void {
    const key = partitionName(topic, partition)
    this.#partitions.set(key, { topic, partition, next, end: next, shrunkSince: undefined })
    this.#sort()
  }

  #sort(): void {
    this.#sorted = [...this.#partitions.values()].sort((a, b) =>
      a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
    )
  }

  async #askEnds(): Promise<void> {
    const byTopic = new Map<string, number[]>()
    for (const { topic, partition } of this.#sorted) {
      if (this.#leaderless.has(partitionName(topic, partition))) continue
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
    }
    await Promise.all([...byTopic].map(([topic, partitions]) => this.#askEndsOf(topic, partitions)))
  }

  async #askEndsOf(topic: string, partitions: readonly number[]): Promise<void> {
    const { client, isolation } = this.#parts
    try {
      const moment = isolation === 'committed' ? 'last-stable' : 'latest'
      const ends = await client.listOffsets(topic, partitions, moment, { signal: this.#signal, newTopicMs: 0 })
      for (const [partition, end] of ends) await this.#tellEnd(partitionName(topic, partition), end)
    } catch (error) {
      if (!isUnknownTopic(error)) throw error
      // It is looked at more closely next time.
      this.#refreshAt = Math.min(this.#refreshAt, this.#parts.clock.monotonic() + MISSING_PAUSE_MS)
    }
  }

  async #tellEnd(key: string, end: bigint): Promise<void> {
    const watched = this.#partitions.get(key)
    if (watched === undefined) return
    watched.end = end
    if (end >= watched.next) {
      watched.shrunkSince = undefined
      return
    }
    const { client, clock, deadlineMs } = this.#parts
    watched.shrunkSince ??= clock.monotonic()
    if (clock.monotonic() - watched.shrunkSince < deadlineMs) return
    const { topic, partition } = watched
    const earliest = await client.listOffsets(topic, [partition], 'earliest', { signal: this.#signal })
    this.#lost(watched, end, watched.next, earliest.get(partition) ?? end)
  }

  #lost(watched: Watched, from: bigint, to: bigint, restart: bigint): void {
    const { onDataLoss, logger } = this.#parts
    const range = `offsets ${String(from)} to ${String(to - 1n)} of ${partitionName(watched.topic, watched.partition)}`
    if (onDataLoss === 'reset') {
      logger.warn(`[${COMPONENT}] ${range} are gone before they were read; goes on at ${String(restart)}`)
      watched.next = restart
      watched.shrunkSince = undefined
      return
    }
    this.#failure ??= new SluiceError({
      code: 'OFFSETS_LOST',
      component: COMPONENT,
      message:
        `${range} are gone before they were read: deleted by retention or by hand, or the topic was made anew; ` +
        `keep records for longer than the stream may be late, and start with onDataLoss: 'reset' to go on at ${String(restart)}`,
    })
  }
}

/** `problem` is what has been tried again meanwhile. */
export function noAnswer(afterMs: number, problem?: unknown): SluiceError {
  const why = problem === undefined ? '' : ` (${messageOf(problem)})`
  return new SluiceError({
    code: 'TIMEOUT',
    component: COMPONENT,
    message: `the brokers have not answered within ${String(afterMs)} ms${why}; are they up?`,
    retryable: true,
    cause: problem,
  })
}

export function topicGone(topic: string): SluiceError {
  return new SluiceError({
    code: 'INPUT_MISSING',
    component: COMPONENT,
    message: `topic ${topic} is gone: it was deleted, and the stream reads it; take it out of the stream, or start with onDeletedTopic: 'leave'`,
  })
}

function namesOf(selection: Selection): string[] {
  if (selection.kind === 'topics') return [...selection.topics]
  return selection.kind === 'partitions' ? [...new Set(selection.partitions.map(({ topic }) => topic))] : []
}

/** Of a topic those partitions that are asked for. Throws `ARGUMENT_INVALID` for one that is not there. */
function selected({ topic, partitions }: TopicMetadata, selection: Selection): TopicMetadata {
  if (selection.kind !== 'partitions') return { topic, partitions }
  const wanted = selection.partitions.filter((each) => each.topic === topic)
  const missing = wanted.find(({ partition }) => !partitions.some((each) => each.partition === partition))
  if (missing !== undefined) {
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: COMPONENT,
      message: `there is no partition ${partitionName(topic, missing.partition)}: the topic has ${String(partitions.length)}; see to partitions`,
    })
  }
  return {
    topic,
    partitions: partitions.filter(({ partition }) => wanted.some((each) => each.partition === partition)),
  }
}
