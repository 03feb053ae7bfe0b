/** @sluice/sink-sql/postgres: a sink that writes each batch into PostgreSQL once. */
export { postgresOffsetStore } from './postgres/postgres-offset-store.js'
export { postgresSink } from './postgres/postgres-sink.js'
export type { PostgresOffsetStoreOptions, PostgresPlace, PostgresSinkOptions } from './postgres/postgres-sink.config.js'
export type {
  PostgresClient,
  PostgresPool,
  PostgresPooledClient,
  PostgresTransaction,
} from './postgres/postgres-client.js'
export type { RejectRecord } from './sink-options.js'
export type { Column, Columns, ColumnType } from './columns.js'
export type { BatchOffsets } from './batch-transaction.js'
