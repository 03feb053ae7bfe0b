/** Options of the sink for MySQL and MariaDB. */
import type { ServerOptions } from '../server/server-options.js'
import type { BatchOptions } from '../batch-transaction.js'
import type { SqlTarget, SqlWrite } from '../sink-options.js'
import type { MysqlClient, MysqlConnectionOptions, MysqlPool, MysqlTransaction } from './mysql-client.js'

/** How the sink comes by connections: those it makes itself, of a pool of yours, or the one connection of yours. */
export type MysqlPlace =
  | (Pick<MysqlConnectionOptions, 'url' | 'connection'> & {
      readonly pool?: undefined
      readonly client?: undefined
    })
  | {
      /** A pool of `mysql2/promise`, of charset utf8mb4. It is never ended; single connections are, after a time-out. */
      readonly pool: MysqlPool
      readonly url?: undefined
      readonly client?: undefined
    }
  | {
      /** A connection of `mysql2/promise`, of charset utf8mb4, that nothing else uses while the application runs. It is never ended. */
      readonly client: MysqlClient
      readonly url?: undefined
      readonly pool?: undefined
    }

export type MysqlSinkOptions<T> = MysqlPlace &
  ServerOptions &
  SqlTarget &
  BatchOptions &
  SqlWrite<T, MysqlTransaction, Promise<void>> & {
    /** Database of the table, and of the ledger beside it. Default: that of the connection. */
    readonly schema?: string | undefined
  }

export type MysqlOffsetStoreOptions = MysqlPlace &
  ServerOptions & {
    /** Database of the table `sluice_offsets`. Default: that of the connection. */
    readonly schema?: string | undefined
  }
