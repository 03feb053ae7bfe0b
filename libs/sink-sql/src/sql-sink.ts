/**
 * The sink for all databases: the rows of a batch partition and its ledger row in one transaction, or those of a whole batch
 * (E1, E8, E18, E21).
 */
import {
  isSluiceError,
  type BatchId,
  type BatchPartitionId,
  type PlannedOffsets,
  type Sink,
  type SinkContext,
  type SinkGuarantee,
  type WriteContext,
} from '@sluice/core'
import { BatchTransactions, inSavepoint, type BatchPlan, type OpenBatch } from './batch-transaction.js'
import type { Connected, ConnectContext } from './connected.js'
import type { Dialect } from './dialect.js'
import { sqlError } from './errors.js'
import { Ledger, type LookUp } from './ledger-steps.js'
import type { SinkPlan } from './sink-options.js'
import type { Steps, TransactionOptions } from './steps.js'
import { making, makeTable, prepareTable } from './table.js'
import { CustomWriter, RowWriter, type Apply, type Entry, type Reject, type Writer } from './writer.js'

/** What a database's own module gives. */
export interface SqlSinkParts {
  readonly name: string
  readonly target: string
  readonly guarantee: SinkGuarantee
  readonly plan: SinkPlan
  /** Of mode `custom`. */
  readonly apply: Apply | undefined
  /** Of `transaction: 'batch'`. */
  readonly batch?: BatchPlan | undefined
  /** Connects. The dialect may depend on what is found there. */
  connect(context: ConnectContext): Promise<Connected>
}

interface Opened extends Connected {
  readonly ledger: Ledger
  readonly writer: Writer
}

/** One try to apply a partition. */
interface Attempt {
  /** What is not applied yet. */
  due: readonly Entry[]
  /** By index, what the database refuses. */
  readonly refused: Map<number, Error>
}

export function makeSqlSink(parts: SqlSinkParts): Sink<unknown> {
  return parts.batch === undefined ? new SqlSink(parts) : new BatchSqlSink(parts, parts.batch)
}

class SqlSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name: string
  readonly target: string
  readonly guarantee: SinkGuarantee
  readonly #parts: SqlSinkParts
  #opened: Promise<Opened> | undefined

  constructor(parts: SqlSinkParts) {
    this.#parts = parts
    this.name = parts.name
    this.target = parts.target
    this.guarantee = parts.guarantee
  }

  /** A sink may belong to several outputs: each claims its own fence. */
  async open(context: SinkContext): Promise<void> {
    this.#opened ??= this.#connect(context).catch((error: unknown) => {
      this.#opened = undefined
      throw error
    })
    const { session, ledger } = await this.#opened
    try {
      await session.transaction(() => ledger.claim(context), { signal: context.signal })
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #connect(context: SinkContext): Promise<Opened> {
    const { plan } = this.#parts
    const { session, dialect } = await this.#parts.connect(context)
    const { signal } = context
    try {
      const ledger = new Ledger(dialect, plan.schema)
      // What makes tables ends the transaction in some databases: nothing is checked, and nothing claimed, in this one.
      await session.transaction(() => makeAll(ledger, dialect, plan), { signal })
      const writer = await session.transaction(() => this.#prepare(dialect), { signal, undo: true })
      return { session, dialect, ledger, writer }
    } catch (error) {
      await session.close()
      throw error
    }
  }

  *#prepare(dialect: Dialect): Steps<Writer> {
    const { plan, apply } = this.#parts
    const { columns, isExact } = yield* prepareTable(dialect, plan)
    const { mode } = plan
    const writer =
      mode === 'custom'
        ? new CustomWriter(dialect, apply as Apply)
        : new RowWriter(dialect, { ...plan, mode, columns }, isExact)
    yield* writer.check()
    // What it is given is what it has made.
    return writer as unknown as Writer
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const opened = await this.required()
    const { signal, indexes } = context
    signal.throwIfAborted()
    let entries = await collect(opened.writer, chunks, context)
    for (;;) {
      signal.throwIfAborted()
      await context.settleRejects()
      const attempt: Attempt = { due: entries, refused: new Map() }
      const { refused } = attempt
      try {
        await this.transact(opened, id, () => applyPartition(opened, id, entries, indexes, attempt), { signal })
        return
      } catch (error) {
        if (!isSluiceError(error, 'RECORD_REJECTED')) throw error
        if (refused.size === 0) await this.#findRefused(opened, id, attempt, error, signal)
      }
      // What was written is undone. The refused records are settled, and the others tried again as a whole.
      for (const [index, error] of refused) context.reject(index, error)
      entries = entries.filter(({ index }) => !refused.has(index))
    }
  }

  /** Which records the database refuses, found in a transaction that is undone (E18). */
  async #findRefused(
    opened: Opened,
    id: BatchPartitionId,
    { due, refused }: Attempt,
    error: Error,
    signal: AbortSignal,
  ): Promise<void> {
    const probe = function* (): Steps<void> {
      refused.clear()
      yield* opened.writer.probe?.(due, (index, reason) => void refused.set(index, reason)) ?? []
    }
    await this.transact(opened, id, probe, { signal, undo: true })
    if (refused.size > 0) return
    const message = `a record was refused, and then none was: ${error.message}; somebody else writes to the table`
    throw sqlError('OUTPUT_FAILED', message, { cause: error, retryable: true })
  }

  /** Runs steps of one partition: here, in a transaction of their own. */
  protected transact<R>(
    { session }: Opened,
    _id: BatchPartitionId,
    steps: () => Steps<R>,
    options: TransactionOptions & { readonly signal: AbortSignal },
  ): Promise<R> {
    return session.transaction(steps, options)
  }

  async settledIndexes(id: BatchPartitionId): Promise<readonly number[]> {
    const { session, ledger } = await this.required()
    return session.transaction(() => ledger.settledIndexes(id), { undo: true })
  }

  protected required(): Promise<Opened> {
    return (
      this.#opened ??
      Promise.reject(sqlError('STOPPED', `sink ${this.target} is not open; open it before it is written to`))
    )
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    await (await opened?.catch(() => undefined))?.session.close()
  }
}

/** All partitions of a batch, and the offsets, in one transaction. */
class BatchSqlSink extends SqlSink {
  readonly unit = 'batch'
  readonly #plan: BatchPlan
  readonly #open = new BatchTransactions()

  constructor(parts: SqlSinkParts, plan: BatchPlan) {
    super(parts)
    this.#plan = plan
  }

  protected override async transact<R>(
    { session }: Opened,
    id: BatchPartitionId,
    steps: () => Steps<R>,
    options: TransactionOptions & { readonly signal: AbortSignal },
  ): Promise<R> {
    const batch = await this.#open.of(session, id)
    const result = await inSavepoint(batch.transaction, steps, options)
    if (options.undo !== true) batch.hasNew ||= result === true
    return result
  }

  async commitBatch(
    id: BatchId,
    { offsets: planned, signal }: { readonly offsets: PlannedOffsets; readonly signal: AbortSignal },
  ): Promise<void> {
    const opened = await this.required()
    const { store, of } = this.#plan
    signal.throwIfAborted()
    const batch = await this.#open.of(opened.session, id)
    const commit = async (offsetsOf: (dialect: Dialect) => Steps<void>): Promise<void> => {
      await batch.transaction.run(() => completeBatch(opened, id, batch, offsetsOf), signal)
      await batch.transaction.commit(signal)
      this.#open.forget(id)
    }
    if (store === undefined) await commit(nothing)
    else await store.storeWith(of(planned), commit)
  }

  override async close(): Promise<void> {
    await this.#open.abandonAll()
    await super.close()
  }
}

function* nothing(): Steps<void> {
  // There are no offsets to be stored.
}

/** What is left to be done in the transaction of a batch. One that was applied before has its offsets, too. */
function* completeBatch(
  opened: Opened,
  id: BatchId,
  { hasNew }: OpenBatch,
  offsetsOf: (dialect: Dialect) => Steps<void>,
): Steps<void> {
  const { ledger, dialect } = opened
  let isNew = hasNew
  if (id.partitions > 0) yield* ledger.requireWhole(id)
  // A batch without partitions has an entry all the same: it tells whether the offsets are stored.
  else isNew = yield* applyPartition(opened, { ...id, partition: 0 }, [], undefined, { due: [], refused: new Map() })
  if (isNew) yield* offsetsOf(dialect)
}

function* makeAll(ledger: Ledger, dialect: Dialect, plan: SinkPlan): Steps<void> {
  yield* making(dialect, function* () {
    yield* ledger.make()
    yield* makeTable(dialect, plan)
  })
}

async function collect(
  writer: Writer,
  chunks: AsyncIterable<readonly unknown[]>,
  { reject }: WriteContext,
): Promise<Entry[]> {
  const entries: Entry[] = []
  let index = 0
  for await (const chunk of chunks) {
    for (const record of chunk) {
      const entry = writer.entryOf(record, index++, reject)
      if (entry !== undefined) entries.push(entry)
    }
  }
  return entries
}

function* applyPartition(
  { ledger, writer }: Opened,
  id: BatchPartitionId,
  entries: readonly Entry[],
  indexes: readonly number[] | undefined,
  attempt: Attempt,
): Steps<boolean> {
  const { refused } = attempt
  const found: LookUp = yield* ledger.lookUp(id)
  const known = new Set(found.indexes)
  const isNew = ({ index }: Entry): boolean => !known.has(indexes?.[index] ?? -1)
  const due = found.apply ? entries : indexes === undefined ? [] : entries.filter(isNew)
  if (!found.apply && due.length === 0) return false
  attempt.due = due
  refused.clear()
  const reject: Reject = (index, error) => void refused.set(index, error)
  yield* writer.write(due, id, reject)
  // Undoes it.
  if (refused.size > 0) throw sqlError('RECORD_REJECTED', 'some records are refused; see those')
  yield* ledger.store(id, found, indexes === undefined ? undefined : [...new Set([...found.indexes, ...indexes])])
  return true
}
