/** Offsets of sources in MySQL or MariaDB. */
import type { OffsetStore } from '@sluice/core'
import { SqlOffsetStore } from '../sql-offset-store.js'
import { mysqlConnector } from './mysql-connect.js'
import type { MysqlOffsetStoreOptions } from './mysql-sink.config.js'

/**
 * Keeps the offsets of sources in the table `sluice_offsets`, by `appName` and stream. `store` replaces only what this run last read or
 * wrote, and rejects with `FENCED` when another run has stored meanwhile (E21). A `mysqlSink` with `transaction: 'batch'` stores them with
 * its rows. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be reached rejects `open`.
 */
export function mysqlOffsetStore(options: MysqlOffsetStoreOptions): OffsetStore {
  const name = 'mysql-offset-store'
  return new SqlOffsetStore({ name, schema: options.schema, connect: mysqlConnector(name, options) })
}
