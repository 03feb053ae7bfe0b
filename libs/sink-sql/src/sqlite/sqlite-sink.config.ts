/** Options of the SQLite sink, and what is wrong with them. */
import { requireThat } from '../errors.js'
import { planSink, type SinkPlan, type SqlSinkOptions, type SqlTarget, type SqlWrite } from '../sink-options.js'
import type { SqliteDriverName, SqliteHandle, SqliteTransaction } from './sqlite-driver.js'

/** Where the rows go: a file that the sink opens itself, or a database that is yours and stays open. */
export type SqlitePlace =
  | {
      /** Path of the database; made where there is none, in a folder that exists. */
      readonly file: string
      /** Default: `'auto'`, the first of node:sqlite, better-sqlite3 and node-sqlite3-wasm that there is. */
      readonly driver?: SqliteDriverName | 'auto' | undefined
      readonly database?: undefined
    }
  | {
      /** An open database of any of the three drivers. It is never closed, and transactions on it are never interrupted. */
      readonly database: SqliteHandle
      readonly file?: undefined
      readonly driver?: undefined
    }

/** What is done with the records. A function of mode `custom` must not be asynchronous. */
export type SqliteWrite<T> = SqlWrite<T, SqliteTransaction, void>

export type SqliteSinkOptions<T> = SqlitePlace &
  SqliteWrite<T> &
  SqlTarget & {
    /** Milliseconds for which a database that others have locked is tried again. Default: 5,000. */
    readonly busyTimeoutMs?: number | undefined
  }

export type SqliteOffsetStoreOptions = SqlitePlace & {
  /** Milliseconds for which a database that others have locked is tried again. Default: 5,000. */
  readonly busyTimeoutMs?: number | undefined
}

const DEFAULT_BUSY_TIMEOUT_MS = 5_000

export function busyTimeoutOf({
  busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS,
}: {
  busyTimeoutMs?: number | undefined
}): number {
  requireThat(busyTimeoutMs >= 0, `busyTimeoutMs must be at least 0, not ${String(busyTimeoutMs)}`)
  return busyTimeoutMs
}

/** Throws `ARGUMENT_INVALID`. */
export function planSqliteSink(options: SqliteSinkOptions<never>): SinkPlan {
  const plan = planSink(options as SqlSinkOptions, 'SQLite')
  requirePlace(options)
  return plan
}

/** Throws `ARGUMENT_INVALID`. */
export function requirePlace({ file, database }: SqlitePlace): void {
  requireThat((file === undefined) !== (database === undefined), 'give either a `file` or a `database`')
  const inMemory = file === '' || file === ':memory:' || file?.startsWith('file:') === true
  requireThat(!inMemory, `'${String(file)}' is no path of a file; for anything else open a \`database\` yourself`)
}
