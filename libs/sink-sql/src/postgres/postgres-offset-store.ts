/** Offsets of sources in PostgreSQL. */
import type { OffsetStore } from '@sluice/core'
import { SqlOffsetStore } from '../sql-offset-store.js'
import { postgresConnector } from './postgres-connect.js'
import type { PostgresOffsetStoreOptions } from './postgres-sink.config.js'

/**
 * Keeps the offsets of sources in the table `sluice_offsets`, by `appName` and stream. `store` replaces only what this run last read or
 * wrote, and rejects with `FENCED` when another run has stored meanwhile (E21). A `postgresSink` with `transaction: 'batch'` stores them with
 * its rows. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be reached rejects `open`.
 */
export function postgresOffsetStore(options: PostgresOffsetStoreOptions): OffsetStore {
  const name = 'postgres-offset-store'
  return new SqlOffsetStore({ name, schema: options.schema, connect: postgresConnector(name, options) })
}
