/** The table that is written to: made where it is missing, looked at where it is there. */
import type { ColumnPlan } from './columns.js'
import { createTableStatement, type Dialect, type FoundColumn, type FoundTable } from './dialect.js'
import { requireThat } from './errors.js'
import type { SinkPlan } from './sink-options.js'
import { ConcurrentChange, type Steps } from './steps.js'
import { needsKey, noUniqueIndex } from './writer.js'

/** What is known of the columns once the table is there. */
export interface PreparedTable {
  readonly columns: readonly ColumnPlan[]
  /** Whether keys that differ here differ in the database. */
  readonly isExact: boolean
}

/** Makes tables. `IF NOT EXISTS` is no help against somebody who makes them at the same moment: then they are looked for again. */
export function* making(dialect: Dialect, make: () => Steps<void>): Steps<void> {
  try {
    yield* make()
  } catch (error) {
    throw dialect.isDuplicate(error) ? new ConcurrentChange('tables', { cause: error }) : error
  }
}

/** Makes the table where it is missing. */
export function* makeTable(dialect: Dialect, plan: SinkPlan): Steps<void> {
  const { table, columns, key, createTable } = plan
  if (columns.length === 0 || (yield* dialect.describe(plan)) !== undefined) return
  requireThat(createTable, `there is no table ${table}; make it, or leave out createTable: false`)
  yield { sql: createTableStatement(dialect, plan, columns, key) }
}

/** Throws `ARGUMENT_INVALID` for a table that the records do not fit. */
export function* prepareTable(dialect: Dialect, plan: SinkPlan): Steps<PreparedTable> {
  const { table, columns, key, mode } = plan
  if (columns.length === 0) return { columns, isExact: true }
  const found = yield* dialect.describe(plan)
  requireThat(found !== undefined, `table ${table} is gone; leave it where it is`)
  requireThat(found.problem === undefined, `table ${table} ${String(found.problem)}`)
  const byName = new Map(found.columns.map((column) => [dialect.fold(column.name), column]))
  const prepared = columns.map((column) => {
    const there = byName.get(dialect.fold(column.name))
    byName.delete(dialect.fold(column.name))
    requireThat(there !== undefined, `table ${table} has no column ${column.name}; add it, or write to another table`)
    requireFit(dialect, table, column, there)
    return { plan: { ...column, problemOf: there.problemOf }, isExact: there.isExact ?? true }
  })
  if (mode !== 'custom' && mode !== 'update' && mode !== 'delete')
    for (const column of byName.values()) requireNotNeeded(table, column)
  if (found.unique !== undefined && (mode === 'upsert' || mode === 'insertIgnore'))
    requireOneKey(dialect, plan, found.unique)
  const isExact = prepared.every((each) => each.isExact || !key.includes(each.plan.name)) || !needsKey(mode)
  return { columns: prepared.map((each) => each.plan), isExact }
}

function requireFit(dialect: Dialect, table: string, { name, type, nullable }: ColumnPlan, there: FoundColumn): void {
  const remedy = 'declare what the table has, or write to another one'
  requireThat(
    dialect.keeps(there, type),
    `column ${name} of table ${table} is ${there.declared} and does not keep ${type}; ${remedy}`,
  )
  requireThat(!there.isGenerated, `column ${name} of table ${table} is generated; leave it out`)
  requireThat(!nullable || there.nullable, `column ${name} of table ${table} is NOT NULL; ${remedy}`)
}

function requireNotNeeded(table: string, { name, nullable, hasDefault, isGenerated }: FoundColumn): void {
  const isNeeded = !nullable && !hasDefault && !isGenerated
  requireThat(!isNeeded, `column ${name} of table ${table} must have a value; add it to the columns`)
}

/** Where a statement cannot say which key it means, there may be one only that a row could meet. */
function requireOneKey(dialect: Dialect, { table, key, columns }: SinkPlan, unique: FoundTable['unique'] = []): void {
  const fold = (names: readonly string[]): string => JSON.stringify(names.map((name) => dialect.fold(name)).sort())
  if (!unique.some((names) => fold(names) === fold(key))) throw noUniqueIndex(table, key)
  const written = new Set(columns.map(({ name }) => dialect.fold(name)))
  const other = unique.find(
    (names) => fold(names) !== fold(key) && names.every((name) => written.has(dialect.fold(name))),
  )
  requireThat(
    other === undefined,
    `table ${table} has another unique index, of (${String(other?.join(', '))}), by which ${dialect.name} would take rows for the same; use mode custom, or another table`,
  )
}
