/** Reads a database while another process may be writing to it. */
import { systemClock } from '@sluice/core'
import type { Steps } from '../steps.js'
import type { SqliteTransaction } from './sqlite-driver.js'
import { sqliteError } from './sqlite-errors.js'
import { busyTimeoutOf } from './sqlite-sink.config.js'
import { readingSession, type ReadSqliteOptions } from './sqlite-session.js'

/**
 * Opens the file read-only, calls `read` once, in one transaction, and closes it: all its queries see the same batches. A file that
 * is locked for a moment is tried again. Rejects with `CONNECTION_FAILED` when there is no such file, or it stays locked.
 */
export async function readSqlite<R>(options: ReadSqliteOptions, read: (db: SqliteTransaction) => R): Promise<R> {
  const { file } = options
  try {
    const session = await readingSession(options, { clock: systemClock, busyTimeoutMs: busyTimeoutOf(options) })
    return await session.transaction(function* (): Steps<R> {
      const { result } = yield { call: read }
      return result as R
    })
  } catch (error) {
    throw sqliteError(error, file)
  }
}
