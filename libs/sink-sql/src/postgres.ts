/** @sluice/sink-sql/postgres: a sink that writes each batch into PostgreSQL once. */
export { postgresSink } from './postgres/postgres-sink.js'
export type { PostgresPlace, PostgresSinkOptions } from './postgres/postgres-sink.config.js'
export type {
  PostgresClient,
  PostgresPool,
  PostgresPooledClient,
  PostgresTransaction,
} from './postgres/postgres-client.js'
export type { RejectRecord } from './sink-options.js'
export type { Column, Columns, ColumnType } from './columns.js'
