/** The table that is written to: made where it is missing, looked at where it is there. */
import { createTableStatement } from '../dialect.js'
import { requireThat } from '../errors.js'
import { keepsValues, sqliteDialect } from './sqlite-dialect.js'
import type { SqliteTransaction } from './sqlite-driver.js'
import type { SinkPlan } from './sqlite-sink.config.js'

/** Throws `ARGUMENT_INVALID` for a table that the records do not fit. */
export function prepareTable(db: SqliteTransaction, { table, columns, key, createTable }: SinkPlan): void {
  if (columns.length === 0) return
  const found = db.all('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', [table])
  if (found.length === 0) {
    requireThat(createTable, `there is no table ${table}; make it, or leave out createTable: false`)
    db.run(createTableStatement(sqliteDialect, table, columns, key))
    return
  }
  const byName = new Map(found.map((row) => [String(row['name']).toLowerCase(), row]))
  for (const { name, type, nullable } of columns) {
    const there = byName.get(name.toLowerCase())
    byName.delete(name.toLowerCase())
    requireThat(there !== undefined, `table ${table} has no column ${name}; add it, or write to another table`)
    const declared = String(there['type'])
    const remedy = 'declare what the table has, or write to another one'
    requireThat(
      keepsValues(declared, type),
      `column ${name} of table ${table} is ${declared} and does not keep ${type}; ${remedy}`,
    )
    requireThat(there['hidden'] === 0, `column ${name} of table ${table} is generated; leave it out`)
    requireThat(!nullable || there['notnull'] === 0, `column ${name} of table ${table} is NOT NULL; ${remedy}`)
  }
  for (const [name, { notnull, dflt_value, hidden, pk, type }] of byName) {
    // A primary key of type INTEGER is numbered by SQLite.
    const isNumbered = pk === 1 && String(type).toUpperCase() === 'INTEGER'
    const isNeeded = notnull === 1 && dflt_value === null && hidden === 0 && !isNumbered
    requireThat(!isNeeded, `column ${name} of table ${table} must have a value; add it to the columns`)
  }
}
