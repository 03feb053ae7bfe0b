/** The sink for PostgreSQL. */
import type { Sink, SinkGuarantee } from '@sluice/core'
import { planBatch } from '../batch-transaction.js'
import { planSink, type SqlSinkOptions } from '../sink-options.js'
import { makeSqlSink } from '../sql-sink.js'
import type { Apply } from '../writer.js'
import { postgresConnector } from './postgres-connect.js'
import type { PostgresSinkOptions } from './postgres-sink.config.js'

const NAME = 'postgres-sink'

/**
 * A sink that writes to a table of PostgreSQL. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be
 * reached, or a table that the records do not fit, rejects `start()`.
 */
export function postgresSink<T>(options: PostgresSinkOptions<T>): Sink<T> {
  const given = options as PostgresSinkOptions<never>
  const { schema, table } = given
  const plan = planSink(given as SqlSinkOptions, 'PostgreSQL')
  return makeSqlSink({
    name: NAME,
    target: schema === undefined ? table : `${schema}.${table}`,
    guarantee: guaranteeOf(given),
    plan,
    apply: given.mode === 'custom' ? (given.apply as unknown as Apply) : undefined,
    batch: planBatch(given),
    connect: postgresConnector(NAME, given),
  })
}

function guaranteeOf({ mode, client }: PostgresSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one transaction of a server with fsync']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (client !== undefined) parts.push('nothing else uses the given client')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
