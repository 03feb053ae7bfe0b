/** The sink for SQLite: the rows of a batch partition and its ledger row in one transaction (E1, E8, E18). */
import {
  endProcess,
  isSluiceError,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type SinkGuarantee,
  type WriteContext,
} from '@sluice/core'
import { sqlError } from '../errors.js'
import type { SqliteConnection } from './sqlite-driver.js'
import { claimFence, LEDGER_TABLES, lookUp, settledIndexes, store } from './sqlite-ledger.js'
import { borrowedSession, fileSession, type SqliteSession } from './sqlite-session.js'
import { busyTimeoutOf, planSink, type SinkPlan, type SqliteSinkOptions } from './sqlite-sink.config.js'
import { prepareTable } from './sqlite-table.js'
import { writerOf, type Entry, type Reject, type Writer } from './sqlite-writer.js'

const NAME = 'sqlite-sink'

/**
 * A sink that writes to a table of SQLite. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; what is wrong with
 * file, table or driver rejects `start()`.
 */
export function sqliteSink<T>(options: SqliteSinkOptions<T>): Sink<T> {
  return new SqliteSink(options as SqliteSinkOptions<never>)
}

class SqliteSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name = NAME
  readonly target: string
  readonly guarantee: SinkGuarantee
  readonly #options: SqliteSinkOptions<never>
  readonly #plan: SinkPlan
  readonly #writer: Writer
  readonly #busyTimeoutMs: number
  #session: Promise<SqliteSession> | undefined

  constructor(options: SqliteSinkOptions<never>) {
    this.#options = options
    this.#plan = planSink(options)
    this.#writer = writerOf(options, this.#plan)
    this.#busyTimeoutMs = busyTimeoutOf(options)
    this.target = options.table
    this.guarantee = guaranteeOf(options)
  }

  /** A sink may belong to several outputs: each claims its own fence. */
  async open(context: SinkContext): Promise<void> {
    this.#session ??= this.#connect(context).catch((error: unknown) => {
      this.#session = undefined
      throw error
    })
    const session = await this.#session
    try {
      await session.transaction((db) => this.#prepare(db, context), context.signal)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #connect({ clock, logger, replaced = [], signal }: SinkContext): Promise<SqliteSession> {
    for (const process of replaced) {
      logger.warn(
        `[${NAME}] ends process ${String(process.pid)}, from which this one takes over: it may hold locks of SQLite`,
      )
      await endProcess(process, clock, signal)
    }
    const { file, driver = 'auto', database } = this.#options
    const options = { clock, busyTimeoutMs: this.#busyTimeoutMs }
    if (database !== undefined) {
      const session = borrowedSession(database, options)
      // The one setting that our promise rests on, and that is not ours to change.
      if (await session.transaction(isUnsynced, undefined, 'BEGIN'))
        logger.warn(
          `[${NAME}] ${this.target}: a power cut may lose batches that are done; PRAGMA synchronous = FULL prevents that`,
        )
      return session
    }
    const opened = await fileSession(file, driver, options)
    logger.info(`${NAME}: ${this.target} in ${file} by ${opened.driver}`)
    return opened.session
  }

  *#prepare(db: SqliteConnection, context: SinkContext): Generator<undefined, void> {
    for (const statement of LEDGER_TABLES) db.run(statement)
    yield
    prepareTable(db, this.#plan)
    this.#writer.check(db)
    yield
    claimFence(db, context)
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const session = await this.#opened()
    const { signal, indexes } = context
    signal.throwIfAborted()
    let entries = await this.#collect(chunks, context)
    for (;;) {
      signal.throwIfAborted()
      await context.settleRejects()
      const refused = new Map<number, Error>()
      try {
        await session.transaction((db) => this.#apply(db, id, entries, indexes, refused), signal)
        return
      } catch (error) {
        if (refused.size === 0 || !isSluiceError(error, 'RECORD_REJECTED')) throw error
      }
      // The transaction was undone. The refused records are settled, and the others tried again as a whole.
      for (const [index, error] of refused) context.reject(index, error)
      entries = entries.filter(({ index }) => !refused.has(index))
    }
  }

  async #collect(chunks: AsyncIterable<readonly unknown[]>, { reject }: WriteContext): Promise<Entry[]> {
    const entries: Entry[] = []
    let index = 0
    for await (const chunk of chunks) {
      for (const record of chunk) {
        const entry = this.#writer.entryOf(record, index++, reject)
        if (entry !== undefined) entries.push(entry)
      }
    }
    return entries
  }

  *#apply(
    db: SqliteConnection,
    id: BatchPartitionId,
    entries: readonly Entry[],
    indexes: readonly number[] | undefined,
    refused: Map<number, Error>,
  ): Generator<undefined, void> {
    const { apply, indexes: stored } = lookUp(db, id)
    const known = new Set(stored)
    const isNew = ({ index }: Entry): boolean => !known.has(indexes?.[index] ?? -1)
    const due = apply ? entries : indexes === undefined ? [] : entries.filter(isNew)
    if (!apply && due.length === 0) return
    refused.clear()
    const reject: Reject = (index, error) => void refused.set(index, error)
    yield* this.#writer.write(db, due, id, reject)
    // Rolls back.
    if (refused.size > 0) throw sqlError('RECORD_REJECTED', 'some records are refused; see those')
    store(db, id, indexes === undefined ? undefined : [...new Set([...stored, ...indexes])])
  }

  async settledIndexes(id: BatchPartitionId): Promise<readonly number[]> {
    const session = await this.#opened()
    return session.transaction(function* (db) {
      return settledIndexes(db, id)
    })
  }

  #opened(): Promise<SqliteSession> {
    return (
      this.#session ??
      Promise.reject(sqlError('STOPPED', `sink ${this.target} is not open; open it before it is written to`))
    )
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await (await session?.catch(() => undefined))?.close()
  }
}

function* isUnsynced(db: SqliteConnection): Generator<undefined, boolean> {
  const [row] = db.all('PRAGMA synchronous')
  const FULL = 2
  return Number(Object.values(row ?? {})[0]) < FULL
}

function guaranteeOf({ mode, database }: SqliteSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one transaction of a database on a local disk']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (database !== undefined) parts.push('the given database has synchronous = FULL')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
