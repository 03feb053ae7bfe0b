/**
 * One output with a ledger (E22): a transactional producer for each partition, whose transactions hold a batch's records and the
 * ledger's entry for it. The transactional id is that of app, output and partition, so whoever initialises it fences the one before.
 *
 * A new owner writes its epoch into the fence first, by a producer of that one's own, and then initialises all partitions that a
 * fence has named. An owner has the fence name a partition before it initialises it, and looks at the ledger after that: so either
 * the new owner ends its transactions, or it sees the new owner's fence before it begins one. Until they are ended nothing waits for what
 * is committed: the owner before may have died, or been stopped, within a transaction.
 */
import { isSluiceError, type BatchPartitionId, type SinkContext } from '@sluice/core'
import type { KafkaClient, RecordToProduce, Transaction, TransactionalProducer } from '@sluice/kafka-wire'
import { failedOnce, fenced, isProducerLost, sinkError } from './errors.js'
import { checkOpen, decide, isSameBatch, Ledger, type LedgerEntry, type LedgerParts } from './ledger.js'

export interface LedgeredParts extends Omit<LedgerParts, 'deadlineMs'> {
  readonly transactionTimeoutMs: number
  readonly context: SinkContext
}

/** What goes into a transaction, besides the ledger's entry. */
export type WriteRecords = (transaction: Transaction, isNew: (index: number) => boolean) => Promise<void>

const FENCE = 'fence'
/** Producers that are initialised at the same time. */
const AT_ONCE = 8
/** The broker looks for transactions that are over only now and then. */
const ABORT_DELAY_MS = 15_000

export class LedgeredOutput {
  readonly #client: KafkaClient
  readonly #context: SinkContext
  readonly #timeoutMs: number
  readonly #ledger: Ledger
  readonly #producers = new Map<number | typeof FENCE, TransactionalProducer>()
  /** Who writes a partition, or changes the fence, now. */
  readonly #turns = new Map<number | typeof FENCE, Promise<unknown>>()
  /** Of how many partitions our fence is known to be committed. */
  #named = 0
  #reading: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor({ transactionTimeoutMs, context, ...parts }: LedgeredParts) {
    this.#client = parts.client
    this.#context = context
    this.#timeoutMs = transactionTimeoutMs
    this.#ledger = new Ledger({ ...parts, deadlineMs: transactionTimeoutMs + ABORT_DELAY_MS }, context)
  }

  /** Takes the output over from whoever had it. */
  async open(): Promise<void> {
    const ledger = this.#ledger
    const { epoch, signal } = this.#context
    await this.#inTurn(FENCE, async () => {
      await this.#init(FENCE, signal)
      await this.#look(signal)
      checkOpen(this.#context, ledger)
      await this.#writeFence({ epoch, partitions: ledger.claim.partitions }, signal)
    })
    const count = Math.max(this.#named, ...[...ledger.entries.keys()].map((partition) => partition + 1))
    await atOnce(
      Array.from({ length: count }, (_, partition) => partition),
      (partition) => this.#init(partition, signal),
    )
    // What it has committed until its producers were fenced.
    await this.#read('all', signal)
    checkOpen(this.#context, ledger)
  }

  /** Applies a partition unless it is applied: `write` gives its records to the transaction. */
  async write(
    id: BatchPartitionId,
    { signal, indexes }: { readonly signal: AbortSignal; readonly indexes: readonly number[] | undefined },
    write: WriteRecords,
  ): Promise<void> {
    await this.#inTurn(id.partition, async () => {
      if (this.#isClosed) throw sinkError('STOPPED', `output ${id.output} is closed; open it again`)
      const producer = this.#producers.get(id.partition) ?? (await this.#take(id, signal))
      const settled = new Set(this.settledIndexes(id))
      const fresh = indexes?.filter((index) => !settled.has(index)) ?? []
      if (decide(id, this.#ledger) === 'applied' && fresh.length === 0) return
      const { batchTime, partitions, planDigest, epoch } = id
      const entry: LedgerEntry = {
        ...{ batchTime, partitions, planDigest, epoch },
        ...(indexes === undefined ? {} : { indexes: [...settled, ...fresh].sort((a, b) => a - b) }),
      }
      const record = this.#ledger.entryRecord(id.partition, entry)
      await this.#transact(id.partition, producer, signal, async (transaction) => {
        await write(transaction, (index) => indexes === undefined || !settled.has(indexes[index] as number))
        await this.#sendToLedger(transaction, record, signal)
      })
      this.#ledger.take(id.partition, entry)
    })
  }

  settledIndexes(id: BatchPartitionId): readonly number[] {
    const entry = this.#ledger.entries.get(id.partition)
    return entry === undefined || !isSameBatch(entry, id) ? [] : (entry.indexes ?? [])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#producers.keys()].map((name) => this.#discard(name)))
  }

  /** A producer for a partition that has none, or whose last one has failed. */
  async #take(id: BatchPartitionId, signal: AbortSignal): Promise<TransactionalProducer> {
    // Initialising would fence the owner, if that is somebody else by now.
    await this.#requireOwned(signal)
    if (id.partition >= this.#named) await this.#reserve(id, signal)
    const producer = await this.#init(id.partition, signal)
    try {
      await this.#read(id.partition, signal)
      this.#checkOwned()
      return producer
    } catch (error) {
      await this.#discard(id.partition)
      throw error
    }
  }

  /** Has the fence name all partitions of the batch. */
  async #reserve({ partition, partitions }: BatchPartitionId, signal: AbortSignal): Promise<void> {
    await this.#inTurn(FENCE, async () => {
      if (partition < this.#named) return
      if (!this.#producers.has(FENCE)) await this.#init(FENCE, signal)
      await this.#requireOwned(signal)
      await this.#writeFence({ epoch: this.#context.epoch, partitions: Math.max(partitions, partition + 1) }, signal)
    })
  }

  async #writeFence(fence: { epoch: number; partitions: number }, signal: AbortSignal | undefined): Promise<void> {
    const producer = this.#producers.get(FENCE) as TransactionalProducer
    await this.#transact(FENCE, producer, signal, (transaction) =>
      this.#sendToLedger(transaction, this.#ledger.fenceRecord(fence), signal),
    )
    this.#named = fence.partitions
  }

  #sendToLedger(transaction: Transaction, record: RecordToProduce, signal: AbortSignal | undefined): Promise<void> {
    return transaction.send(this.#ledger.topic, [record], { signal })
  }

  /** After an error nothing is known of what was under way: the next one to write makes another producer. */
  async #transact(
    name: number | typeof FENCE,
    producer: TransactionalProducer,
    signal: AbortSignal | undefined,
    work: (transaction: Transaction) => Promise<void>,
  ): Promise<void> {
    let transaction: Transaction | undefined
    try {
      transaction = await producer.begin()
      await work(transaction)
      await transaction.commit({ signal })
    } catch (error) {
      this.#producers.delete(name)
      // So that readers need not wait until its time is out. It is done where the commit had begun, and refused.
      void transaction
        ?.abort()
        .catch(() => undefined)
        .finally(() => void producer.close().catch(() => undefined))
      throw signal?.aborted === true ? error : await this.#explained(error, signal)
    }
  }

  /**
   * Another producer of the id is another owner's; unless we are the owner still: then it was an old owner's, which by now knows that it
   * is none. Errors that say that the producer is lost, or does not fit the transaction, are over with another producer.
   */
  async #explained(error: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    if (isProducerLost(error)) return failedOnce(error)
    if (!isSluiceError(error, 'FENCED')) return error
    await this.#requireOwned(signal)
    return failedOnce(error)
  }

  async #requireOwned(signal: AbortSignal | undefined): Promise<void> {
    await this.#look(signal)
    this.#checkOwned()
  }

  #checkOwned(): void {
    const { claim } = this.#ledger
    if (claim.epoch > this.#context.epoch) throw fenced(this.#context, claim.epoch)
  }

  #look(signal: AbortSignal | undefined): Promise<void> {
    return this.#inTurnToRead(() => this.#ledger.look(signal))
  }

  #read(partition: number | 'all', signal: AbortSignal | undefined): Promise<void> {
    return this.#inTurnToRead(() => this.#ledger.read(partition, signal))
  }

  #inTurnToRead(work: () => Promise<void>): Promise<void> {
    const reading = this.#reading.then(work)
    this.#reading = reading.catch(() => undefined)
    return reading
  }

  async #init(name: number | typeof FENCE, signal: AbortSignal | undefined): Promise<TransactionalProducer> {
    const { app, output } = this.#context
    const timeoutMs = this.#timeoutMs
    const producer = await this.#client.transactional(`${app}/${output}/${String(name)}`, { timeoutMs })
    try {
      await producer.init({ signal })
    } catch (error) {
      await producer.close().catch(() => undefined)
      throw error
    }
    if (this.#isClosed) {
      await producer.close()
      throw sinkError('STOPPED', `output ${output} is closed; open it again`)
    }
    this.#producers.set(name, producer)
    return producer
  }

  async #discard(name: number | typeof FENCE): Promise<void> {
    const producer = this.#producers.get(name)
    this.#producers.delete(name)
    await producer?.close().catch(() => undefined)
  }

  #inTurn<T>(name: number | typeof FENCE, work: () => Promise<T>): Promise<T> {
    const done = (this.#turns.get(name) ?? Promise.resolve()).then(work)
    this.#turns.set(
      name,
      done.catch(() => undefined),
    )
    return done
  }
}

async function atOnce(values: readonly number[], work: (value: number) => Promise<unknown>): Promise<void> {
  const rest = values.values()
  const worker = async (): Promise<void> => {
    for (const value of rest) await work(value)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, values.length) }, worker))
}
