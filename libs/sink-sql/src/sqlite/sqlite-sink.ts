/** The sink for SQLite. */
import type { Sink, SinkGuarantee } from '@sluice/core'
import type { Apply } from '../writer.js'
import { makeSqlSink } from '../sql-sink.js'
import { connectSqlite } from './sqlite-connect.js'
import { sqliteDialect } from './sqlite-dialect.js'
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
  return makeSqlSink({
    name: NAME,
    target: given.table,
    guarantee: guaranteeOf(given),
    plan: planSqliteSink(given),
    apply: given.mode === 'custom' ? (given.apply as unknown as Apply) : undefined,
    connect: async (context) => ({
      session: await connectSqlite({ name: NAME, what: given.table, ...given, busyTimeoutMs }, context),
      dialect: sqliteDialect,
    }),
  })
}

function guaranteeOf({ mode, database }: SqliteSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one transaction of a database on a local disk']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (database !== undefined) parts.push('the given database has synchronous = FULL')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
