/** What a column may hold, and how a record's value becomes that of a column: the same for every database. */
import { SluiceError } from '@sluice/core'

/**
 * - `text`: strings without NUL and lone surrogates, which databases cut or change
 * - `integer`: whole numbers up to 2⁵³
 * - `bigint`: bigints and whole numbers of 64 bits
 * - `real`: finite numbers
 * - `decimal`: bigints, whole numbers up to 2⁵³, and texts such as `'-12.50'`: every digit counts
 * - `boolean`
 * - `timestamp`: Dates of the years 0 to 9999, in milliseconds
 * - `bytes`: Uint8Array
 * - `json`: strings, finite numbers, booleans, null, and arrays and plain objects of them
 */
export type ColumnType = 'text' | 'integer' | 'bigint' | 'real' | 'decimal' | 'boolean' | 'timestamp' | 'bytes' | 'json'

export interface Column<in T> {
  readonly type: ColumnType
  /** Whether null is a value; undefined never is. Default: false. */
  readonly nullable?: boolean | undefined
  /** What of a record goes into the column. Default: the property of the column's name. */
  readonly value?: ((record: T) => unknown) | undefined
}

/** Columns by name, each with its type alone or with more. */
export type Columns<T> = Readonly<Record<string, ColumnType | Column<T>>>

/** What a driver is given, before its dialect says in which form. */
export type SqlValue = string | number | bigint | boolean | Date | Uint8Array | null

/** A column with its defaults. */
export interface ColumnPlan {
  readonly name: string
  readonly type: ColumnType
  readonly nullable: boolean
  readonly value: (record: never) => unknown
  /** What of a value of the right type the column in the database has no room for. Known when the sink is open. */
  readonly problemOf?: ((value: SqlValue) => string | undefined) | undefined
}

export function planColumns(columns: Columns<never>): ColumnPlan[] {
  return Object.entries(columns).map(([name, given]) => {
    const { type, nullable = false, value = propertyOf(name) } = typeof given === 'string' ? { type: given } : given
    return { name, type, nullable, value }
  })
}

function propertyOf(name: string): (record: unknown) => unknown {
  return (record) => {
    if (typeof record === 'object' && record !== null)
      return Object.hasOwn(record, name) ? record[name as never] : undefined
    throw new Error(`the record is no object, and the column has no \`value\``)
  }
}

/** The value of a column of this record. Throws `RECORD_REJECTED` for what does not fit. */
export function valueOf(column: ColumnPlan, record: unknown): SqlValue {
  let problem: string | undefined
  try {
    const value = column.value(record as never)
    if (value === null && column.nullable) return null
    problem = value === undefined ? 'is undefined; give null where there is nothing' : problemOf(column.type, value)
    if (problem === undefined) {
      const fit = FORMS[column.type]?.(value) ?? (value as SqlValue)
      problem = column.problemOf?.(fit)
      if (problem === undefined) return fit
    }
  } catch (error) {
    problem = `: ${error instanceof Error ? error.message : String(error)}`
  }
  throw new SluiceError({ code: 'RECORD_REJECTED', component: 'sink-sql', message: `column ${column.name} ${problem}` })
}

const INT64 = 2n ** 63n
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const FIRST_MS = -62_167_219_200_000 // year 0
const DECIMAL = /^([+-]?)0*(\d+?)(?:\.(\d*?)0*)?$/

/** What is wrong with a value, if anything is. */
function problemOf(type: ColumnType, value: unknown): string | undefined {
  if (value === null) return 'is null; declare it nullable'
  return PROBLEMS[type](value)
}

const PROBLEMS: Readonly<Record<ColumnType, (value: unknown) => string | undefined>> = {
  text: (value) => {
    if (typeof value !== 'string') return notA('a string', value)
    if (isWhole(value) && !value.includes('\0')) return undefined
    return 'has NUL or half a character in its text; use type bytes or json'
  },
  integer: (value) => (Number.isSafeInteger(value) ? undefined : notA('a whole number up to 2^53', value)),
  bigint: (value) => {
    if (Number.isSafeInteger(value)) return undefined
    if (typeof value !== 'bigint') return notA('a bigint', value)
    return value >= -INT64 && value < INT64 ? undefined : 'is beyond 64 bits; use type text'
  },
  real: (value) => (Number.isFinite(value) ? undefined : notA('a finite number', value)),
  decimal: (value) => {
    if (typeof value === 'bigint' || Number.isSafeInteger(value)) return undefined
    return typeof value === 'string' && DECIMAL.test(value) ? undefined : notA("a text such as '12.50'", value)
  },
  boolean: (value) => (typeof value === 'boolean' ? undefined : notA('a boolean', value)),
  timestamp: (value) => {
    if (!(value instanceof Date)) return notA('a Date', value)
    const ms = value.getTime()
    return ms >= FIRST_MS && ms <= LAST_MS ? undefined : 'is no date of the years 0 to 9999; use type text'
  },
  bytes: (value) => (value instanceof Uint8Array ? undefined : notA('a Uint8Array', value)),
  json: () => undefined,
}

/** Has no halves of characters. Every Node.js from 20 on has it; what TypeScript knows of the language is older. */
function isWhole(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

/** What is stored where it is not the value as it is. */
const FORMS: Readonly<Partial<Record<ColumnType, (value: unknown) => SqlValue>>> = { json: jsonOf, decimal: decimalOf }

/** One text for each number, so that equal keys are equal. */
function decimalOf(value: unknown): string {
  const [, sign = '', whole = '', fraction = ''] = DECIMAL.exec(String(value)) ?? []
  const digits = fraction === '' ? whole : `${whole}.${fraction}`
  return sign === '-' && digits !== '0' ? `-${digits}` : digits
}

function notA(wanted: string, value: unknown): string {
  const kind =
    typeof value === 'number' ? String(value) : Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`
  return `wants ${wanted} and got ${kind}; give it a \`value\` that converts`
}

/** Throws for all that JSON leaves out or changes without a word. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, held: unknown) {
    // Before `toJSON` has changed it.
    const given = this[key]
    if (typeof given === 'number' && !Number.isFinite(given)) throw new Error(`${String(given)} is no JSON`)
    if (typeof given === 'bigint' || typeof given === 'function' || typeof given === 'symbol')
      throw new Error(`a ${typeof given} is no JSON`)
    if (given === undefined) throw new Error('undefined is no JSON')
    if (typeof given === 'object' && given !== null && !Array.isArray(given) && !isPlain(given))
      throw new Error('a Date, Map, or other instance of a class is no JSON')
    return held
  })
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
