/** How each mode puts the records of a partition into the database. */
import { isSluiceError, type BatchPartitionId } from '@sluice/core'
import { insertStatement } from '../dialect.js'
import { sqlError, toError } from '../errors.js'
import { collapse, rowOf, type Row } from '../rows.js'
import { sqliteDialect } from './sqlite-dialect.js'
import type { SqliteConnection, SqliteTransaction } from './sqlite-driver.js'
import { isRefusal } from './sqlite-errors.js'
import type { SinkPlan, SqliteSinkOptions } from './sqlite-sink.config.js'

/** A record on its way, with its number in the partition. */
export interface Entry {
  readonly index: number
}

export type Reject = (index: number, error: Error) => void

/** One mode. `E` is what it makes of a record. */
export interface Writer<E extends Entry = Entry> {
  /** Undefined for a record that it has rejected. */
  entryOf(record: unknown, index: number, reject: Reject): E | undefined
  /** Fails where the table is not what the mode needs. */
  check(db: SqliteTransaction): void
  /** Writes entries; those that the database refuses are given to `reject` and the others are tried all the same. */
  write(db: SqliteConnection, entries: readonly E[], id: BatchPartitionId, reject: Reject): Generator<undefined, void>
}

export function writerOf(options: SqliteSinkOptions<never>, plan: SinkPlan): Writer {
  return (options.mode === 'custom' ? customWriter(options.apply as Apply) : rowWriter(options.mode, plan)) as Writer
}

function rowWriter(mode: 'insert' | 'upsert' | 'insertIgnore', plan: SinkPlan): Writer<Row> {
  const { columns, key } = plan
  const names = columns.map(({ name }) => name)
  const statement = insertStatement(sqliteDialect, plan.table, names, { mode, key })
  const keyPlaces = key.map((name) => names.indexOf(name))
  return {
    entryOf: (record, index, reject) => rowOf(columns, record, index, reject),
    check: (db) => {
      requireUnique(
        () =>
          db.all(
            `EXPLAIN ${statement}`,
            names.map(() => null),
          ),
        plan,
      )
    },
    *write(db, rows, _id, reject) {
      const chosen = mode === 'insert' ? rows : collapse(rows, keyPlaces, mode === 'upsert' ? 'last' : 'first')
      for (const { index, values } of chosen) {
        const encoded = values.map((value) => sqliteDialect.encode(value))
        try {
          db.run(statement, encoded)
        } catch (error) {
          if (!isRefusal(error)) throw error
          requireOpenTransaction(db, error)
          reject(index, refusal(error))
        }
        yield
      }
    },
  }
}

function requireUnique(prepare: () => void, { table, key }: SinkPlan): void {
  try {
    prepare()
  } catch (error) {
    const problem = toError(error).message
    if (!problem.includes('ON CONFLICT clause does not match')) throw error
    throw sqlError(
      'ARGUMENT_INVALID',
      `table ${table} has no primary key or unique index of (${key.join(', ')}); make one, or give its columns as key`,
      { cause: error },
    )
  }
}

/** A table may say that a conflict rolls everything back; what follows would then be written without a transaction. */
function requireOpenTransaction(db: SqliteConnection, cause: unknown): void {
  try {
    db.exec('BEGIN')
  } catch {
    return
  }
  db.exec('ROLLBACK')
  const message =
    'a conflict in the table, or what was called, has ended the transaction; leave out ON CONFLICT ROLLBACK, COMMIT and ROLLBACK'
  throw sqlError('OUTPUT_FAILED', message, { cause })
}

function refusal(error: unknown): Error {
  const { message } = toError(error)
  return sqlError('RECORD_REJECTED', `SQLite refuses it: ${message}; repair the record or the table`, { cause: error })
}

interface CustomEntry extends Entry {
  readonly record: unknown
}

type Apply = (
  db: SqliteTransaction,
  records: readonly unknown[],
  id: BatchPartitionId,
  reject: (at: number, error: Error) => void,
) => unknown

function customWriter(apply: Apply): Writer<CustomEntry> {
  return {
    entryOf: (record, index) => ({ index, record }),
    check: () => undefined,
    *write(db, entries, id, reject) {
      const records = entries.map(({ record }) => record)
      const { run, all } = { run: db.run.bind(db), all: db.all.bind(db) }
      let result: unknown
      try {
        result = apply({ run, all }, records, id, (at, error) => {
          const entry = entries[at]
          if (entry === undefined) throw noSuchRecord(at)
          reject(entry.index, error)
        })
      } catch (error) {
        throw isSluiceError(error) ? error : customFailed(error)
      }
      if (typeof (result as { then?: unknown } | undefined)?.then === 'function')
        throw isAsync(result as Promise<unknown>)
      requireOpenTransaction(db, undefined)
    },
  }
}

function customFailed(cause: unknown) {
  const retryable = true
  return sqlError('OUTPUT_FAILED', `apply failed: ${toError(cause).message}; see the cause`, { cause, retryable })
}

function noSuchRecord(at: number) {
  return sqlError('ARGUMENT_INVALID', `apply rejects record ${String(at)}, which it was not given; count from 0`)
}

function isAsync(result: Promise<unknown>) {
  // Its own failure would be nobody's.
  result.catch(() => undefined)
  return sqlError(
    'ASYNC_FUNCTION',
    'apply is asynchronous; a transaction waits for nothing: do that before, with mapAsync',
  )
}
