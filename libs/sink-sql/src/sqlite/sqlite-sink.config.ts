/** Options of the SQLite sink, and what is wrong with them. */
import type { BatchPartitionId } from '@sluice/core'
import { planColumns, type ColumnPlan, type Columns } from '../columns.js'
import { requireThat } from '../errors.js'
import { FENCE, LEDGER } from '../ledger.js'
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

/** What is done with the records. */
export type SqliteWrite<T> =
  | {
      /** `insert`: every record is a new row; one whose key is taken is rejected. */
      readonly mode: 'insert'
      readonly columns: Columns<T>
      /** Primary key of the table where the sink makes it. */
      readonly key?: string | readonly string[] | undefined
    }
  | {
      /** `upsert`: the last record of a key replaces its row. `insertIgnore`: the first record of a key makes its row. */
      readonly mode: 'upsert' | 'insertIgnore'
      readonly columns: Columns<T>
      /** Columns of the table's primary key, or of a unique index. */
      readonly key: string | readonly string[]
    }
  | {
      readonly mode: 'custom'
      /**
       * Called in the transaction, with all records of the partition. What it does through `db` is undone with the transaction if
       * anything fails; then it may be called again. It must not be asynchronous. Statements that end the transaction are an error.
       */
      readonly apply: (db: SqliteTransaction, records: readonly T[], id: BatchPartitionId, reject: RejectRecord) => void
      /** Columns that `table` must have; it is made where it is missing. */
      readonly columns?: Columns<T> | undefined
      readonly key?: string | readonly string[] | undefined
    }

/** Rejects a record by its place in the array given: the transaction is undone, and `apply` called again without it. */
export type RejectRecord = (at: number, error: Error) => void

export type SqliteSinkOptions<T> = SqlitePlace &
  SqliteWrite<T> & {
    /** Where the records go; with `custom` the name by which the output is known. */
    readonly table: string
    /** Whether a missing table is made. Default: true. */
    readonly createTable?: boolean | undefined
    /** Milliseconds for which a database that others have locked is tried again. Default: 5,000. */
    readonly busyTimeoutMs?: number | undefined
  }

export interface SinkPlan {
  readonly table: string
  readonly columns: readonly ColumnPlan[]
  readonly key: readonly string[]
  readonly createTable: boolean
}

const MODES = ['insert', 'upsert', 'insertIgnore', 'custom']
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
export function planSink(options: SqliteSinkOptions<never>): SinkPlan {
  const { mode, table, file, database, createTable = true } = options
  requireThat(MODES.includes(mode), `there is no mode '${String(mode)}'; use one of ${MODES.join(', ')}`)
  requireThat(typeof table === 'string' && /[^\s\0]/.test(table), 'the sink needs the name of a `table`')
  requireThat(![LEDGER, FENCE].includes(table.toLowerCase()), `table ${table} is the sink's own; give another name`)
  requireThat((file === undefined) !== (database === undefined), 'give either a `file` or a `database`')
  const inMemory = file === '' || file === ':memory:' || file?.startsWith('file:') === true
  requireThat(!inMemory, `'${String(file)}' is no path of a file; for anything else open a \`database\` yourself`)
  const columns = planColumns(options.columns ?? {})
  const { key = [] } = options
  const keys = typeof key === 'string' ? [key] : key
  requireThat(mode === 'custom' || columns.length > 0, 'the sink needs `columns`')
  requireThat(mode === 'custom' || mode === 'insert' || keys.length > 0, `mode ${mode} needs a \`key\``)
  for (const name of keys) requireKey(name, columns)
  return { table, columns, key: keys, createTable }
}

function requireKey(name: string, columns: readonly ColumnPlan[]): void {
  const column = columns.find((each) => each.name === name)
  requireThat(column !== undefined, `key ${name} is none of the columns`)
  requireThat(!column.nullable, `key ${name} must not be nullable: SQLite takes every null for another key`)
  requireThat(column.type !== 'json', `key ${name} is json, of which one value has many texts; use another type`)
}
