/** SQLite's statements and values. */
import type { ColumnType, SqlValue } from '../columns.js'
import type { Dialect } from '../dialect.js'

/** What SQLite stores. */
export type SqliteValue = string | number | bigint | Uint8Array | null

const COLUMN_TYPES: Readonly<Record<ColumnType, 'TEXT' | 'INTEGER' | 'REAL' | 'BLOB'>> = {
  text: 'TEXT',
  integer: 'INTEGER',
  bigint: 'INTEGER',
  real: 'REAL',
  boolean: 'INTEGER',
  timestamp: 'TEXT',
  bytes: 'BLOB',
  json: 'TEXT',
}

export const sqliteDialect: Dialect<SqliteValue> = {
  quote: (name) => `"${name.replaceAll('"', '""')}"`,
  placeholder: () => '?',
  columnType: (type) => COLUMN_TYPES[type],
  encode(value: SqlValue) {
    if (typeof value === 'boolean') return value ? 1 : 0
    return value instanceof Date ? value.toISOString() : value
  },
  onConflict(key, update) {
    const set = update.map((name) => `${this.quote(name)} = excluded.${this.quote(name)}`)
    const action = set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`
    return `ON CONFLICT (${key.map((name) => this.quote(name)).join(', ')}) DO ${action}`
  },
  // What a column's type does not fit is then refused and not stored as something else.
  tableOptions: ' STRICT',
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
export function keepsValues(declared: string, type: ColumnType): boolean {
  const affinity = affinityOf(declared)
  const wanted = COLUMN_TYPES[type]
  return (
    affinity === 'BLOB' ||
    affinity === wanted ||
    (affinity === 'NUMERIC' && (wanted === 'INTEGER' || wanted === 'REAL'))
  )
}
