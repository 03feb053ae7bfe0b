/** One run of a consumer: receives what its group gives it, and commits what is safe. */
import { SluiceError, untilAborted, type Clock, type ReceiverContext } from '@sluice/core'
import {
  lostRangeOf,
  type GroupGeneration,
  type GroupMember,
  type KafkaClient,
  type RecordChunk,
  type TopicPartition,
} from '@sluice/kafka-wire'
import { COMPONENT } from '../component.js'
import { messageOf } from '../decode/message.js'
import type { ReceiverSettings } from '../kafka-receiver.config.js'
import { partitionName } from '../offsets.js'
import type { Claim, Claims } from './claims.js'
import type { Progress } from './progress.js'
import { startingOffsets } from './starting-offsets.js'

export interface ConsumerParts {
  readonly context: ReceiverContext<never>
  readonly client: KafkaClient
  readonly member: GroupMember
  readonly settings: ReceiverSettings
  readonly claims: Claims
  readonly progress: Progress
}

/** A partition that is received. */
interface Lane extends TopicPartition {
  readonly name: string
  readonly claim: Claim
  /** The offset that is asked for next. */
  next: bigint
  /** What the group has been told last. */
  committed: bigint
}

/** What it waits before it looks again whether there is something new. */
const IDLE_MS = 25
/** After so much of one partition it is the turn of the others. */
const TURN_BYTES = 8 * 2 ** 20
/** The part of the rebalance's time-out for which others wait until what is being stored is safe. */
const SETTLE_PART = 1 / 3
/** How long a stop waits for that. */
const STOP_MS = 5_000

export class Consumer {
  readonly #parts: ConsumerParts
  readonly #clock: Clock
  #lanes: readonly Lane[] = []
  #commitProblem: string | undefined

  constructor(parts: ConsumerParts) {
    this.#parts = parts
    this.#clock = parts.context.clock
  }

  /** Joins the group; resolves when it receives. */
  async begin(): Promise<GroupGeneration> {
    const { member, context } = this.#parts
    for (;;) {
      const generation = await member.join({ signal: context.signal })
      try {
        await this.#open(generation)
        return generation
      } catch (error) {
        context.signal.throwIfAborted()
        if (!generation.signal.aborted) throw error
      }
    }
  }

  /** Receives until the run ends. Rejects with what makes another run necessary. */
  async run(first: GroupGeneration): Promise<void> {
    const { signal } = this.#parts.context
    for (let generation = first; ; generation = await this.begin()) {
      await this.#receive(generation)
      if (signal.aborted) return
    }
  }

  async #receive(generation: GroupGeneration): Promise<void> {
    const ended = new AbortController()
    const isOver = AbortSignal.any([this.#parts.context.signal, generation.signal, ended.signal])
    const reading = this.#read(isOver)
    const committing = this.#commitAgain(generation, isOver)
    try {
      // What ends the generation does not end a store that waits for room, and the group does not wait for ever.
      await untilAborted(reading, isOver).catch((error: unknown) => {
        if (!isOver.aborted) throw error
      })
      await this.#bounded(reading, this.#settleMs)
    } finally {
      ended.abort()
      await committing
      await this.#bounded(this.#commit(generation), this.#settleMs)
    }
  }

  get #settleMs(): number {
    const { context, settings } = this.#parts
    return context.signal.aborted ? STOP_MS : settings.rebalanceTimeoutMs * SETTLE_PART
  }

  /** Claims what the group has given, and finds where to go on. */
  async #open(generation: GroupGeneration): Promise<void> {
    const { context, claims, client, settings, progress } = this.#parts
    const claimed = generation.partitions.map(({ topic, partition }) => {
      const name = partitionName(topic, partition)
      return { topic, partition, name, claim: claims.claim(name) }
    })
    const signal = AbortSignal.any([context.signal, generation.signal])
    await untilAborted(Promise.all(claimed.map(({ claim }) => claim.settled)), signal)
    const found = await startingOffsets({ client, settings, claims, partitions: claimed, signal })
    // The position of what earlier owners stored: above it, also where they could not commit any more (E14).
    const { position } = context
    this.#lanes = claimed.map((lane) => {
      const { start, end, committed } = found.get(lane.name) as { start: bigint; end: bigint; committed: bigint }
      const above = (position[lane.name] ?? -1n) + 1n
      const next = above > start ? above : start
      if (next > end) throw madeAnew(lane, next, end)
      // Without a write-ahead log what is above the start is not safe yet.
      progress.begins(lane.name, settings.isReliable ? next : start)
      return { ...lane, next, committed }
    })
    // Without it another one that gets the partition would begin at the latest of its time.
    await this.#commitTo(generation, this.#lanes, signal)
  }

  async #read(isOver: AbortSignal): Promise<void> {
    let pauseMs = 0
    while (!isOver.aborted) {
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, isOver).catch(() => undefined)
      try {
        pauseMs = (await this.#round(isOver)) ? 0 : IDLE_MS
      } catch (error) {
        if (isOver.aborted) return
        throw error
      }
    }
  }

  /** Reads what there is, of each partition in turn. Answers whether there was anything. */
  async #round(isOver: AbortSignal): Promise<boolean> {
    const { client, settings } = this.#parts
    const moment = settings.isolation === 'committed' ? 'last-stable' : 'latest'
    let hasRead = false
    for (const topic of new Set(this.#lanes.map((lane) => lane.topic))) {
      const lanes = this.#lanes.filter((lane) => lane.topic === topic)
      const partitions = lanes.map(({ partition }) => partition)
      const ends = await client.listOffsets(topic, partitions, moment, { signal: isOver })
      for (const lane of lanes) {
        const end = ends.get(lane.partition) ?? 0n
        if (end <= lane.next || isOver.aborted) continue
        hasRead = true
        await this.#readTo(lane, end, isOver)
      }
    }
    return hasRead
  }

  async #readTo(lane: Lane, to: bigint, isOver: AbortSignal): Promise<void> {
    const { client, settings } = this.#parts
    const { topic, partition } = lane
    const { isolation, deadlineMs, fetchBytes: maxBytes } = settings
    let bytes = 0
    try {
      const range = { topic, partition, from: lane.next, to, isolation, deadlineMs, maxBytes, signal: isOver }
      for await (const chunk of client.readRange(range)) {
        if (!(await this.#store(lane, chunk, isOver))) return
        bytes += chunk.sizeBytes
        if (bytes >= TURN_BYTES) return
      }
      this.#moveTo(lane, to)
    } catch (error) {
      this.#skipLost(lane, error)
    }
  }

  /** False where the partition is another's by now. */
  async #store(lane: Lane, chunk: RecordChunk, isOver: AbortSignal): Promise<boolean> {
    const { context, claims } = this.#parts
    const records = chunk.count()
    if (records > 0) {
      const position = { [lane.name]: chunk.position - 1n }
      const bytes = chunk.pack()
      if (isOver.aborted || !claims.isHeld(lane.name, lane.claim)) return false
      await lane.claim.store(context.storePacked(bytes, { records, position }))
    }
    this.#moveTo(lane, chunk.position)
    return true
  }

  #moveTo(lane: Lane, position: bigint): void {
    const { claims, progress } = this.#parts
    lane.next = position
    // Whoever has claimed it since tells by itself how far it is.
    if (claims.isHeld(lane.name, lane.claim)) progress.stored(lane.name, position, this.#clock)
  }

  #skipLost(lane: Lane, error: unknown): void {
    const { context, settings } = this.#parts
    const lost = lostRangeOf(error)
    if (lost === undefined || settings.onDataLoss === 'fail' || lost.earliest < lane.next) throw error
    context.report(`goes on at ${String(lost.earliest)}, as onDataLoss says: ${messageOf(error)}`, error)
    this.#moveTo(lane, lost.earliest)
  }

  async #commitAgain(generation: GroupGeneration, isOver: AbortSignal): Promise<void> {
    const { commitIntervalMs } = this.#parts.settings
    while (!isOver.aborted) {
      await this.#clock.sleep(commitIntervalMs, isOver).catch(() => undefined)
      if (!isOver.aborted) await this.#commit(generation, isOver)
    }
  }

  /** Never rejects: what is not committed now is with the next commit, or is cut when it comes again. */
  async #commit(generation: GroupGeneration, signal?: AbortSignal): Promise<void> {
    const { claims, context } = this.#parts
    const lanes = this.#lanes.filter((lane) => claims.isHeld(lane.name, lane.claim))
    try {
      await this.#commitTo(generation, lanes, signal)
      this.#commitProblem = undefined
    } catch (error) {
      const problem = messageOf(error)
      if (signal?.aborted === true || generation.signal.aborted || this.#commitProblem === problem) return
      this.#commitProblem = problem
      context.report(`cannot commit offsets, and goes on: ${problem}`, error)
    }
  }

  async #commitTo(generation: GroupGeneration, lanes: readonly Lane[], signal?: AbortSignal): Promise<void> {
    const { progress } = this.#parts
    const due = lanes.flatMap((lane) => {
      const offset = progress.safe(lane.name) ?? -1n
      return offset > lane.committed ? [{ lane, offset }] : []
    })
    if (due.length === 0) return
    const offsets = due.map(({ lane: { topic, partition }, offset }) => ({ topic, partition, offset }))
    await generation.commit(offsets, { signal })
    for (const { lane, offset } of due) lane.committed = offset
  }

  /** Waits for `work`, but not for ever; what it throws is thrown where it is in time. */
  async #bounded(work: Promise<void>, ms: number): Promise<void> {
    const timer = new AbortController()
    try {
      await Promise.race([work, this.#clock.sleep(ms, timer.signal).catch(() => undefined)])
    } finally {
      timer.abort()
      work.catch(() => undefined)
    }
  }
}

function madeAnew({ topic, partition }: TopicPartition, next: bigint, end: bigint): SluiceError {
  return new SluiceError({
    code: 'OFFSETS_LOST',
    component: COMPONENT,
    message:
      `${partitionName(topic, partition)} ends at ${String(end)}, and it has been received up to ${String(next)}: the topic was made ` +
      `anew, or has lost records; give the stream another group and name, or begin with a new checkpoint`,
  })
}
