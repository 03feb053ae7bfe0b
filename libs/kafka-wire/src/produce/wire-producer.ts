/**
 * A producer over the wire, idempotent or transactional. Batches reach their partitions once and in order, whatever happens to
 * connections and leaders: a broker knows the last five batches of a producer in each partition, so no more are under way; what failed
 * is sent again, with all behind it, when every answer is there.
 */
import { abortReason } from '@sluice/core'
import type { Clock } from '@sluice/core'
import type { TopicPartitionOffset } from '../client.js'
import { stopped } from '../errors.js'
import { unknownPartition } from './producing.js'
import { withRetries } from '../waiting.js'
import {
  addOffsetsCall,
  addPartitionsCall,
  endTxnCall,
  initProducerIdCall,
  produceCall,
  txnOffsetCommitCall,
} from './produce-wire.js'
import type { Dialect, WireCall } from './produce-wire.js'
import { sealBatch } from './record-encoder.js'
import type { BatchSender, RecordBatch } from './record-encoder.js'
import type { BrokerLink, Wire } from './wire.js'

export interface WireProducerParts {
  readonly wire: Wire
  readonly clock: Clock
  /** How long anything is tried without progress. */
  readonly timeoutMs: number
  readonly transaction?: { readonly transactionalId: string; readonly timeoutMs: number } | undefined
}

/** Batches of one partition, of which the first `sent` are known to be written. */
export interface PartitionQueue {
  readonly partition: number
  readonly batches: readonly RecordBatch[]
  sent: number
}

const WINDOW = 5
const REQUEST_BYTES = 4 << 20
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 500
const NONE = 0
const DUPLICATE_SEQUENCE = 46
const INVALID_TXN_STATE = 48
const UNKNOWN_PARTITION = 3
const OUT_OF_ORDER_SEQUENCE = 45

export class WireProducer {
  readonly #parts: WireProducerParts
  #dialect: Dialect = 'classic'
  #sender: BatchSender | undefined
  #coordinator: BrokerLink | undefined
  /** Of the next record of each partition, as `topic/partition`. */
  readonly #sequences = new Map<string, number>()
  /** What the open transaction reaches, as far as the coordinator has been told. */
  readonly #added = new Set<string>()
  #hasSent = false
  #isClosed = false

  constructor(parts: WireProducerParts) {
    this.#parts = parts
  }

  /** Asks for an id; with a transactional one, fences and ends what was before. One attempt. */
  async init(dialect: Dialect): Promise<void> {
    const { wire, transaction, timeoutMs } = this.#parts
    this.#dialect = dialect
    const link = transaction === undefined ? await wire.anyBroker() : await this.#coordinatorOf(transaction)
    const call = initProducerIdCall(transaction?.transactionalId ?? null, transaction?.timeoutMs ?? timeoutMs)
    const { errorCode, ...sender } = await this.#ask(link, call)
    if (errorCode !== NONE) throw this.#failed(errorCode)
    this.#become(sender)
  }

  begin(): void {
    this.#added.clear()
    this.#hasSent = false
  }

  /** Resolves when all replicas in sync have all of it. */
  async send(topic: string, queues: readonly PartitionQueue[], signal: AbortSignal | undefined): Promise<void> {
    const doing = `writing to ${topic}`
    if (this.#parts.transaction !== undefined) {
      this.#hasSent = true
      await this.#addPartitions(doing, topic, queues, signal)
    }
    let waiting = queues.filter(({ batches }) => batches.length > 0)
    while (waiting.length > 0) {
      await this.#retried(doing, signal, () => this.#round(topic, waiting, signal))
      waiting = waiting.filter(({ sent, batches }) => sent < batches.length)
    }
  }

  /** One attempt. */
  async sendOffsets(group: string, offsets: readonly TopicPartitionOffset[]): Promise<void> {
    const { wire } = this.#parts
    const dialect = this.#dialect
    const self = this.#self()
    this.#hasSent = true
    if (dialect === 'classic') {
      const code = await this.#ask(await this.#coordinatorOf(self), addOffsetsCall(self, group))
      if (code !== NONE) throw this.#failed(code)
    }
    const code = await this.#ask(
      await wire.coordinator('group', group),
      txnOffsetCommitCall(dialect, self, group, offsets),
    )
    if (code !== NONE) throw this.#failed(code)
  }

  /** Asking again changes nothing: the coordinator knows how the transaction ended. */
  async end(isCommit: boolean): Promise<void> {
    // The coordinator knows nothing of a transaction to which nothing was added, and refuses to end it.
    if (!this.#hasSent) return
    const doing = `${isCommit ? 'committing' : 'aborting'} the transaction ${this.#self().transactionalId}`
    await this.#retried(doing, undefined, async () => {
      const self = this.#self()
      const call = endTxnCall(this.#dialect, self, isCommit)
      const { errorCode, next } = await this.#ask(await this.#coordinatorOf(self), call)
      // Nothing reached it, so there is nothing to abort.
      if (errorCode === INVALID_TXN_STATE && !isCommit) return
      if (errorCode !== NONE) throw this.#failed(errorCode)
      if (next !== undefined) this.#become(next)
    })
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isClosed = true
  }

  /** Tries a window of each partition. Throws the first error, when all answers are there. */
  async #round(topic: string, waiting: readonly PartitionQueue[], signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw abortReason(signal)
    const queues = new Map(waiting.filter(({ sent, batches }) => sent < batches.length).map((q) => [q.partition, q]))
    if (queues.size === 0) return
    const leaders = await this.#parts.wire.leaders(topic, [...queues.keys()])
    const windows = [...leaders].flatMap(([link, partitions]) =>
      partitions.map((partition) => new Window(link, queues.get(partition) as PartitionQueue)),
    )
    const sends: Promise<void>[] = []
    for (let slot = 0; slot < WINDOW; slot++) {
      for (const group of groupsOf(windows, slot, (window) => this.#sizeOf(topic, window))) {
        sends.push(this.#sendGroup(topic, group, slot))
      }
    }
    await Promise.all(sends)
    let error: unknown
    for (const window of windows) error = this.#account(topic, window) ?? error
    if (error !== undefined) throw error as Error
  }

  /** Until its first batch is there, a broker that knows nothing of the producer would take any other one for it. */
  #sizeOf(topic: string, { queue }: Window): number {
    if (this.#sequenceOf(topic, queue.partition) === 0) return 1
    return Math.min(WINDOW, queue.batches.length - queue.sent)
  }

  async #sendGroup(topic: string, group: readonly Window[], slot: number): Promise<void> {
    const { transaction, timeoutMs, wire } = this.#parts
    const batches = group.map((window) => {
      const { queue } = window
      const before = queue.batches.slice(queue.sent, queue.sent + slot)
      const first = this.#sequenceOf(topic, queue.partition)
      const batch = queue.batches[queue.sent + slot] as RecordBatch
      sealBatch(
        batch,
        this.#identity(),
        before.reduce((sequence, { count }) => nextSequence(sequence, count), first),
      )
      return { partition: queue.partition, bytes: batch.bytes }
    })
    const call = produceCall(this.#dialect, transaction?.transactionalId ?? null, topic, batches, timeoutMs)
    try {
      const errors = await this.#ask((group[0] as Window).link, call)
      for (const { results, queue } of group) {
        const code = errors.get(queue.partition)
        if (code === undefined) throw new Error('a broker left a partition out of its answer')
        if (code === NONE || code === DUPLICATE_SEQUENCE) results[slot] = 'written'
        // A new leader may not know of it yet. The look-up that follows tells whether it is gone.
        else if (code === UNKNOWN_PARTITION) results[slot] = unknownPartition(topic, queue.partition, true)
        // Because one before it failed; if not, it is the first of the next window.
        else if (code === OUT_OF_ORDER_SEQUENCE && slot > 0) results[slot] = undefined
        else results[slot] = wire.errorOf(code)
      }
    } catch (error) {
      for (const { results } of group) results[slot] ??= error as Error
    }
  }

  /** Takes down how far a partition has come; gives what stopped it. */
  #account(topic: string, { queue, results }: Window): Error | undefined {
    for (const result of results) {
      if (result !== 'written') {
        this.#parts.wire.forget(topic)
        return result
      }
      const { count } = queue.batches[queue.sent++] as RecordBatch
      const sequence = nextSequence(this.#sequenceOf(topic, queue.partition), count)
      this.#sequences.set(`${topic}/${String(queue.partition)}`, sequence)
    }
    return undefined
  }

  async #addPartitions(
    doing: string,
    topic: string,
    queues: readonly PartitionQueue[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (this.#dialect === 'safe') return
    const fresh = queues
      .map(({ partition }) => partition)
      .filter((each) => !this.#added.has(`${topic}/${String(each)}`))
    if (fresh.length === 0) return
    await this.#retried(doing, signal, async () => {
      const self = this.#self()
      const code = await this.#ask(await this.#coordinatorOf(self), addPartitionsCall(self, topic, fresh))
      if (code !== NONE) throw this.#failed(code)
    })
    for (const partition of fresh) this.#added.add(`${topic}/${String(partition)}`)
  }

  async #ask<T>(link: BrokerLink, call: WireCall<T>): Promise<T> {
    if (this.#isClosed) throw stopped('this producer')
    try {
      return await link.call(call)
    } catch (error) {
      this.#coordinator = undefined
      throw error
    }
  }

  #failed(code: number): Error {
    this.#coordinator = undefined
    return this.#parts.wire.errorOf(code)
  }

  /** `attempt` is tried again after errors that may pass, until there was no progress for too long. */
  async #retried(doing: string, signal: AbortSignal | undefined, attempt: () => Promise<void>): Promise<void> {
    const { clock, timeoutMs, wire } = this.#parts
    await withRetries(
      { clock, timeoutMs, signal, doing, firstPauseMs: FIRST_PAUSE_MS, longestPauseMs: LONGEST_PAUSE_MS },
      async () => {
        try {
          await attempt()
        } catch (error) {
          throw wire.failures.toSluice(error, doing)
        }
      },
    )
  }

  async #coordinatorOf({ transactionalId }: { readonly transactionalId: string }): Promise<BrokerLink> {
    this.#coordinator ??= await this.#parts.wire.coordinator('transaction', transactionalId)
    return this.#coordinator
  }

  #become(sender: BatchSender): void {
    const old = this.#sender
    this.#sender = sender
    // Another epoch counts from the start.
    if (old?.producerId !== sender.producerId || old.epoch !== sender.epoch) this.#sequences.clear()
  }

  #sequenceOf(topic: string, partition: number): number {
    return this.#sequences.get(`${topic}/${String(partition)}`) ?? 0
  }

  #identity(): BatchSender {
    if (this.#sender === undefined) throw new TypeError('the producer has no id yet')
    return this.#sender
  }

  #self(): BatchSender & { readonly transactionalId: string } {
    const { transaction } = this.#parts
    if (transaction === undefined) throw new TypeError('the producer has no transactional id')
    return { ...this.#identity(), transactionalId: transaction.transactionalId }
  }
}

/** The batches of a partition that are under way to its leader, and what has become of them. */
class Window {
  readonly link: BrokerLink
  readonly queue: PartitionQueue
  readonly results: ('written' | Error | undefined)[] = []

  constructor(link: BrokerLink, queue: PartitionQueue) {
    this.link = link
    this.queue = queue
  }
}

/** Who sends its batch number `slot` in the same request. */
function groupsOf(windows: readonly Window[], slot: number, sizeOf: (window: Window) => number): Window[][] {
  const groups: Window[][] = []
  let bytes = 0
  for (const window of windows) {
    if (slot >= sizeOf(window)) continue
    const { queue, link } = window
    const size = (queue.batches[queue.sent + slot] as RecordBatch).bytes.length
    const last = groups.at(-1)
    bytes += size
    if (last !== undefined && last[0]?.link === link && bytes <= REQUEST_BYTES) {
      last.push(window)
      continue
    }
    groups.push([window])
    bytes = size
  }
  return groups
}

/** Sequences begin again at 0 behind the largest number of 31 bits. */
function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31
}
