/** @sluice/sink-sql/postgres: a sink that writes each batch into PostgreSQL once. */
export { postgresOffsetStore } from './postgres/postgres-offset-store.js'
export { postgresSink } from './postgres/postgres-sink.js'
export type { PostgresOffsetStoreOptions, PostgresPlace, PostgresSinkOptions } from './postgres/postgres-sink.config.js'
export type {
  PostgresClient,
  PostgresConnectionOptions,
  PostgresPool,
  PostgresPooledClient,
  PostgresTransaction,
} from './postgres/postgres-client.js'
export type { ServerOptions } from './server/server-options.js'
export type { RejectRecord, SqlTarget, SqlWrite } from './sink-options.js'
export type { SqlRow } from './steps.js'
export type { Column, Columns, ColumnType } from './columns.js'
export type { BatchOffsets, BatchOptions } from './batch-transaction.js'
