/** What differs between databases as far as statements go. */
import type { ColumnPlan, ColumnType, SqlValue } from './columns.js'

export interface Dialect<V> {
  /** A name in quotes that no name can break out of. */
  quote(name: string): string
  /** The nth place for a value in a statement, from 1. */
  placeholder(n: number): string
  /** What a declared column is in `CREATE TABLE`. */
  columnType(type: ColumnType): string
  /** A value in the form in which the driver takes it. */
  encode(value: SqlValue): V
  /** Behind `VALUES (…)`: what to do where the key is taken. `update`: the columns that are overwritten, none for nothing. */
  onConflict(key: readonly string[], update: readonly string[]): string
  /** Behind the columns of `CREATE TABLE`. */
  readonly tableOptions: string
}

/** What happens to a row whose key is taken. */
export type RowMode = 'insert' | 'upsert' | 'insertIgnore'

/** The statement that writes `rows` rows of these columns. */
export function insertStatement<V>(
  dialect: Dialect<V>,
  table: string,
  columns: readonly string[],
  { mode, key, rows = 1 }: { readonly mode: RowMode; readonly key: readonly string[]; readonly rows?: number },
): string {
  let place = 0
  const group = (): string => `(${columns.map(() => dialect.placeholder(++place)).join(', ')})`
  const groups = Array.from({ length: rows }, group).join(', ')
  const names = columns.map((name) => dialect.quote(name)).join(', ')
  const values = `INSERT INTO ${dialect.quote(table)} (${names}) VALUES ${groups}`
  if (mode === 'insert') return values
  const update = mode === 'upsert' ? columns.filter((name) => !key.includes(name)) : []
  return `${values} ${dialect.onConflict(key, update)}`
}

export function createTableStatement<V>(
  dialect: Dialect<V>,
  table: string,
  columns: readonly Pick<ColumnPlan, 'name' | 'type' | 'nullable'>[],
  key: readonly string[],
): string {
  const lines = columns.map(
    ({ name, type, nullable }) => `${dialect.quote(name)} ${dialect.columnType(type)}${nullable ? '' : ' NOT NULL'}`,
  )
  if (key.length > 0) lines.push(`PRIMARY KEY (${key.map((name) => dialect.quote(name)).join(', ')})`)
  return `CREATE TABLE IF NOT EXISTS ${dialect.quote(table)} (${lines.join(', ')})${dialect.tableOptions}`
}
