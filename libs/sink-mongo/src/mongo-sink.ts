/** The sink for MongoDB: guards in the documents, or writes and ledger in one transaction (E1, E8, E9, E18, E20). */
import type { BatchPartitionId, Sink, SinkContext, SinkGuarantee, WriteContext } from '@sluice/core'
import type { ClientSession } from 'mongodb'
import { writeAll, type BulkTarget, type Outlook, type Refused } from './bulk.js'
import { mongoError } from './errors.js'
import { guaranteeOf } from './guarantee.js'
import { Ledger, ownerOf, type Entry } from './ledger.js'
import {
  guardOf,
  indexesOf,
  planMode,
  refusal,
  Gatherer,
  nothingGathered,
  type Guard,
  type Mode,
  type Write,
} from './modes.js'
import {
  checkOptions,
  DEFAULT_CALL_TIMEOUT_MS,
  DEFAULT_LEDGER,
  type AnyWrite,
  type MongoSinkOptions,
} from './mongo-sink.config.js'
import { requireAccess } from './permissions.js'
import { Store } from './store.js'
import { inTransaction, requireTransactions } from './transactions.js'

const NAME = 'mongo-sink'
/** Sequence numbers have to be compared as texts. */
const DIGITS_END = ':'

/**
 * A sink that writes to MongoDB. However often a batch is run, its effect is there once. Throws `ARGUMENT_INVALID` for options that make no
 * sense; what is wrong with the server rejects `start()`.
 */
export function mongoSink<T>(options: MongoSinkOptions<T>): Sink<T> {
  return new MongoSink(options as unknown as MongoSinkOptions<never>)
}

/** One try of one partition. */
interface Try {
  readonly store: Store
  readonly ledger: Ledger
  readonly id: BatchPartitionId
  readonly context: WriteContext
  readonly writes: readonly Write[]
  readonly chunkSize: number
}

class MongoSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name = NAME
  readonly target: string
  readonly guarantee: SinkGuarantee
  readonly settledIndexes?: (id: BatchPartitionId) => Promise<readonly number[]>
  readonly #options: MongoSinkOptions<never>
  readonly #mode: Mode
  readonly #gatherer: Gatherer
  readonly #ledgerName: string
  readonly #outlook: Outlook = { isMostlyNew: false }
  #store: Store | undefined
  /** A transaction locks the ledger of its output: partitions take turns. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: MongoSinkOptions<never>) {
    checkOptions(options)
    this.#options = options
    this.#mode = planMode(options as unknown as AnyWrite)
    this.#gatherer = new Gatherer(this.#mode, options.collection)
    this.#ledgerName = options.ledgerCollection ?? DEFAULT_LEDGER
    const { collection, database, mode, ledger = true } = options
    this.target = `${mode} ${database}.${typeof collection === 'string' ? collection : '*'}`
    this.guarantee = guaranteeOf(options)
    if (this.#mode.isNumbered && ledger && typeof collection === 'string')
      this.settledIndexes = (id) => this.#settledIndexes(id, collection)
  }

  /** A sink may belong to several outputs: each claims its own fence. */
  async open(context: SinkContext): Promise<void> {
    const { database, writeConcern, callTimeoutMs = DEFAULT_CALL_TIMEOUT_MS, ledger = true, collection } = this.#options
    const concern = { w: 'majority', journal: true, ...writeConcern } as const
    const store = (this.#store ??= new Store(this.#options, database, concern, context.clock, callTimeoutMs))
    await this.#connect(store, context.signal)
    await requireAccess(store, this.#mode, typeof collection === 'string' ? collection : undefined, context)
    if (ledger) await new Ledger(store, this.#ledgerName).claim(context)
    if (this.#options.transaction === true) await requireTransactions(store, this.#ledgerName, context)
  }

  /** A client that has not connected the first time never does. */
  async #connect(store: Store, signal: AbortSignal): Promise<void> {
    try {
      await store.call('connecting', signal, () => store.db.command({ ping: 1 }))
    } catch (error) {
      if (this.#store === store) this.#store = undefined
      await store.close()
      throw error
    }
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const store = this.#opened()
    context.signal.throwIfAborted()
    const { writes, chunkSize } = await this.#collect(chunks, context)
    await context.settleRejects()
    const own: Try = { store, ledger: new Ledger(store, this.#ledgerName), id, context, writes, chunkSize }
    if (this.#options.ledger === false) await this.#settle(own, await this.#write(own, undefined, writes))
    else if (this.#options.transaction === true) await this.#inTurn(() => this.#writeInTransaction(own))
    else await this.#writeGuarded(own)
    context.signal.throwIfAborted()
  }

  async #collect(
    chunks: AsyncIterable<readonly unknown[]>,
    { signal, reject }: WriteContext,
  ): Promise<{ writes: readonly Write[]; chunkSize: number }> {
    const gathered = nothingGathered()
    let index = 0
    let chunkSize = 1
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      for (const record of chunk) this.#gatherer.add(gathered, record, index++, reject)
      chunkSize = Math.max(chunkSize, chunk.length)
    }
    signal.throwIfAborted()
    return { writes: this.#gatherer.end(gathered, reject), chunkSize }
  }

  /** Guards in the documents: the ledger is asked before, and told after. */
  async #writeGuarded(own: Try): Promise<void> {
    const { ledger, id, context, writes } = own
    const { signal, indexes } = context
    const entry = await ledger.begin(id, signal)
    // Dead letters of a partition that is done may be more now.
    if (entry?.isDone === true && indexes === undefined) return
    const guard = guardOf(this.#mode, ownerOf(id), id.batchTime, id.partition)
    const numbers = this.#mode.isNumbered ? (indexes ?? numbersOf(writes.length, entry, id)) : undefined
    if (numbers !== undefined) giveIds(writes, numbers, prefixOf(id))
    const refused = await this.#write(own, guard, writes)
    if (refused.length > 0 && numbers !== undefined && indexes === undefined)
      await ledger.note(id, refusedEntry(refused, writes, numbers, entry), signal)
    await this.#settle(own, refused)
    await ledger.note(id, { isDone: true }, signal)
  }

  /** A refusal ends a transaction: what is refused is left out of the next one, until nothing is and all becomes durable at once (E18). */
  async #writeInTransaction(own: Try): Promise<void> {
    const { store, ledger, id, context } = own
    const { signal, indexes } = context
    if (this.#mode.isNumbered) giveIds(own.writes, indexes ?? own.writes.keys(), prefixOf(id))
    for (let { writes } = own; ;) {
      const refused = await inTransaction(store, signal, async (session) => {
        const entry = await ledger.begin(id, signal, session)
        if (entry?.isDone === true && indexes === undefined) return { end: 'abort', result: [] }
        const left = entry?.isDone === true ? await this.#notThere(own, writes, session) : writes
        const result = await this.#write(own, undefined, left, session)
        if (result.length > 0) return { end: 'abort', result }
        await context.settleRejects()
        await ledger.note(id, { isDone: true }, signal, session)
        return { end: 'commit', result }
      })
      if (refused.length === 0) return
      this.#reject(own, refused)
      const gone = new Set(refused.map(({ write }) => write))
      writes = writes.filter((write) => !gone.has(write))
    }
  }

  /** Dead letters that are there already, from a run before. */
  async #notThere(
    { store, context }: Try,
    writes: readonly Write[],
    session: ClientSession,
  ): Promise<readonly Write[]> {
    const [name = ''] = writes.map(({ collection }) => collection)
    const _id = { $in: writes.map(({ id = '' }) => id) }
    const found = await store.call('reading dead letters', context.signal, () =>
      store
        .collection(name === '' ? this.#ledgerName : name)
        .find({ _id }, { session, projection: { _id: 1 } })
        .toArray(),
    )
    const there = new Set(found.map((document) => document._id))
    return writes.filter(({ id = '' }) => !there.has(id))
  }

  /** Collection after collection, in bulks of as many records as the output's chunks have. */
  async #write(
    { store, context: { signal }, chunkSize }: Try,
    guard: Guard | undefined,
    writes: readonly Write[],
    session?: ClientSession,
  ): Promise<readonly Refused[]> {
    const target: BulkTarget = { store, mode: this.#mode, guard, signal, session, outlook: this.#outlook }
    const refused: Refused[] = []
    for (const [name, group] of byCollection(writes))
      for (let at = 0; at < group.length; at += chunkSize) {
        refused.push(...(await writeAll(target, name, group.slice(at, at + chunkSize))))
        if (session !== undefined && refused.length > 0) return refused
      }
    return refused
  }

  #reject({ context }: Try, refused: readonly Refused[]): void {
    for (const { write, message } of refused)
      for (const index of indexesOf(write)) context.reject(index, refusal(message))
  }

  async #settle(own: Try, refused: readonly Refused[]): Promise<void> {
    if (refused.length === 0) return
    this.#reject(own, refused)
    await own.context.settleRejects()
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#turn
    const own = before.then(work, work)
    this.#turn = own.catch(() => undefined)
    await own
  }

  /** The letters say themselves which they are. */
  async #settledIndexes(id: BatchPartitionId, collection: string): Promise<readonly number[]> {
    const store = this.#opened()
    const prefix = prefixOf(id)
    const found = await store.call('reading dead letters', undefined, () =>
      store
        .collection(collection)
        .find({ _id: { $gte: prefix, $lt: `${prefix}${DIGITS_END}` } }, { projection: { _id: 1 } })
        .toArray(),
    )
    return found.map(({ _id }) => Number(String(_id).slice(prefix.length))).sort((a, b) => a - b)
  }

  #opened(): Store {
    if (this.#store !== undefined) return this.#store
    throw mongoError('STOPPED', `sink ${this.target} is not open; open it before it is written to`)
  }

  async close(): Promise<void> {
    const store = this.#store
    this.#store = undefined
    await store?.close()
  }
}

/** How the `_id`s of a partition begin that the sink makes. */
function prefixOf(id: BatchPartitionId): string {
  return `${ownerOf(id)}-${String(id.batchTime)}-${String(id.partition)}-`
}

function giveIds(writes: readonly Write[], numbers: Iterable<number>, prefix: string): void {
  const next = numbers[Symbol.iterator]()
  for (const write of writes) write.id = `${prefix}${String(next.next().value)}`
}

/** The same number for the same record, also where a run before has sent some to the dead letters, which are left out now. */
function numbersOf(count: number, entry: Entry | undefined, id: BatchPartitionId): readonly number[] {
  const { total = count, refused = [] } = entry ?? {}
  const left = total - count
  if (left < 0 || left > refused.length)
    throw mongoError(
      'IDENTITY_CONFLICT',
      `output ${id.output} began to write ${String(total)} records of partition ${String(id.partition)} of batch ${String(id.batchTime)}, and now there are ${String(count)}; make the batch deterministic with checkpoint() before the output`,
    )
  const gone = new Set(refused.slice(0, left))
  return Array.from({ length: total }, (_, number) => number).filter((number) => !gone.has(number))
}

function refusedEntry(
  refused: readonly Refused[],
  writes: readonly Write[],
  numbers: readonly number[],
  entry: Entry | undefined,
): Omit<Entry, 'time'> {
  const total = entry?.total ?? writes.length
  const before = (entry?.refused ?? []).slice(0, total - writes.length)
  const gone = new Set(refused.map(({ write }) => write))
  return { total, refused: [...before, ...numbers.filter((_, at) => gone.has(writes[at] as Write))] }
}

function byCollection(writes: readonly Write[]): Map<string, Write[]> {
  const groups = new Map<string, Write[]>()
  for (const write of writes) {
    const group = groups.get(write.collection)
    if (group === undefined) groups.set(write.collection, [write])
    else group.push(write)
  }
  return groups
}
