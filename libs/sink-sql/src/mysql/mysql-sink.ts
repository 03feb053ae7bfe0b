/** The sink for MySQL and MariaDB. */
import type { Sink, SinkGuarantee } from '@sluice/core'
import { planBatch } from '../batch-transaction.js'
import { planSink, type SqlSinkOptions } from '../sink-options.js'
import { makeSqlSink } from '../sql-sink.js'
import type { Apply } from '../writer.js'
import { mysqlConnector } from './mysql-connect.js'
import type { MysqlSinkOptions } from './mysql-sink.config.js'

const NAME = 'mysql-sink'

/**
 * A sink that writes to a table of MySQL or MariaDB. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be
 * reached, or a table that the records do not fit, rejects `start()`.
 */
export function mysqlSink<T>(options: MysqlSinkOptions<T>): Sink<T> {
  const given = options as MysqlSinkOptions<never>
  const { schema, table } = given
  const plan = planSink(given as SqlSinkOptions, 'MySQL')
  return makeSqlSink({
    name: NAME,
    target: schema === undefined ? table : `${schema}.${table}`,
    guarantee: guaranteeOf(given),
    plan,
    apply: given.mode === 'custom' ? (given.apply as unknown as Apply) : undefined,
    batch: planBatch(given),
    connect: mysqlConnector(NAME, given),
  })
}

function guaranteeOf({ mode, client }: MysqlSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one InnoDB transaction of a server with innodb_flush_log_at_trx_commit = 1']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (client !== undefined) parts.push('nothing else uses the given client')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
