/** Options that the sinks for all databases have, and what is wrong with them. */
import type { BatchPartitionId } from '@sluice/core'
import { planColumns, type ColumnPlan, type Columns } from './columns.js'
import type { RowMode, WritePlan } from './dialect.js'
import { requireThat } from './errors.js'
import { FENCE, LEDGER } from './ledger.js'
import { needsKey } from './writer.js'

/** What is done with the records. `X` is the transaction as `apply` gets it, `R` what it returns. */
export type SqlWrite<T, X, R> =
  | {
      /** `insert`: every record is a new row; one whose key is taken is rejected. */
      readonly mode: 'insert'
      readonly columns: Columns<T>
      /** Primary key of the table where the sink makes it. */
      readonly key?: string | readonly string[] | undefined
    }
  | {
      /**
       * By key; of several records with one key `insertIgnore` takes the first, the others the last. `upsert`: it replaces the row or
       * makes it. `insertIgnore`: it makes the row where there is none. `update`: it replaces the row; where there is none, it is
       * rejected. `delete`: there is no such row any more; of the columns only those of the key are used.
       */
      readonly mode: 'upsert' | 'insertIgnore' | 'update' | 'delete'
      readonly columns: Columns<T>
      /** Columns of the table's primary key, or of a unique index. */
      readonly key: string | readonly string[]
    }
  | {
      readonly mode: 'custom'
      /**
       * Called in the transaction, with all records of the partition. What it does through its first argument is undone with the
       * transaction if anything fails; then it may be called again. Statements that end the transaction are an error.
       */
      readonly apply: (transaction: X, records: readonly T[], id: BatchPartitionId, reject: RejectRecord) => R
      /** Columns that `table` must have; it is made where it is missing. */
      readonly columns?: Columns<T> | undefined
      readonly key?: string | readonly string[] | undefined
    }

/** Rejects a record by its place in the array given: the transaction is undone, and `apply` called again without it. */
export type RejectRecord = (at: number, error: Error) => void

export interface SqlTarget {
  /** Where the records go; with `custom` the name by which the output is known. */
  readonly table: string
  /** Whether a missing table is made. Default: true. */
  readonly createTable?: boolean | undefined
}

/** Options as all databases have them. */
export type SqlSinkOptions = SqlTarget & { readonly schema?: string | undefined } & SqlWrite<never, never, unknown>

export interface SinkPlan extends Omit<WritePlan, 'mode'> {
  readonly mode: RowMode | 'custom'
  readonly columns: readonly ColumnPlan[]
  readonly createTable: boolean
}

const MODES = ['insert', 'upsert', 'insertIgnore', 'update', 'delete', 'custom']

/** Throws `ARGUMENT_INVALID`. `database` is its name, for messages. */
export function planSink(options: SqlSinkOptions, database: string): SinkPlan {
  const { mode, table, schema, createTable = true } = options
  requireThat(MODES.includes(mode), `there is no mode '${String(mode)}'; use one of ${MODES.join(', ')}`)
  requireName('table', table)
  if (schema !== undefined) requireName('schema', schema)
  requireThat(![LEDGER, FENCE].includes(table.toLowerCase()), `table ${table} is the sink's own; give another name`)
  const columns = planColumns(options.columns ?? {})
  for (const { name } of columns) requireName('column', name)
  const { key = [] } = options
  const keys = typeof key === 'string' ? [key] : key
  requireThat(mode === 'custom' || columns.length > 0, 'the sink needs `columns`')
  requireThat(!needsKey(mode) || keys.length > 0, `mode ${mode} needs a \`key\``)
  for (const name of keys) requireKey(name, columns, database)
  requireThat(mode !== 'update' || columns.length > keys.length, 'mode update needs columns beside those of the key')
  return { schema, table, mode, columns, key: keys, createTable }
}

function requireName(what: string, name: unknown): void {
  const isName = typeof name === 'string' && /[^\s\0]/.test(name) && !name.includes('\0')
  requireThat(isName, `the sink needs the name of a \`${what}\``)
}

function requireKey(name: string, columns: readonly ColumnPlan[], database: string): void {
  const column = columns.find((each) => each.name === name)
  requireThat(column !== undefined, `key ${name} is none of the columns`)
  requireThat(!column.nullable, `key ${name} must not be nullable: ${database} takes every null for another key`)
  requireThat(column.type !== 'json', `key ${name} is json, of which one value has many texts; use another type`)
}
