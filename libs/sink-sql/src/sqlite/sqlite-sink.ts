/** The sink for SQLite. */
import { endProcess, type Sink, type SinkContext, type SinkGuarantee } from '@sluice/core'
import type { Apply } from '../writer.js'
import { SqlSink } from '../sql-sink.js'
import { query, type Steps } from '../steps.js'
import { sqliteDialect } from './sqlite-dialect.js'
import { borrowedSession, fileSession, type SqliteSession } from './sqlite-session.js'
import { busyTimeoutOf, planSqliteSink, type SqliteSinkOptions } from './sqlite-sink.config.js'

const NAME = 'sqlite-sink'

/**
 * A sink that writes to a table of SQLite. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; what is wrong with
 * file, table or driver rejects `start()`.
 */
export function sqliteSink<T>(options: SqliteSinkOptions<T>): Sink<T> {
  const given = options as SqliteSinkOptions<never>
  const busyTimeoutMs = busyTimeoutOf(given)
  return new SqlSink({
    name: NAME,
    target: given.table,
    guarantee: guaranteeOf(given),
    plan: planSqliteSink(given),
    apply: given.mode === 'custom' ? (given.apply as unknown as Apply) : undefined,
    connect: async (context) => ({
      session: await connect(given, busyTimeoutMs, context),
      dialect: sqliteDialect,
    }),
  })
}

async function connect(
  { table, file, driver = 'auto', database }: SqliteSinkOptions<never>,
  busyTimeoutMs: number,
  { clock, logger, replaced = [], signal }: SinkContext,
): Promise<SqliteSession> {
  for (const process of replaced) {
    logger.warn(
      `[${NAME}] ends process ${String(process.pid)}, from which this one takes over: it may hold locks of SQLite`,
    )
    await endProcess(process, clock, signal)
  }
  const options = { clock, busyTimeoutMs }
  if (database !== undefined) {
    const session = borrowedSession(database, options)
    // The one setting that our promise rests on, and that is not ours to change.
    if (await session.transaction(isUnsynced))
      logger.warn(
        `[${NAME}] ${table}: a power cut may lose batches that are done; PRAGMA synchronous = FULL prevents that`,
      )
    return session
  }
  const opened = await fileSession(file, driver, options)
  logger.info(`${NAME}: ${table} in ${file} by ${opened.driver}`)
  return opened.session
}

function* isUnsynced(): Steps<boolean> {
  const [row] = yield* query('PRAGMA synchronous')
  const FULL = 2
  return Number(Object.values(row ?? {})[0]) < FULL
}

function guaranteeOf({ mode, database }: SqliteSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one transaction of a database on a local disk']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (database !== undefined) parts.push('the given database has synchronous = FULL')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
