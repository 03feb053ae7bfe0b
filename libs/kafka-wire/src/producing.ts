/** What all producers share: whose turn it is, which partition records go to, and when a producer must not be used any more. */
import type { Clock, SluiceError } from '@sluice/core'
import type { Failures, ProducerKind } from './adapter.js'
import type {
  CallOptions,
  ProduceOptions,
  RecordToProduce,
  TopicPartitionOffset,
  Transaction,
  TransactionalProducer,
  TransactionOptions,
} from './client.js'
import { brokerRefused, invalid, stopped, UNKNOWN_PARTITION } from './errors.js'
import { abortable, reasonOf, withRetries } from './waiting.js'

const TRANSACTION_TIMEOUT_MS = 60_000

export interface ProducersParts {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly failures: Failures
}

/** The producers of a client. */
export class Producers<P> {
  readonly #kind: ProducerKind<P>
  readonly #parts: ProducersParts
  readonly #open = new Set<P>()
  readonly #shared: SharedProducer<P>
  #isClosed = false

  constructor(kind: ProducerKind<P>, parts: ProducersParts) {
    this.#kind = kind
    this.#parts = parts
    this.#shared = new SharedProducer({
      make: async () => {
        const producer = this.#make()
        await this.#retried('beginning to write', undefined, () => kind.connect(producer))
        return producer
      },
      discard: (producer) => this.#discard(producer),
    })
  }

  produce(topic: string, records: readonly RecordToProduce[], options: ProduceOptions = {}): Promise<void> {
    const work = this.#shared.use(async (producer) => {
      if (options.signal?.aborted === true) throw reasonOf(options.signal)
      await this.#kind.send(producer, topic, records, options)
    })
    return this.#step(`writing to ${topic}`, options, () => work)
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
    if (this.#isClosed) throw stopped('this client of Kafka')
    const producer = this.#kind.make(transaction)
    this.#open.add(producer)
    return producer
  }

  async #begin(producer: P, doing: string): Promise<Transaction> {
    const inner = await this.#translated(doing, () => this.#kind.begin(producer))
    return {
      send: (topic, records, options = {}) => this.#step(doing, options, () => inner.send(topic, records, options)),
      // A broker that has just started has no coordinator of groups yet; asking twice adds nothing.
      sendOffsets: (group, offsets, options) => this.#retried(doing, options, () => inner.sendOffsets(group, offsets)),
      commit: (options) => this.#step(doing, options, () => inner.commit()),
      abort: (options) => this.#step(doing, options, () => inner.abort()),
    }
  }

  async #step(doing: string, options: CallOptions | undefined, work: () => Promise<unknown>): Promise<void> {
    await abortable(this.#translated(doing, work), options?.signal)
  }

  async #retried(doing: string, options: CallOptions | undefined, attempt: () => Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#parts
    const retrying = { clock, timeoutMs, signal: options?.signal, doing }
    await withRetries(retrying, () => this.#translated(doing, attempt))
  }

  async #translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
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
    await this.#inner.init(options)
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

export interface ProducerFactory<P> {
  make(): Promise<P>
  discard(producer: P): Promise<unknown>
}

/** One producer for all plain records, used by one call after the other; a failed call costs it, see {@link guarded}. */
export class SharedProducer<P> {
  readonly #factory: ProducerFactory<P>
  #producer: Promise<P> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(factory: ProducerFactory<P>) {
    this.#factory = factory
  }

  use(work: (producer: P) => Promise<void>): Promise<void> {
    const done = this.#turn.then(async () => {
      this.#producer ??= this.#factory.make()
      try {
        await work(await this.#producer)
      } catch (error) {
        this.discard()
        throw error
      }
    })
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** The next call takes a new one. */
  discard(): void {
    const old = this.#producer
    this.#producer = undefined
    old?.then((producer) => this.#factory.discard(producer)).catch(() => undefined)
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
