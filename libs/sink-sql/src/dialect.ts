/** What differs between databases. Everything else is written once. */
import type { ColumnPlan, ColumnType, SqlValue } from './columns.js'
import type { Row } from './rows.js'
import type { Statement, Steps } from './steps.js'

export interface Dialect {
  /** For messages. */
  readonly name: string
  /** A name in quotes that no name can break out of. */
  quote(name: string): string
  /** The nth place for a value in a statement, from 1. */
  placeholder(n: number): string
  /** What a declared column is in `CREATE TABLE`. */
  columnType(type: ColumnType, isKey: boolean): string
  /** Behind the columns of `CREATE TABLE`. */
  readonly tableOptions: string
  /** Columns of the ledger. */
  readonly ledgerTypes: { readonly key: string; readonly integer: string; readonly text: string }
  /** Behind a SELECT of which the rows must stay as they are until the end of the transaction; empty where a transaction is alone. */
  readonly lockShared: string
  readonly lockExclusive: string
  /** The statements that write these rows, in their order, each as large as is good, with the rows that it writes. */
  write(plan: WritePlan, rows: readonly Row[]): Iterable<RowsStatement>
  /** A statement like those of `write`, to be explained. */
  sample(plan: WritePlan): string
  /** What is there under that name; undefined where nothing is. */
  describe(table: TableName): Steps<FoundTable | undefined>
  /** Whether a column keeps values of this type as they are. */
  keeps(column: FoundColumn, type: ColumnType): boolean
  /** Names that are one for the database are equal after it. */
  fold(name: string): string
  /** Whether an error is the record's fault: the same statement with another one would have worked. */
  isRefusal(error: unknown): boolean
  /** Whether an error says that a key is taken. */
  isDuplicate(error: unknown): boolean
  /** Whether the database has undone the transaction, and it may succeed when it is tried again. */
  isTransient(error: unknown): boolean
}

export interface TableName {
  readonly schema: string | undefined
  readonly table: string
}

/** What happens with a row. */
export type RowMode = 'insert' | 'upsert' | 'insertIgnore' | 'update' | 'delete'

/** What rows are written into. */
export interface WritePlan extends TableName {
  readonly mode: RowMode
  readonly columns: readonly ColumnPlan[]
  readonly key: readonly string[]
}

export interface RowsStatement {
  readonly statement: Statement
  readonly rows: readonly Row[]
}

/** A table as it is in the database. */
export interface FoundTable {
  readonly columns: readonly FoundColumn[]
  /** Why the ledger and this table cannot be in one durable transaction, with what to do. */
  readonly problem?: string | undefined
  /** Column names of its unique indexes, where the database does not say itself whether there is one for a key. */
  readonly unique?: readonly (readonly string[])[] | undefined
}

export interface FoundColumn {
  readonly name: string
  /** As the database writes its type. */
  readonly declared: string
  readonly nullable: boolean
  readonly hasDefault: boolean
  readonly isGenerated: boolean
  /** Different values are different keys. Default: true. */
  readonly isExact?: boolean
  /** What of a value of the right type does not fit: too long, too many digits. */
  readonly problemOf?: ((value: SqlValue) => string | undefined) | undefined
}

export function qualified(dialect: Pick<Dialect, 'quote'>, { schema, table }: TableName): string {
  return schema === undefined ? dialect.quote(table) : `${dialect.quote(schema)}.${dialect.quote(table)}`
}

/** `"a", "b"` */
export function namesOf(dialect: Pick<Dialect, 'quote'>, names: readonly string[]): string {
  return names.map((name) => dialect.quote(name)).join(', ')
}

/** Columns of the plan that are no part of the key. */
export function restOf({ columns, key }: WritePlan): string[] {
  return columns.map(({ name }) => name).filter((name) => !key.includes(name))
}

/** The columns whose values a statement needs: of a deletion those of the key. */
export function writtenColumns({ mode, columns, key }: WritePlan): readonly ColumnPlan[] {
  return mode === 'delete' ? columns.filter(({ name }) => key.includes(name)) : columns
}

/** Behind `VALUES (…)`, as SQLite and PostgreSQL have it: what to do where the key is taken. */
export function onConflict(dialect: Pick<Dialect, 'quote'>, plan: WritePlan): string {
  if (plan.mode === 'insert') return ''
  const update = plan.mode === 'upsert' ? restOf(plan) : []
  const set = update.map((name) => `${dialect.quote(name)} = excluded.${dialect.quote(name)}`)
  const action = set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`
  return ` ON CONFLICT (${namesOf(dialect, plan.key)}) DO ${action}`
}

/** The statement for one row, with placeholders for the values of {@link writtenColumns}; `conflict` is what follows `VALUES (…)`. */
export function rowStatement(dialect: Dialect, plan: WritePlan, conflict: string): string {
  const table = qualified(dialect, plan)
  const columns = writtenColumns(plan).map(({ name }) => name)
  const places = columns.map((_, i) => dialect.placeholder(i + 1))
  const equal = (names: readonly string[], between: string): string =>
    names.map((name) => `${dialect.quote(name)} = ${places[columns.indexOf(name)] ?? ''}`).join(between)
  if (plan.mode === 'delete') return `DELETE FROM ${table} WHERE ${equal(plan.key, ' AND ')}`
  if (plan.mode === 'update')
    return `UPDATE ${table} SET ${equal(restOf(plan), ', ')} WHERE ${equal(plan.key, ' AND ')}`
  return `INSERT INTO ${table} (${namesOf(dialect, columns)}) VALUES (${places.join(', ')})${conflict}`
}

export function createTableStatement(
  dialect: Dialect,
  table: TableName,
  columns: readonly ColumnPlan[],
  key: readonly string[],
): string {
  const lines = columns.map(({ name, type, nullable }) => {
    const declared = dialect.columnType(type, key.includes(name))
    return `${dialect.quote(name)} ${declared}${nullable ? '' : ' NOT NULL'}`
  })
  if (key.length > 0) lines.push(`PRIMARY KEY (${namesOf(dialect, key)})`)
  return `CREATE TABLE IF NOT EXISTS ${qualified(dialect, table)} (${lines.join(', ')})${dialect.tableOptions}`
}
