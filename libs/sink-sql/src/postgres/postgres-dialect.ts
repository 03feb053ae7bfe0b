/** PostgreSQL's statements and values. */
import type { ColumnPlan, ColumnType, SqlValue } from '../columns.js'
import {
  namesOf,
  onConflict,
  qualified,
  restOf,
  rowStatement,
  writtenColumns,
  type Dialect,
  type FoundColumn,
  type FoundTable,
  type RowsStatement,
  type TableName,
  type WritePlan,
} from '../dialect.js'
import type { Row } from '../rows.js'
import { coarseTimeProblem, decimalProblem, lengthProblem } from '../room.js'
import { query, type SqlRow, type Steps } from '../steps.js'
import { isDuplicate, isRefusal, isTransient } from './postgres-errors.js'

/** Rows in one statement. More is not faster, and takes memory on both sides. */
const STATEMENT_ROWS = 5_000
const STATEMENT_CHARS = 8_000_000

const COLUMN_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'text',
  integer: 'bigint',
  bigint: 'bigint',
  real: 'double precision',
  decimal: 'numeric',
  boolean: 'boolean',
  timestamp: 'timestamp(3) with time zone',
  bytes: 'bytea',
  // Keeps every text of JSON; jsonb knows no NUL.
  json: 'json',
}

/** Types by their short names, of which each keeps every value of a kind, or refuses it. */
const KEPT: Readonly<Record<ColumnType, readonly string[]>> = {
  text: ['text', 'varchar'],
  integer: ['int2', 'int4', 'int8', 'numeric', 'float8'],
  bigint: ['int2', 'int4', 'int8', 'numeric'],
  real: ['float8'],
  decimal: ['numeric'],
  boolean: ['bool'],
  timestamp: ['timestamptz', 'timestamp'],
  bytes: ['bytea'],
  json: ['json', 'jsonb', 'text'],
}

interface PostgresColumn extends FoundColumn {
  readonly type: string
}

export interface PostgresDialectOptions {
  /** Whether connections know COPY: those of a user may be anything. */
  readonly mayCopy: boolean
}

export function postgresDialect({ mayCopy }: PostgresDialectOptions): Dialect {
  /** Short names of column types, by name of the column. */
  const types = new Map<string, string>()
  /** Tables for which COPY is the same as INSERT. */
  const plain = new Set<string>()
  const dialect: Dialect = {
    name: 'PostgreSQL',
    quote: (name) => `"${name.replaceAll('"', '""')}"`,
    placeholder: (n) => `$${String(n)}`,
    columnType: (type) => COLUMN_TYPES[type],
    tableOptions: '',
    ledgerTypes: { key: 'text', integer: 'bigint', text: 'text' },
    lockShared: ' FOR SHARE',
    lockExclusive: ' FOR UPDATE',
    write: (plan, rows) =>
      mayCopy && plan.mode === 'insert' && plain.has(qualified(dialect, plan))
        ? copied(dialect, plan, rows)
        : unnested(dialect, plan, types, rows),
    sample: (plan) => rowStatement(dialect, plan, onConflict(dialect, plan)),
    *describe(table) {
      const found = yield* describe(dialect, table)
      for (const { name, type } of found?.columns ?? []) types.set(name, type)
      if (found?.isPlain === true) plain.add(qualified(dialect, table))
      return found
    },
    keeps: (column, type) => KEPT[type].includes((column as PostgresColumn).type),
    fold: (name) => name,
    isRefusal,
    isDuplicate,
    isTransient,
  }
  return dialect
}

/** One array for each column: the server plans and reads a statement of two values as fast as one of two thousand. */
function* unnested(
  dialect: Dialect,
  plan: WritePlan,
  types: ReadonlyMap<string, string>,
  rows: readonly Row[],
): Generator<RowsStatement> {
  const columns = writtenColumns(plan)
  const arrays = columns.map(({ name, type }, i) => `$${String(i + 1)}::${types.get(name) ?? shortType(type)}[]`)
  const sql = statementOf(dialect, plan, columns, `unnest(${arrays.join(', ')})`)
  for (let at = 0; at < rows.length;) {
    const values: string[][] = columns.map(() => [])
    const first = at
    for (let chars = 0; at < rows.length && at - first < STATEMENT_ROWS && chars < STATEMENT_CHARS; at++) {
      for (let column = 0; column < columns.length; column++) {
        const text = elementOf(rows[at]?.values[column] ?? null)
        chars += text.length
        values[column]?.push(text)
      }
    }
    const statement = { sql, values: values.map((texts) => `{${texts.join(',')}}`) }
    yield { statement, rows: rows.slice(first, at) }
  }
}

/** Only for plain inserts; twice as fast as arrays. */
function* copied(dialect: Dialect, plan: WritePlan, rows: readonly Row[]): Generator<RowsStatement> {
  const names = namesOf(
    dialect,
    plan.columns.map(({ name }) => name),
  )
  const sql = `COPY ${qualified(dialect, plan)} (${names}) FROM STDIN`
  for (let at = 0; at < rows.length;) {
    const first = at
    let text = ''
    for (; at < rows.length && at - first < STATEMENT_ROWS && text.length < STATEMENT_CHARS; at++) {
      const values = rows[at]?.values ?? []
      for (let i = 0; i < values.length; i++) text += (i === 0 ? '' : '\t') + fieldOf(values[i] ?? null)
      text += '\n'
    }
    yield { statement: { sql, copied: text }, rows: rows.slice(first, at) }
  }
}

const FIELD_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }
const FIELD_SPECIAL = /[\\\t\n\r]/

/** A value in the text form of COPY. */
function fieldOf(value: SqlValue): string {
  switch (typeof value) {
    case 'string':
      return FIELD_SPECIAL.test(value) ? value.replace(/[\\\t\n\r]/g, (char) => FIELD_ESCAPES[char] ?? char) : value
    case 'number':
    case 'bigint':
      return String(value)
    case 'boolean':
      return value ? 't' : 'f'
    default:
      if (value === null) return '\\N'
      return value instanceof Date ? timeOf(value) : `\\\\x${hexOf(value)}`
  }
}

function statementOf(dialect: Dialect, plan: WritePlan, columns: readonly ColumnPlan[], source: string): string {
  const table = qualified(dialect, plan)
  const names = namesOf(
    dialect,
    columns.map(({ name }) => name),
  )
  const given = `${source} AS given(${names})`
  const isSame = plan.key.map((name) => `t.${dialect.quote(name)} = given.${dialect.quote(name)}`).join(' AND ')
  if (plan.mode === 'delete') return `DELETE FROM ${table} AS t USING ${given} WHERE ${isSame}`
  if (plan.mode === 'update') {
    const set = restOf(plan).map((name) => `${dialect.quote(name)} = given.${dialect.quote(name)}`)
    return `UPDATE ${table} AS t SET ${set.join(', ')} FROM ${given} WHERE ${isSame}`
  }
  return `INSERT INTO ${table} (${names}) SELECT * FROM ${given}${onConflict(dialect, plan)}`
}

function shortType(type: ColumnType): string {
  return KEPT[type].includes('int8') ? 'int8' : (KEPT[type][0] ?? 'text')
}

/** A value as an element of an array, in the array's text form: in quotes, but for numbers and null. */
function elementOf(value: SqlValue): string {
  switch (typeof value) {
    case 'string':
      return `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
    case 'number':
    case 'bigint':
      return String(value)
    case 'boolean':
      return value ? 't' : 'f'
    default:
      if (value === null) return 'NULL'
      return value instanceof Date ? `"${timeOf(value)}"` : `"\\\\x${hexOf(value)}"`
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** The year 0 of ISO 8601 is the year 1 before Christ here. */
function timeOf(time: Date): string {
  const text = time.toISOString()
  return text.startsWith('0000') ? `0001${text.slice(4)} BC` : text
}

const DESCRIBE = `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS declared, t.typname AS type, a.attnotnull AS notnull,
    a.atthasdef OR a.attidentity <> '' AS hasdefault, a.attgenerated <> '' OR a.attidentity = 'a' AS generated, a.atttypmod AS room,
    coalesce(l.collisdeterministic, true) AS exact, c.relkind AS kind, c.relpersistence AS persistence,
    NOT (c.relrowsecurity OR c.relhasrules) AS plain
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
  WHERE c.oid = to_regclass($1)`

function* describe(
  dialect: Dialect,
  table: TableName,
): Steps<(FoundTable & { columns: PostgresColumn[]; isPlain: boolean }) | undefined> {
  const rows = yield* query(DESCRIBE, [qualified(dialect, table)])
  const [first] = rows
  if (first === undefined) return undefined
  // COPY knows no rules, and is not allowed where rows are secured one by one.
  return { columns: rows.map(columnOf), problem: problemOf(first), isPlain: first['plain'] === true }
}

function columnOf(row: SqlRow): PostgresColumn {
  const type = String(row['type'])
  return {
    name: String(row['name']),
    declared: String(row['declared']),
    type,
    nullable: row['notnull'] === false,
    hasDefault: row['hasdefault'] === true,
    isGenerated: row['generated'] === true,
    isExact: row['exact'] === true,
    problemOf: roomOf(type, Number(row['room'])),
  }
}

function problemOf({ kind, persistence }: SqlRow): string | undefined {
  if (kind !== 'r' && kind !== 'p') return 'is no table of this server; write to one, or use mode custom'
  if (persistence === 'p') return undefined
  return 'is not kept when the server crashes; ALTER TABLE … SET LOGGED, or use another one'
}

/** A type modifier says how much a column has room for; without one it is −1. */
function roomOf(type: string, modifier: number): PostgresColumn['problemOf'] {
  if (modifier < 0) return undefined
  const HEADER = 4
  // A cast cuts what is too long without a word, and an assignment spaces at the end.
  if (type === 'varchar') return lengthProblem(modifier - HEADER)
  if (type === 'numeric') return decimalProblem((modifier - HEADER) >> 16, (modifier - HEADER) & 0x7ff)
  const isCoarse = (type === 'timestamptz' || type === 'timestamp') && modifier < 3
  return isCoarse ? coarseTimeProblem : undefined
}
