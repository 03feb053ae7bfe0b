/** How the sink and the offset store come to a session with SQLite. */
import { endProcess } from '@sluice/core'
import type { ConnectContext } from '../connected.js'
import { query, type Steps } from '../steps.js'
import { borrowedSession, fileSession, type SqliteSession } from './sqlite-session.js'
import type { SqlitePlace } from './sqlite-sink.config.js'

export type SqliteConnectOptions = SqlitePlace & {
  /** Begins what is logged. */
  readonly name: string
  /** What is kept there. */
  readonly what: string
  readonly busyTimeoutMs: number
}

export async function connectSqlite(
  { name, what, file, driver = 'auto', database, busyTimeoutMs }: SqliteConnectOptions,
  { clock, logger, replaced = [], signal }: ConnectContext,
): Promise<SqliteSession> {
  for (const process of replaced) {
    logger.warn(
      `[${name}] ends process ${String(process.pid)}, from which this one takes over: it may hold locks of SQLite`,
    )
    await endProcess(process, clock, signal)
  }
  const options = { clock, busyTimeoutMs }
  if (database !== undefined) {
    const session = borrowedSession(database, options)
    // The one setting that our promise rests on, and that is not ours to change.
    if (await session.transaction(isUnsynced))
      logger.warn(
        `[${name}] ${what}: a power cut may lose batches that are done; PRAGMA synchronous = FULL prevents that`,
      )
    return session
  }
  const opened = await fileSession(file, driver, options)
  logger.info(`${name}: ${what} in ${file} by ${opened.driver}`)
  return opened.session
}

function* isUnsynced(): Steps<boolean> {
  const [row] = yield* query('PRAGMA synchronous')
  const FULL = 2
  return Number(Object.values(row ?? {})[0]) < FULL
}
