/** @sluice/sink-sql/sqlite: a sink that writes each batch into SQLite once, and a way to read what it wrote. */
export { sqliteOffsetStore } from './sqlite/sqlite-offset-store.js'
export { sqliteSink } from './sqlite/sqlite-sink.js'
export type {
  SqliteOffsetStoreOptions,
  SqlitePlace,
  SqliteSinkOptions,
  SqliteWrite,
} from './sqlite/sqlite-sink.config.js'
export type { RejectRecord, SqlTarget, SqlWrite } from './sink-options.js'
export { readSqlite } from './sqlite/read-sqlite.js'
export type { ReadSqliteOptions } from './sqlite/sqlite-session.js'
export type { SqliteDriverName, SqliteHandle, SqliteTransaction } from './sqlite/sqlite-driver.js'
export type { SqliteValue } from './sqlite/sqlite-dialect.js'
export type { Column, Columns, ColumnType } from './columns.js'
