/** SQLite's statements and values. */
import type { ColumnType, SqlValue } from '../columns.js'
import { onConflict, rowStatement, type Dialect, type FoundTable, type TableName } from '../dialect.js'
import { query, type Steps } from '../steps.js'
import { isBusy, isRefusal } from './sqlite-errors.js'

/** What SQLite stores. */
export type SqliteValue = string | number | bigint | Uint8Array | null

const COLUMN_TYPES: Readonly<Record<ColumnType, 'TEXT' | 'INTEGER' | 'REAL' | 'BLOB'>> = {
  text: 'TEXT',
  integer: 'INTEGER',
  bigint: 'INTEGER',
  real: 'REAL',
  // As a number it would be a REAL.
  decimal: 'TEXT',
  boolean: 'INTEGER',
  timestamp: 'TEXT',
  bytes: 'BLOB',
  json: 'TEXT',
}

function encode(value: SqlValue): SqliteValue {
  if (typeof value === 'boolean') return value ? 1 : 0
  return value instanceof Date ? value.toISOString() : value
}

export const sqliteDialect: Dialect = {
  name: 'SQLite',
  quote: (name) => `"${name.replaceAll('"', '""')}"`,
  placeholder: () => '?',
  columnType: (type) => COLUMN_TYPES[type],
  // What a column's type does not fit is then refused and not stored as something else.
  tableOptions: ' STRICT',
  ledgerTypes: { key: 'TEXT', integer: 'INTEGER', text: 'TEXT' },
  // A transaction that may write has the database for itself.
  lockShared: '',
  lockExclusive: '',
  // One row each: a prepared statement costs nothing to run again.
  *write(plan, rows) {
    const sql = this.sample(plan)
    for (const row of rows) yield { statement: { sql, values: row.values.map(encode) }, rows: [row] }
  },
  sample(plan) {
    return rowStatement(this, plan, onConflict(this, plan))
  },
  describe,
  keeps: ({ declared }, type) => keepsValues(declared, type),
  fold: (name) => name.toLowerCase(),
  isRefusal,
  isDuplicate: () => false,
  isTransient: isBusy,
}

function* describe({ table }: TableName): Steps<FoundTable | undefined> {
  const sql = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
  const rows = yield* query(sql, [table])
  if (rows.length === 0) return undefined
  const columns = rows.map(({ name, type, notnull, dflt_value, pk, hidden }) => ({
    name: String(name),
    declared: String(type),
    nullable: notnull === 0,
    // A primary key of type INTEGER is numbered by SQLite.
    hasDefault: dflt_value !== null || (pk === 1 && String(type).toUpperCase() === 'INTEGER'),
    isGenerated: hidden !== 0,
  }))
  return { columns }
}

/** What SQLite makes of values in a column that was declared so, by its own rules. */
function affinityOf(declared: string): 'INTEGER' | 'TEXT' | 'BLOB' | 'REAL' | 'NUMERIC' {
  const type = declared.toUpperCase()
  if (type.includes('INT')) return 'INTEGER'
  if (/CHAR|CLOB|TEXT/.test(type)) return 'TEXT'
  if (type === '' || type === 'ANY' || type.includes('BLOB')) return 'BLOB'
  return /REAL|FLOA|DOUB/.test(type) ? 'REAL' : 'NUMERIC'
}

/** Whether a column declared so keeps values of this type as they are. */
function keepsValues(declared: string, type: ColumnType): boolean {
  const affinity = affinityOf(declared)
  const wanted = COLUMN_TYPES[type]
  return (
    affinity === 'BLOB' ||
    affinity === wanted ||
    (affinity === 'NUMERIC' && (wanted === 'INTEGER' || wanted === 'REAL'))
  )
}
