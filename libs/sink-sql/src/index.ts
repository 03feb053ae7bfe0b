/** @sluice/sink-sql: what the sinks for all databases share. Each database has its own entry, e.g. `@sluice/sink-sql/sqlite`. */
export type { Column, Columns, ColumnType } from './columns.js'
export { deadLetterColumns } from './dead-letters.js'
