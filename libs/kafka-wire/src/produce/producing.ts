/** What all producers share: whose turn it is, which partition records go to, and when a producer must not be used any more. */
import { abortReason, isSluiceError, untilAborted } from '@sluice/core'
import type { Clock, SluiceError } from '@sluice/core'
import type { Failures, ProducerKind } from '../adapter.js'
import type {
  CallOptions,
  ProduceOptions,
  RecordToProduce,
  TopicPartitionOffset,
  Transaction,
  TransactionalProducer,
  TransactionOptions,
} from '../client.js'
import { brokerRefused, invalid, stopped, UNKNOWN_PARTITION } from '../errors.js'
import { within, withRetries } from '../waiting.js'

const TRANSACTION_TIMEOUT_MS = 60_000
const CLIENT = 'this client of Kafka'

export interface ProducersParts {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly failures: Failures
  /** See `Adapter.gaveUp`. */
  readonly gaveUp: (reason: Error) => void
}

interface Connecting<P> {
  readonly producer: P
  readonly ready: Promise<unknown>
}

/** The producers of a client. */
export class Producers<P> {
  readonly #kind: ProducerKind<P>
  readonly #parts: ProducersParts
  readonly #open = new Set<P>()
  readonly #shared: SharedProducer<Connecting<P>>
  #isClosed = false

  constructor(kind: ProducerKind<P>, parts: ProducersParts) {
    this.#kind = kind
    this.#parts = parts
    this.#shared = new SharedProducer({
      make: () => {
        const producer = this.#make()
        return { producer, ready: this.#retried('beginning to write', undefined, () => kind.connect(producer)) }
      },
      discard: ({ producer }) => this.#discard(producer),
    })
  }

  produce(topic: string, records: readonly RecordToProduce[], options: ProduceOptions = {}): Promise<void> {
    const { signal } = options
    const over = new AbortController()
    const check = (): void => {
      for (const each of [signal, over.signal]) if (each?.aborted === true) throw abortReason(each)
    }
    const onLate = (reason: Error): void => {
      over.abort(reason)
    }
    return this.#step(`writing to ${topic}`, options, onLate, () =>
      this.#shared.use(check, ({ producer, ready }) =>
        untilAborted(
          ready.then(() => this.#kind.send(producer, topic, records, options)),
          over.signal,
        ),
      ),
    )
  }

  transactional(transactionalId: string, options: TransactionOptions = {}): TransactionalProducer {
    const kind = this.#kind
    const doing = `the transaction ${transactionalId}`
    const producer = this.#make({ transactionalId, timeoutMs: options.timeoutMs ?? TRANSACTION_TIMEOUT_MS })
    const inner: TransactionalProducer = {
      init: (call) => this.#retried(doing, call, () => kind.init(producer)),
      begin: () => this.#begin(producer, doing),
      close: () => this.#discard(producer),
    }
    return guarded(inner, transactionalId)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#open].map((producer) => this.#discard(producer)))
  }

  #make(transaction?: { readonly transactionalId: string; readonly timeoutMs: number }): P {
    if (this.#isClosed) throw stopped(CLIENT)
    const producer = this.#kind.make(transaction)
    this.#open.add(producer)
    return producer
  }

  async #begin(producer: P, doing: string): Promise<Transaction> {
    const inner = await this.#translated(doing, () => this.#kind.begin(producer))
    const end = (options: CallOptions | undefined, work: () => Promise<unknown>): Promise<void> =>
      this.#step(doing, options, undefined, work)
    return {
      send: (topic, records, options = {}) => end(options, () => inner.send(topic, records, options)),
      // A broker that has just started has no coordinator of groups yet; asking twice adds nothing.
      sendOffsets: (group, offsets, options) => this.#retried(doing, options, () => inner.sendOffsets(group, offsets)),
      commit: (options) => end(options, () => inner.commit()),
      abort: (options) => end(options, () => inner.abort()),
    }
  }

  /** What takes too long goes on, until its producer is closed. */
  async #step(
    doing: string,
    options: CallOptions | undefined,
    onLate: ((reason: Error) => void) | undefined,
    work: () => Promise<unknown>,
  ): Promise<void> {
    const { clock, timeoutMs: longestMs, gaveUp } = this.#parts
    const { signal, timeoutMs = longestMs } = options ?? {}
    const late = (reason: Error): void => {
      onLate?.(reason)
      // Else whoever comes next would hang behind the same.
      if (timeoutMs >= longestMs) gaveUp(reason)
    }
    const limits = { clock, doing, signal, timeoutMs, onLate: late }
    await untilAborted(within(limits, this.#translated(doing, work)), options?.signal)
  }

  #retried(doing: string, options: CallOptions | undefined, attempt: () => Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#parts
    const retrying = { clock, timeoutMs: options?.timeoutMs ?? timeoutMs, signal: options?.signal, doing }
    return this.#step(doing, options, undefined, () => withRetries(retrying, () => this.#translated(doing, attempt)))
  }

  async #translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (this.#isClosed) throw stopped(CLIENT)
      throw this.#parts.failures.toSluice(error, doing)
    }
  }

  async #discard(producer: P): Promise<void> {
    this.#open.delete(producer)
    await this.#kind.close(producer)
  }
}

/**
 * A failed send may have arrived. Its producer would give the same sequence numbers to the next records, which the broker
 * then takes for those it has, and drops. So a transaction in which anything failed can only be aborted, and its producer
 * does nothing more: another one of the same id begins with numbers of its own.
 */
export function guarded(inner: TransactionalProducer, transactionalId: string): TransactionalProducer {
  return new GuardedProducer(inner, transactionalId)
}

type State = 'new' | 'ready' | 'open' | 'failed' | 'closed'

class GuardedProducer implements TransactionalProducer {
  readonly #inner: TransactionalProducer
  readonly #name: string
  #state: State = 'new'

  constructor(inner: TransactionalProducer, transactionalId: string) {
    this.#inner = inner
    this.#name = `the producer ${transactionalId}`
  }

  async init(options?: CallOptions): Promise<void> {
    this.#require('new', 'init')
    try {
      await this.#inner.init(options)
    } catch (error) {
      // What nobody waits for any more may go on.
      if (options?.signal?.aborted === true || isSluiceError(error, 'TIMEOUT')) this.#state = 'failed'
      throw error
    }
    this.#state = 'ready'
  }

  async begin(): Promise<Transaction> {
    this.#require('ready', 'begin')
    const inner = await this.#inner.begin()
    this.#state = 'open'
    let isOver = false
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      if (isOver) throw invalid(`${name} on a transaction that has ended; begin another`)
      this.#require('open', name)
      await this.#orFail(work)
    }
    const end = async (work: () => Promise<void>): Promise<void> => {
      isOver = true
      await this.#orFail(work)
      if (this.#state === 'open') this.#state = 'ready'
    }
    return {
      send: (topic, records, options?: ProduceOptions) => step('send', () => inner.send(topic, records, options)),
      sendOffsets: (group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions) =>
        step('sendOffsets', () => inner.sendOffsets(group, offsets, options)),
      commit: (options) => step('commit', () => end(() => inner.commit(options))),
      abort: async (options) => {
        if (isOver) throw invalid('abort on a transaction that has ended')
        if (this.#state === 'closed') throw stopped(this.#name)
        await end(() => inner.abort(options))
      },
    }
  }

  close(): Promise<void> {
    this.#state = 'closed'
    return this.#inner.close()
  }

  async #orFail(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.#state !== 'closed') this.#state = 'failed'
      throw error
    }
  }

  #require(state: State, call: string): void {
    if (this.#state === state) return
    if (this.#state === 'closed') throw stopped(this.#name)
    if (this.#state === 'failed') {
      throw stopped(`after an error ${this.#name} can only abort, and`)
    }
    throw invalid(
      `${call} of ${this.#name}, which is ${this.#state}; init once, then begin and end one transaction after the other`,
    )
  }
}

interface ProducerFactory<P> {
  make(): P
  discard(producer: P): Promise<unknown>
}

/** One producer for all plain records, used by one call after the other; a failed call costs it, see {@link guarded}. */
class SharedProducer<P> {
  readonly #factory: ProducerFactory<P>
  #producer: P | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(factory: ProducerFactory<P>) {
    this.#factory = factory
  }

  /** `check` throws where there is nothing to be done any more when the turn comes. */
  use(check: () => void, work: (producer: P) => Promise<unknown>): Promise<void> {
    const done = this.#turn.then(async () => {
      check()
      const producer = (this.#producer ??= this.#factory.make())
      try {
        await work(producer)
      } catch (error) {
        // The next call takes a new one.
        this.#producer = undefined
        this.#factory.discard(producer).catch(() => undefined)
        throw error
      }
    })
    this.#turn = done.catch(() => undefined)
    return done
  }
}

/** The records of each partition, in order. */
export function byPartition(
  records: readonly RecordToProduce[],
  partitionOf: (record: RecordToProduce) => number,
): Map<number, RecordToProduce[]> {
  const groups = new Map<number, RecordToProduce[]>()
  for (const record of records) {
    const partition = record.partition ?? partitionOf(record)
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [record])
    else group.push(record)
  }
  return groups
}

/** Refuses records for a partition that the topic has not, before any of them is sent: clients drop them, or put them elsewhere. */
export function requirePartitions(topic: string, partitions: Iterable<number>, count: number): void {
  for (const partition of partitions) {
    if (Number.isInteger(partition) && partition >= 0 && partition < count) continue
    throw unknownPartition(topic, partition, false)
  }
}

export function unknownPartition(topic: string, partition: number, isRetryable: boolean): SluiceError {
  return brokerRefused({ type: UNKNOWN_PARTITION, doing: `writing to ${topic}/${String(partition)}`, isRetryable })
}

/** Waits until all have ended, so that none goes on behind the caller's back, and throws the first error. */
export async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
}

export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
