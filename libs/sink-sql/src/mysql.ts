/** @sluice/sink-sql/mysql: a sink that writes each batch into MySQL or MariaDB once. */
export { mysqlSink } from './mysql/mysql-sink.js'
export type { MysqlPlace, MysqlSinkOptions } from './mysql/mysql-sink.config.js'
export type { MysqlClient, MysqlPool, MysqlPooledClient, MysqlTransaction } from './mysql/mysql-client.js'
export type { RejectRecord } from './sink-options.js'
export type { Column, Columns, ColumnType } from './columns.js'
