/** @sluice/sink-sql/mysql: a sink that writes each batch into MySQL or MariaDB once. */
export { mysqlOffsetStore } from './mysql/mysql-offset-store.js'
export { mysqlSink } from './mysql/mysql-sink.js'
export type { MysqlOffsetStoreOptions, MysqlPlace, MysqlSinkOptions } from './mysql/mysql-sink.config.js'
export type {
  MysqlClient,
  MysqlConnectionOptions,
  MysqlPool,
  MysqlPooledClient,
  MysqlTransaction,
} from './mysql/mysql-client.js'
export type { ServerOptions } from './server/server-options.js'
export type { RejectRecord, SqlTarget, SqlWrite } from './sink-options.js'
export type { SqlRow } from './steps.js'
export type { Column, Columns, ColumnType } from './columns.js'
export type { BatchOffsets, BatchOptions } from './batch-transaction.js'
