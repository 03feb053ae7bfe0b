/** Values as they stand in statements. Holds where backslashes escape: see the session's `sql_mode`. */
import type { SqlValue } from '../columns.js'

/** Stands for a value in a statement; no name has it. */
export const PLACE = '\0'

const ESCAPED: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\n': '\\n',
  '\r': '\\r',
  '\x1a': '\\Z',
  "'": "\\'",
  '"': '\\"',
  '\\': '\\\\',
}
const SPECIAL = /[\0\n\r\x1a'"\\]/
const EACH_SPECIAL = new RegExp(SPECIAL, 'g')

export function literal(value: SqlValue): string {
  switch (typeof value) {
    case 'string':
      return SPECIAL.test(value) ? `'${value.replaceAll(EACH_SPECIAL, (char) => ESCAPED[char] ?? char)}'` : `'${value}'`
    case 'number':
    case 'bigint':
      return String(value)
    case 'boolean':
      return value ? '1' : '0'
    default:
      if (value === null) return 'NULL'
      if (value instanceof Date) return `'${value.toISOString().replace('T', ' ').replace('Z', '')}'`
      return `X'${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}'`
  }
}

/** The statement with the values in their places. */
export function filled(sql: string, values: readonly unknown[]): string {
  let at = 0
  return sql.replaceAll(PLACE, () => literal(values[at++] as SqlValue))
}
