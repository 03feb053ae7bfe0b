/** Offsets of sources in SQLite. */
import type { OffsetStore } from '@sluice/core'
import { SqlOffsetStore } from '../sql-offset-store.js'
import { connectSqlite } from './sqlite-connect.js'
import { sqliteDialect } from './sqlite-dialect.js'
import { busyTimeoutOf, requirePlace, type SqliteOffsetStoreOptions } from './sqlite-sink.config.js'

const NAME = 'sqlite-offset-store'

/**
 * Keeps the offsets of sources in the table `sluice_offsets`, by `appName` and stream. `store` replaces only what this run last read or
 * wrote, and rejects with `FENCED` when another run has stored meanwhile (E21). Throws `ARGUMENT_INVALID` for options that make no sense.
 */
export function sqliteOffsetStore(options: SqliteOffsetStoreOptions): OffsetStore {
  requirePlace(options)
  const busyTimeoutMs = busyTimeoutOf(options)
  return new SqlOffsetStore({
    name: NAME,
    schema: undefined,
    connect: async (context) => ({
      session: await connectSqlite({ name: NAME, what: 'offsets', ...options, busyTimeoutMs }, context),
      dialect: sqliteDialect,
    }),
  })
}
