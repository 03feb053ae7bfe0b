/** From records to rows: bad ones are told apart before anything is written, and of one key one row is left. */
import { toError } from './errors.js'
import { valueOf, type ColumnPlan, type SqlValue } from './columns.js'

/** A record's values, in the order of the columns, and its number in the partition. */
export interface Row {
  readonly index: number
  readonly values: readonly SqlValue[]
}

/** The row of a record; undefined when it is one to be rejected, and `reject` has been told why. */
export function rowOf(
  columns: readonly ColumnPlan[],
  record: unknown,
  index: number,
  reject: (index: number, error: Error) => void,
): Row | undefined {
  try {
    const values: SqlValue[] = []
    for (const column of columns) values.push(valueOf(column, record))
    return { index, values }
  } catch (error) {
    reject(index, toError(error))
    return undefined
  }
}

/**
 * One row for each key, in the order of the keys, which is the same for all writers: so that none waits for a row that another one
 * holds while it holds one that the other waits for. `keep` says which of several rows stays. With `inOrder` they stay in the order
 * of the records: where the database takes keys for one that differ here, such as `a` and `A`, it is to see them so.
 */
export function collapse(
  rows: readonly Row[],
  key: readonly number[],
  keep: 'first' | 'last',
  inOrder = false,
): readonly Row[] {
  // Records often come in the order of their keys, and looking is cheap.
  if (isAscending(rows, key)) return rows
  const byKey = new Map<string, Row>()
  for (const row of rows) {
    const text = keyText(row, key)
    if (keep === 'last') {
      if (inOrder) byKey.delete(text)
      byKey.set(text, row)
    } else if (!byKey.has(text)) byKey.set(text, row)
  }
  if (inOrder) return [...byKey.values()]
  return [...byKey.keys()].sort().map((text) => byKey.get(text) as Row)
}

function isAscending(rows: readonly Row[], key: readonly number[]): boolean {
  let last: string | undefined
  for (const row of rows) {
    const text = keyText(row, key)
    if (last !== undefined && text <= last) return false
    last = text
  }
  return true
}

/** Different for different keys, whatever their values hold. A column has one type, so the kinds of its values need not differ. */
function keyText({ values }: Row, key: readonly number[]): string {
  if (key.length === 1) return textOf(values[key[0] as number] ?? null)
  return JSON.stringify(key.map((column) => textOf(values[column] ?? null)))
}

function textOf(value: SqlValue): string {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  // 7 and 7n are one key, and so are 0 and -0.
  return value instanceof Date ? String(value.getTime()) : String(value)
}
