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
    return { index, values: columns.map((column) => valueOf(column, record)) }
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
export function collapse(rows: readonly Row[], key: readonly number[], keep: 'first' | 'last', inOrder = false): Row[] {
  const byKey = new Map<string, Row>()
  for (const row of rows) {
    const text = keyText(row, key)
    const isThere = byKey.has(text)
    if (keep === 'first' && isThere) continue
    if (isThere && inOrder) byKey.delete(text)
    byKey.set(text, row)
  }
  if (inOrder) return [...byKey.values()]
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

/** Different for different keys, whatever their values hold. */
function keyText({ values }: Row, key: readonly number[]): string {
  return JSON.stringify(
    key.map((column) => {
      const value = values[column] ?? null
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
      // 7 and 7n are one key, and so are 0 and -0.
      if (typeof value === 'bigint' || typeof value === 'number') return String(value)
      return value
    }),
  )
}
