/** Options of the PostgreSQL sink. */
import type { PostgresClient, PostgresConnectionOptions, PostgresPool, PostgresTransaction } from './postgres-client.js'
import type { ServerOptions } from '../server/server-options.js'
import type { BatchOptions } from '../batch-transaction.js'
import type { SqlTarget, SqlWrite } from '../sink-options.js'

/** How the sink comes by connections: those it makes itself, of a pool of yours, or the one client of yours. */
export type PostgresPlace =
  | (Pick<PostgresConnectionOptions, 'url' | 'connection'> & {
      readonly pool?: undefined
      readonly client?: undefined
    })
  | {
      /** A `Pool` of the `pg` package. It is never ended; single connections are, after a time-out. */
      readonly pool: PostgresPool
      readonly url?: undefined
      readonly client?: undefined
    }
  | {
      /** A connected `Client` of the `pg` package that nothing else uses while the application runs. It is never ended. */
      readonly client: PostgresClient
      readonly url?: undefined
      readonly pool?: undefined
    }

export type PostgresSinkOptions<T> = PostgresPlace &
  ServerOptions &
  SqlTarget &
  BatchOptions &
  SqlWrite<T, PostgresTransaction, Promise<void>> & {
    /** Schema of the table, and of the ledger beside it. Default: that of the search path. */
    readonly schema?: string | undefined
  }

export type PostgresOffsetStoreOptions = PostgresPlace &
  ServerOptions & {
    /** Schema of the table `sluice_offsets`. Default: that of the search path. */
    readonly schema?: string | undefined
  }
