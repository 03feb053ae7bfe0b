/** The statements and values of MySQL and MariaDB. */
import type { ColumnPlan, ColumnType } from '../columns.js'
import {
  namesOf,
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
import { sqlError } from '../errors.js'
import { bytesProblem, coarseTimeProblem, decimalProblem, lengthProblem } from '../room.js'
import type { Row } from '../rows.js'
import { query, type SqlRow, type Steps } from '../steps.js'
import { isDuplicate, isRefusal, isTransient } from './mysql-errors.js'
import { filled, literal, PLACE } from './mysql-literal.js'

/** Rows in one statement; more is not faster. */
const STATEMENT_ROWS = 3_000
const STATEMENT_BYTES = 4_000_000
/** For what is in a packet beside the statement. */
const PACKET_REST = 1_024
/** Characters of a key: as many as an index has room for, with a second one. */
const KEY_CHARS = 255

const INTEGERS = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint']
const TEXTS = ['varchar', 'tinytext', 'text', 'mediumtext', 'longtext']

/** Types of which each keeps every value of a kind, or refuses it. CHAR and BINARY lose and add what is at the end. */
const KEPT: Readonly<Record<ColumnType, readonly string[]>> = {
  text: TEXTS,
  integer: [...INTEGERS, 'decimal', 'double'],
  bigint: [...INTEGERS, 'decimal'],
  real: ['double'],
  decimal: ['decimal'],
  boolean: INTEGERS,
  timestamp: ['datetime', 'timestamp'],
  bytes: ['varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob'],
  json: ['json', ...TEXTS],
}

/** What is known of the server. */
export interface MysqlServer {
  readonly isMariadb: boolean
  /** Bytes of the largest statement. */
  readonly maxPacketBytes: number
}

interface MysqlColumn extends FoundColumn {
  readonly type: string
}

export function mysqlDialect({ isMariadb, maxPacketBytes }: MysqlServer): Dialect {
  // Of all collations these two alone take no two texts for one, whatever spaces they end with.
  const exact = isMariadb ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin'
  const limit = Math.min(STATEMENT_BYTES, maxPacketBytes - PACKET_REST)
  const dialect: Dialect = {
    name: isMariadb ? 'MariaDB' : 'MySQL',
    quote: (name) => `\`${name.replaceAll('`', '``')}\``,
    placeholder: () => PLACE,
    columnType: (type, isKey) => columnType(type, isKey, exact),
    tableOptions: ' ENGINE=InnoDB',
    ledgerTypes: {
      key: `VARCHAR(${String(KEY_CHARS)}) CHARACTER SET utf8mb4 COLLATE ${exact}`,
      integer: 'BIGINT',
      text: `LONGTEXT CHARACTER SET utf8mb4 COLLATE ${exact}`,
    },
    // As both know it.
    lockShared: ' LOCK IN SHARE MODE',
    lockExclusive: ' FOR UPDATE',
    write: (plan, rows) => statements(dialect, plan, rows, limit, maxPacketBytes - PACKET_REST),
    sample: (plan) => rowStatement(dialect, plan, onDuplicate(dialect, plan)),
    describe: (table) => describe(table, exact),
    keeps: (column, type) => KEPT[type].includes((column as MysqlColumn).type),
    fold: (name) => name.toLowerCase(),
    isRefusal,
    isDuplicate,
    isTransient,
  }
  return dialect
}

function columnType(type: ColumnType, isKey: boolean, exact: string): string {
  const text = isKey ? `VARCHAR(${String(KEY_CHARS)})` : 'LONGTEXT'
  const types: Readonly<Record<ColumnType, string>> = {
    text: `${text} CHARACTER SET utf8mb4 COLLATE ${exact}`,
    integer: 'BIGINT',
    bigint: 'BIGINT',
    real: 'DOUBLE',
    decimal: 'DECIMAL(65, 30)',
    boolean: 'BOOLEAN',
    timestamp: 'DATETIME(3)',
    bytes: isKey ? `VARBINARY(${String(KEY_CHARS)})` : 'LONGBLOB',
    json: 'JSON',
  }
  return types[type]
}

/** What to do where a key is taken. `INSERT IGNORE` is no choice: it cuts and rounds what does not fit. */
function onDuplicate(dialect: Dialect, plan: WritePlan): string {
  if (plan.mode === 'insert') return ''
  const update = plan.mode === 'upsert' ? restOf(plan) : []
  const set = update.map((name) => `${dialect.quote(name)} = VALUES(${dialect.quote(name)})`)
  const [key = ''] = plan.key
  const same = `${dialect.quote(key)} = ${dialect.quote(key)}`
  return ` ON DUPLICATE KEY UPDATE ${set.length === 0 ? same : set.join(', ')}`
}

/** How rows are put together to a statement. */
interface Shape {
  readonly head: string
  readonly between: string
  readonly tail: string
  readonly rows: number
  textOf(row: Row): string
}

/** Statements as large as is good; their sizes are known, as the values are in their texts. */
function* statements(
  dialect: Dialect,
  plan: WritePlan,
  rows: readonly Row[],
  limit: number,
  most: number,
): Generator<RowsStatement> {
  const shape = shapeOf(dialect, plan)
  const { head, between, tail } = shape
  const overhead = Buffer.byteLength(head) + Buffer.byteLength(tail)
  let text = ''
  let bytes = overhead
  let first = 0
  for (let at = 0; at < rows.length; at++) {
    const row = shape.textOf(rows[at] as Row)
    const size = bytesOf(row, limit / shape.rows) + between.length
    if (overhead + size > most) throw tooLarge(overhead + size, most)
    if (at > first && (bytes + size > limit || at - first >= shape.rows)) {
      yield { statement: { sql: head + text + tail }, rows: rows.slice(first, at) }
      text = ''
      bytes = overhead
      first = at
    }
    text = at === first ? row : text + between + row
    bytes += size
  }
  if (first < rows.length) yield { statement: { sql: head + text + tail }, rows: rows.slice(first) }
}

/** At least as many bytes as the text has, and exactly as many if they are more than `few`: counting them takes its time. */
function bytesOf(text: string, few: number): number {
  const most = 3 * text.length
  return most <= few ? most : Buffer.byteLength(text)
}

function tooLarge(bytes: number, most: number): Error {
  const message = `a record of ${String(bytes)} bytes is larger than a packet of ${String(most)}; make it smaller, or raise max_allowed_packet`
  return sqlError('RECORD_REJECTED', message)
}

function shapeOf(dialect: Dialect, plan: WritePlan): Shape {
  const columns = writtenColumns(plan).map(({ name }) => name)
  const table = qualified(dialect, plan)
  if (plan.mode === 'update') {
    // Rows of a list would be compared by other rules than those of the columns.
    const sql = rowStatement(dialect, plan, '')
    const order = [...restOf(plan), ...plan.key].map((name) => columns.indexOf(name))
    const textOf = ({ values }: Row): string =>
      filled(
        sql,
        order.map((column) => values[column]),
      )
    return { head: '', between: '', tail: '', rows: 1, textOf }
  }
  if (plan.mode === 'delete') {
    const isKey = (values: Row['values']): string =>
      columns.map((name, i) => `${dialect.quote(name)} = ${literal(values[i] ?? null)}`).join(' AND ')
    const head = `DELETE FROM ${table} WHERE `
    return { head, between: ' OR ', tail: '', rows: 500, textOf: ({ values }) => `(${isKey(values)})` }
  }
  const head = `INSERT INTO ${table} (${namesOf(dialect, columns)}) VALUES `
  const textOf = ({ values }: Row): string => {
    let text = '('
    for (let i = 0; i < values.length; i++) text += (i === 0 ? '' : ',') + literal(values[i] ?? null)
    return `${text})`
  }
  return { head, between: ',', tail: onDuplicate(dialect, plan), rows: STATEMENT_ROWS, textOf }
}

const IN_TABLE = `table_schema = COALESCE(${PLACE}, DATABASE()) AND table_name = ${PLACE}`
const TABLE = `SELECT table_type AS kind, engine AS engine FROM information_schema.tables WHERE ${IN_TABLE}`
const COLUMNS = `SELECT column_name AS name, column_type AS declared, data_type AS type, is_nullable AS nullable,
    column_default AS given, extra AS extra, collation_name AS collation, character_maximum_length AS chars,
    character_octet_length AS octets, numeric_precision AS digits, numeric_scale AS scale, datetime_precision AS places
  FROM information_schema.columns WHERE ${IN_TABLE} ORDER BY ordinal_position`
const UNIQUE = `SELECT index_name AS name, column_name AS part, sub_part AS prefix FROM information_schema.statistics
  WHERE ${IN_TABLE} AND non_unique = 0 ORDER BY index_name, seq_in_index`

function* describe({ schema, table }: TableName, exact: string): Steps<FoundTable | undefined> {
  const name = [schema ?? null, table]
  const [found] = yield* query(TABLE, name)
  if (found === undefined) return undefined
  const columns = (yield* query(COLUMNS, name)).map((row) => columnOf(row, exact))
  const unique = new Map<string, string[]>()
  for (const { name: index, part, prefix } of yield* query(UNIQUE, name)) {
    // An index of the beginning of a text, or of an expression, is not one of the column.
    const column = prefix === null && part !== null ? String(part) : `${String(part)}(…)`
    unique.set(String(index), [...(unique.get(String(index)) ?? []), column])
  }
  return { columns, problem: problemOf(found), unique: [...unique.values()] }
}

function columnOf(row: SqlRow, exact: string): MysqlColumn {
  const extra = String(row['extra']).toLowerCase()
  const collation = row['collation']
  return {
    name: String(row['name']),
    declared: String(row['declared']),
    type: String(row['type']).toLowerCase(),
    nullable: row['nullable'] === 'YES',
    hasDefault: row['given'] !== null || extra.includes('auto_increment') || extra.includes('default_generated'),
    isGenerated: /(virtual|stored|persistent) generated|generated always/.test(extra),
    isExact: collation === null || collation === exact,
    problemOf: roomOf(row),
  }
}

function problemOf({ kind, engine }: SqlRow): string | undefined {
  if (kind !== 'BASE TABLE') return 'is no table; write to one, or use mode custom'
  if (String(engine).toLowerCase() === 'innodb') return undefined
  return `has the engine ${String(engine)}, which knows no transactions; ALTER TABLE … ENGINE=InnoDB, or use another one`
}

/** What would be cut or rounded without an error, though the mode is strict. */
function roomOf({ type, chars, octets, digits, scale, places }: SqlRow): ColumnPlan['problemOf'] {
  switch (String(type).toLowerCase()) {
    case 'varchar':
      return lengthProblem(Number(chars))
    case 'decimal':
      return decimalProblem(Number(digits), Number(scale))
    case 'datetime':
    case 'timestamp':
      return Number(places) < 3 ? coarseTimeProblem : undefined
    case 'tinytext':
    case 'text':
    case 'mediumtext':
      return bytesProblem(Number(octets))
    default:
      return undefined
  }
}
