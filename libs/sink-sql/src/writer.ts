/** How each mode puts the records of a partition into the database. */
import { isSluiceError, type BatchPartitionId } from '@sluice/core'
import type { ColumnPlan } from './columns.js'
import { writtenColumns, type Dialect, type RowMode, type RowsStatement, type WritePlan } from './dialect.js'
import { messageOf, sqlError } from './errors.js'
import { collapse, rowOf, type Row } from './rows.js'
import type { Steps } from './steps.js'

/** A record on its way, with its number in the partition. */
export interface Entry {
  readonly index: number
}

export type Reject = (index: number, error: Error) => void

/** One mode. `E` is what it makes of a record. */
export interface Writer<E extends Entry = Entry> {
  /** Undefined for a record that it has rejected. */
  entryOf(record: unknown, index: number, reject: Reject): E | undefined
  /** Fails where the table is not what the mode needs. */
  check(): Steps<void>
  /** Writes entries. What it gives to `reject`, or an error with the code `RECORD_REJECTED`, undoes the transaction. */
  write(entries: readonly E[], id: BatchPartitionId, reject: Reject): Steps<void>
  /** After `write` has failed with `RECORD_REJECTED`: gives those entries to `reject` that the database refuses. It is undone. */
  probe?(entries: readonly E[], reject: Reject): Steps<void>
}

const SAVEPOINT = 'sluice_savepoint'

export class RowWriter implements Writer<Row> {
  readonly #dialect: Dialect
  readonly #plan: WritePlan
  readonly #columns: readonly ColumnPlan[]
  readonly #keyPlaces: readonly number[]
  readonly #keepsOrder: boolean

  /** `isExact`: the database takes keys for different that we take for different. */
  constructor(dialect: Dialect, plan: WritePlan, isExact: boolean) {
    this.#dialect = dialect
    this.#plan = plan
    this.#columns = writtenColumns(plan)
    this.#keyPlaces = plan.key.map((name) => this.#columns.findIndex((column) => column.name === name))
    this.#keepsOrder = !isExact
  }

  entryOf(record: unknown, index: number, reject: Reject): Row | undefined {
    return rowOf(this.#columns, record, index, reject)
  }

  *check(): Steps<void> {
    const { key } = this.#plan
    const sample = this.#dialect.sample(this.#plan)
    try {
      yield { sql: `EXPLAIN ${sample}`, values: this.#columns.map(() => null), reads: true }
    } catch (error) {
      if (!/ON CONFLICT/.test(messageOf(error))) throw error
      throw noUniqueIndex(this.#plan.table, key, error)
    }
  }

  *write(rows: readonly Row[]): Steps<void> {
    for (const batch of this.#dialect.write(this.#plan, this.#chosen(rows))) yield* this.#run(batch)
  }

  *probe(rows: readonly Row[], reject: Reject): Steps<void> {
    yield* this.#find(this.#chosen(rows), reject)
  }

  /** Of a row that conflicts with another one the first is kept: what is before a row is in the database when it is tried. */
  *#find(rows: readonly Row[], reject: Reject): Steps<void> {
    yield { sql: `SAVEPOINT ${SAVEPOINT}` }
    try {
      for (const batch of this.#dialect.write(this.#plan, rows)) yield* this.#run(batch)
    } catch (error) {
      if (!isSluiceError(error, 'RECORD_REJECTED')) throw error
      yield { sql: `ROLLBACK TO SAVEPOINT ${SAVEPOINT}` }
      yield { sql: `RELEASE SAVEPOINT ${SAVEPOINT}` }
      const [first] = rows
      if (rows.length === 1 && first !== undefined) {
        reject(first.index, error)
        return
      }
      const middle = rows.length >> 1
      yield* this.#find(rows.slice(0, middle), reject)
      yield* this.#find(rows.slice(middle), reject)
      return
    }
    yield { sql: `RELEASE SAVEPOINT ${SAVEPOINT}` }
  }

  *#run({ statement, rows }: RowsStatement): Steps<void> {
    let changes: number
    try {
      changes = (yield statement).changes
    } catch (error) {
      if (!this.#dialect.isRefusal(error)) throw error
      const problem = `${this.#dialect.name} refuses it: ${messageOf(error)}`
      throw sqlError('RECORD_REJECTED', `${problem}; repair the record or the table`, { cause: error })
    }
    if (this.#plan.mode !== 'update' || changes >= rows.length) return
    throw sqlError('RECORD_REJECTED', 'there is no row with its key; insert it first, or use mode upsert')
  }

  #chosen(rows: readonly Row[]): readonly Row[] {
    const { mode } = this.#plan
    if (mode === 'insert') return rows
    return collapse(rows, this.#keyPlaces, mode === 'insertIgnore' ? 'first' : 'last', this.#keepsOrder)
  }
}

export function noUniqueIndex(table: string, key: readonly string[], cause?: unknown): Error {
  return sqlError(
    'ARGUMENT_INVALID',
    `table ${table} has no primary key or unique index of (${key.join(', ')}); make one, or give its columns as key`,
    { cause },
  )
}

export function needsKey(mode: RowMode | 'custom'): boolean {
  return mode !== 'insert' && mode !== 'custom'
}

interface CustomEntry extends Entry {
  readonly record: unknown
}

/** What users do in the transaction: `apply(transaction, records, id, reject)`. */
export type Apply = (
  transaction: never,
  records: readonly unknown[],
  id: BatchPartitionId,
  reject: (at: number, error: Error) => void,
) => unknown

export class CustomWriter implements Writer<CustomEntry> {
  readonly #dialect: Dialect
  readonly #apply: Apply

  constructor(dialect: Dialect, apply: Apply) {
    this.#dialect = dialect
    this.#apply = apply
  }

  entryOf(record: unknown, index: number): CustomEntry {
    return { index, record }
  }

  *check(): Steps<void> {
    // There is nothing that all functions need.
  }

  *write(entries: readonly CustomEntry[], id: BatchPartitionId, reject: Reject): Steps<void> {
    const records = entries.map(({ record }) => record)
    const rejectAt = (at: number, error: Error): void => {
      const entry = entries[at]
      if (entry === undefined) throw noSuchRecord(at)
      reject(entry.index, error)
    }
    yield { sql: `SAVEPOINT ${SAVEPOINT}` }
    try {
      yield { call: (transaction) => this.#apply(transaction, records, id, rejectAt) }
    } catch (error) {
      throw isSluiceError(error) || this.#dialect.isTransient(error) ? error : customFailed(error)
    }
    try {
      // It is gone when the transaction has ended.
      yield { sql: `RELEASE SAVEPOINT ${SAVEPOINT}` }
    } catch (cause) {
      throw transactionEnded(cause)
    }
  }
}

export function transactionEnded(cause: unknown) {
  const message =
    'a conflict in the table, or what was called, has ended the transaction; leave out ON CONFLICT ROLLBACK, COMMIT, ROLLBACK, and statements that commit'
  return sqlError('OUTPUT_FAILED', message, { cause })
}

function customFailed(cause: unknown) {
  const retryable = true
  return sqlError('OUTPUT_FAILED', `apply failed: ${messageOf(cause)}; see the cause`, { cause, retryable })
}

function noSuchRecord(at: number) {
  return sqlError('ARGUMENT_INVALID', `apply rejects record ${String(at)}, which it was not given; count from 0`)
}
