/** The drivers for SQLite, behind one interface: which of them is there, and how each opens a file. */
import { messageOf, sqlError } from '../errors.js'
import type { SqliteValue } from './sqlite-dialect.js'

export type SqliteDriverName = 'node:sqlite' | 'better-sqlite3' | 'node-sqlite3-wasm'

/** The calls that the sink makes on a database of the user's own, as each of the drivers has them. */
export interface SqliteHandle {
  exec(sql: string): unknown
  prepare(sql: string): object
}

/** Statements inside a transaction. Values take the places of `?` in the statement. */
export interface SqliteTransaction {
  /** Runs a statement; returns how many rows it has changed. */
  run(sql: string, values?: readonly SqliteValue[]): number
  /** Runs a query; returns its rows. Integers beyond 2⁵³ depend on the driver. */
  all(sql: string, values?: readonly SqliteValue[]): Record<string, SqliteValue>[]
}

interface Statement {
  run(...values: unknown[]): { changes: number | bigint }
  all(...values: unknown[]): Record<string, SqliteValue>[]
  /** Only statements of node-sqlite3-wasm have it; they take their values as one array. */
  finalize?(): void
}

/** A handle of any driver, with the statements of the current transaction. */
export class SqliteConnection implements SqliteTransaction {
  readonly #handle: SqliteHandle
  readonly #statements = new Map<string, Statement>()

  constructor(handle: SqliteHandle) {
    this.#handle = handle
  }

  exec(sql: string): void {
    this.#handle.exec(sql)
  }

  run(sql: string, values: readonly SqliteValue[] = []): number {
    const statement = this.#statement(sql)
    try {
      return Number((statement.finalize === undefined ? statement.run(...values) : statement.run(values)).changes)
    } catch (error) {
      // node-sqlite3-wasm cannot use a statement again that has failed.
      this.#statements.delete(sql)
      finalize(statement)
      throw error
    }
  }

  all(sql: string, values: readonly SqliteValue[] = []): Record<string, SqliteValue>[] {
    const statement = this.#statement(sql)
    return statement.finalize === undefined ? statement.all(...values) : statement.all(values)
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = this.#handle.prepare(sql) as Statement))
    return statement
  }

  /** Lets statements go: with one that has not run to its end, nothing can be committed, and no handle closed in full. */
  release(): void {
    for (const statement of this.#statements.values()) finalize(statement)
    this.#statements.clear()
  }
}

function finalize(statement: Statement): void {
  try {
    statement.finalize?.()
  } catch {
    // The error of its last run, once more.
  }
}

export interface SqliteDriver {
  readonly name: SqliteDriverName
  /**
   * Whether connections of many processes and threads may be open at a time. Otherwise one is opened for each transaction: this
   * driver has no shared memory, so that a file in WAL mode belongs to one connection.
   */
  readonly isShared: boolean
  /** Opens a file in the mode that loses nothing: write-ahead log, synced at every commit. */
  open(file: string, readOnly: boolean): OpenedFile
}

export interface OpenedFile {
  readonly handle: SqliteHandle
  close(): void
}

type Constructor = new (file: string, options: object) => SqliteHandle & { close(): void }
type Modules = Readonly<Record<SqliteDriverName, (exports: never) => Constructor>>

const CONSTRUCTORS: Modules = {
  'node:sqlite': (exports: { DatabaseSync: Constructor }) => exports.DatabaseSync,
  'better-sqlite3': (exports: { default: Constructor }) => exports.default,
  'node-sqlite3-wasm': (exports: { default: { Database: Constructor } }) => exports.default.Database,
}

const NAMES = Object.keys(CONSTRUCTORS) as SqliteDriverName[]

/** The driver of that name, or with `'auto'` the first one there is: the built-in one, the fast one, the one that runs anywhere. */
export async function loadDriver(wanted: SqliteDriverName | 'auto'): Promise<SqliteDriver> {
  const failures: string[] = []
  for (const name of wanted === 'auto' ? NAMES : [wanted]) {
    try {
      // A constant would tie the package to what is optional.
      const exports: unknown = await import(/* @vite-ignore */ name)
      const Database = CONSTRUCTORS[name](exports as never)
      // A native module made for another version of Node.js fails only now.
      new Database(':memory:', {}).close()
      return driverOf(name, Database)
    } catch (error) {
      failures.push(`${name}: ${messageOf(error).split('\n')[0] ?? ''}`)
    }
  }
  throw sqlError(
    'CONNECTION_FAILED',
    `no driver for SQLite (${failures.join('; ')}); use Node.js 22.13 or newer, or npm install node-sqlite3-wasm`,
  )
}

function driverOf(name: SqliteDriverName, Database: Constructor): SqliteDriver {
  const isShared = name !== 'node-sqlite3-wasm'
  return {
    name,
    isShared,
    open(file, readOnly) {
      const handle = new Database(file, name === 'better-sqlite3' ? { readonly: readOnly } : { readOnly })
      try {
        // Waiting is done by the sink: a driver would hold up the whole process.
        handle.exec(isShared ? 'PRAGMA busy_timeout = 0' : 'PRAGMA locking_mode = EXCLUSIVE')
        if (!readOnly) requireWal(new SqliteConnection(handle), file)
      } catch (error) {
        handle.close()
        throw error
      }
      return {
        handle,
        close: () => {
          handle.close()
        },
      }
    },
  }
}

/** A rollback journal would do, too, but node-sqlite3-wasm does not roll back one that a killed process has left. */
function requireWal(connection: SqliteConnection, file: string): void {
  const [row] = connection.all('PRAGMA journal_mode = WAL')
  connection.run('PRAGMA synchronous = FULL')
  connection.release()
  const mode = row === undefined ? undefined : Object.values(row)[0]
  if (mode === 'wal') return
  throw sqlError('CONNECTION_FAILED', `${file} cannot keep a write-ahead log (${String(mode)}); put it on a local disk`)
}
