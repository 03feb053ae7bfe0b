/** A place to run transactions in: a file of ours, or a database of the user's. */
import { dirname, resolve } from 'node:path'
import { nodeFileSystem, type Clock } from '@sluice/core'
import { sqlError } from '../errors.js'
import {
  loadDriver,
  SqliteConnection,
  type OpenedFile,
  type SqliteDriver,
  type SqliteDriverName,
  type SqliteHandle,
} from './sqlite-driver.js'
import {
  isCall,
  NOTHING,
  type Outcome,
  type Session,
  type Step,
  type Steps,
  type TransactionOptions,
} from '../steps.js'
import type { SqliteValue } from './sqlite-dialect.js'
import { isBusy, sqliteError } from './sqlite-errors.js'
import { holdFile, requireNotHeld } from './sqlite-holder.js'

export interface SessionOptions {
  readonly clock: Clock
  /** Real milliseconds for which a locked database is tried again. */
  readonly busyTimeoutMs: number
}

/** Longest work in one go, in milliseconds. */
const TURN_MS = 5
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 100

/** How a session comes by its connection. */
interface Source {
  readonly label: string
  /** False: nobody else's statement may come between ours, so that nothing is awaited in a transaction. */
  readonly mayPause: boolean
  readonly readsOnly?: boolean
  acquire(): SqliteHandle
  release(): void
  close(): Promise<void>
}

export class SqliteSession implements Session {
  readonly #source: Source
  readonly #options: SessionOptions
  /** The one before: a connection has one transaction at a time. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(source: Source, options: SessionOptions) {
    this.#source = source
    this.#options = options
  }

  get label(): string {
    return this.#source.label
  }

  /** Between two steps others may have their turn, unless the database is the user's. What is undone in any case only reads, or is for a trial. */
  async transaction<R>(steps: () => Steps<R>, { signal, undo }: TransactionOptions = {}): Promise<R> {
    const { clock, busyTimeoutMs } = this.#options
    const deadline = clock.monotonic() + busyTimeoutMs
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        return await this.#inTurn(() => this.#attempt(steps, signal, undo === true))
      } catch (error) {
        signal?.throwIfAborted()
        if (!isBusy(error) || clock.monotonic() >= deadline) throw sqliteError(error, this.label)
      }
      await clock.sleep(pauseMs, signal)
    }
  }

  #inTurn<R>(run: () => Promise<R>): Promise<R> {
    const turn = this.#last.then(run, run)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #attempt<R>(steps: () => Steps<R>, signal: AbortSignal | undefined, undo: boolean): Promise<R> {
    signal?.throwIfAborted()
    if (this.#closed) throw sqlError('STOPPED', `${this.label} has been closed; nothing was written`)
    const db = new SqliteConnection(this.#source.acquire())
    try {
      // One that reads only must not wait for a writer.
      db.exec(this.#source.readsOnly === true ? 'BEGIN' : 'BEGIN IMMEDIATE')
      try {
        const run = steps()
        const result = this.#source.mayPause ? await this.#inSteps(db, run, signal) : atOnce(db, run)
        signal?.throwIfAborted()
        db.release()
        db.exec(undo ? 'ROLLBACK' : 'COMMIT')
        return result
      } catch (error) {
        rollBack(db)
        throw error
      }
    } finally {
      db.release()
      this.#source.release()
    }
  }

  async #inSteps<R>(db: SqliteConnection, steps: Steps<R>, signal: AbortSignal | undefined): Promise<R> {
    const { clock } = this.#options
    let began = clock.monotonic()
    for (let next = steps.next(NOTHING); ;) {
      if (next.done === true) return next.value
      next = advance(db, steps, next.value)
      if (clock.monotonic() - began < TURN_MS) continue
      await clock.yield()
      signal?.throwIfAborted()
      began = clock.monotonic()
    }
  }

  /** Waits for the transaction under way; none begins after it. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#last
    await this.#source.close()
  }
}

function atOnce<R>(db: SqliteConnection, steps: Steps<R>): R {
  for (let next = steps.next(NOTHING); ; next = advance(db, steps, next.value)) {
    if (next.done === true) return next.value
  }
}

/** Does a step, and goes on to the next one. */
function advance<R>(db: SqliteConnection, steps: Steps<R>, step: Step): IteratorResult<Step, R> {
  let outcome: Outcome
  try {
    outcome = outcomeOf(db, step)
  } catch (error) {
    return steps.throw(error)
  }
  return steps.next(outcome)
}

function outcomeOf(db: SqliteConnection, step: Step): Outcome {
  if (isCall(step)) {
    const result = step.call({ run: db.run.bind(db), all: db.all.bind(db) } as never)
    if (typeof (result as { then?: unknown } | undefined)?.then === 'function')
      throw isAsync(result as Promise<unknown>)
    return { ...NOTHING, result }
  }
  const values = step.values as readonly SqliteValue[] | undefined
  if (step.reads === true) return { rows: db.all(step.sql, values), changes: 0 }
  return { rows: [], changes: db.run(step.sql, values) }
}

function isAsync(result: Promise<unknown>) {
  // Its own failure would be nobody's.
  result.catch(() => undefined)
  return sqlError(
    'ASYNC_FUNCTION',
    'apply is asynchronous; a transaction waits for nothing: do that before, with mapAsync',
  )
}

function rollBack(db: SqliteConnection): void {
  try {
    db.exec('ROLLBACK')
  } catch {
    // SQLite has done it already, as after a full disk. Were it still open, the next BEGIN would say so.
  }
}

/** A session on a database of the user's own, which is never closed. */
export function borrowedSession(database: SqliteHandle, options: SessionOptions): SqliteSession {
  const nothing = (): void => undefined
  return new SqliteSession(
    {
      label: 'the given database',
      mayPause: false,
      acquire: () => database,
      release: nothing,
      close: () => Promise.resolve(),
    },
    options,
  )
}

/** A session that writes to a file. Says which driver it has taken. */
export async function fileSession(
  file: string,
  wanted: SqliteDriverName | 'auto',
  options: SessionOptions,
): Promise<{ session: SqliteSession; driver: SqliteDriverName }> {
  const driver = await loadDriver(wanted)
  const { name } = driver
  try {
    if (!driver.isShared) return { session: new SqliteSession(await heldSource(file, driver), options), driver: name }
    await requireNotHeld(file)
    return { session: new SqliteSession(await keptSource(file, driver, options), options), driver: name }
  } catch (error) {
    throw sqliteError(error, file)
  }
}

/** One connection for all transactions. Setting its mode may have to wait for those of others. */
async function keptSource(file: string, driver: SqliteDriver, options: SessionOptions): Promise<Source> {
  const { handle, close } = await patiently(() => driver.open(file, false), options)
  return {
    label: file,
    mayPause: true,
    acquire: () => handle,
    release: () => undefined,
    close: () => Promise.resolve(close()),
  }
}

async function patiently<R>(open: () => R, { clock, busyTimeoutMs }: SessionOptions): Promise<R> {
  const deadline = clock.monotonic() + busyTimeoutMs
  for (;;) {
    try {
      return open()
    } catch (error) {
      if (!isBusy(error) || clock.monotonic() >= deadline) throw error
    }
    await clock.sleep(LONGEST_PAUSE_MS)
  }
}

/** A connection for each transaction, in a file of which this process is the recorded writer. */
async function heldSource(file: string, driver: SqliteDriver): Promise<Source> {
  await requireFolder(file)
  const release = await holdFile(file)
  try {
    await requireOwnMode(file)
  } catch (error) {
    await release()
    throw error
  }
  return perTransaction(file, driver, false, release)
}

function perTransaction(file: string, driver: SqliteDriver, readOnly: boolean, close: () => Promise<void>): Source {
  let opened: OpenedFile | undefined
  return {
    label: file,
    mayPause: true,
    readsOnly: readOnly,
    acquire: () => (opened = driver.open(file, readOnly)).handle,
    release: () => {
      const last = opened
      opened = undefined
      last?.close()
    },
    close,
  }
}

async function requireFolder(file: string): Promise<void> {
  const folder = dirname(resolve(file))
  if ((await nodeFileSystem().stat(folder))?.kind === 'directory') return
  throw sqlError('CONNECTION_FAILED', `unable to open ${file}: there is no folder ${folder}; make it`)
}

/** Refuses what node-sqlite3-wasm does not see or would misread: files in use by other drivers, and journals to be rolled back. */
async function requireOwnMode(file: string): Promise<void> {
  const disk = nodeFileSystem()
  const size = async (suffix: string): Promise<number | undefined> =>
    (await disk.stat(resolve(file) + suffix))?.sizeBytes
  if ((await size('-shm')) !== undefined) {
    throw sqlError(
      'CONNECTION_FAILED',
      `${file} is in use by another SQLite driver, or was when its process was killed; end that, or open and close the file once by that driver`,
    )
  }
  if (((await size('-journal')) ?? 0) > 0 && (await size('.lock')) === undefined) {
    throw sqlError(
      'CONNECTION_FAILED',
      `${file} has an unfinished transaction that node-sqlite3-wasm cannot roll back; open and close the file once by another SQLite driver`,
    )
  }
}

export interface ReadSqliteOptions {
  readonly file: string
  /** Default: `'auto'`, as for the sink. Must be the one by which the file is written if that is node-sqlite3-wasm. */
  readonly driver?: SqliteDriverName | 'auto' | undefined
  /** Milliseconds for which a locked file is tried again. Default: 5,000. */
  readonly busyTimeoutMs?: number | undefined
}

/** A session that reads a file; nothing stays open between transactions. */
export async function readingSession(
  { file, driver: wanted = 'auto' }: ReadSqliteOptions,
  options: SessionOptions,
): Promise<SqliteSession> {
  const driver = await loadDriver(wanted)
  if (driver.isShared) await requireNotHeld(file)
  else await requireOwnMode(file)
  return new SqliteSession(
    perTransaction(file, driver, true, () => Promise.resolve()),
    options,
  )
}
