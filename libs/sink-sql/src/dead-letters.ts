/** A table for the records that another sink refuses. */
import { formatRecord, type Rejected } from '@sluice/core'
import type { Columns } from './columns.js'

/**
 * Columns that take every rejected record: `output`, `batch_time`, `partition`, `index`, `code`, `message`, and `record` as text, in
 * JSON where it is no string. What no column of text can hold is escaped.
 */
export const deadLetterColumns: Columns<Rejected<unknown>> = {
  output: { type: 'text', value: ({ output }) => escaped(output) },
  batch_time: { type: 'integer', value: ({ batchTime }) => batchTime },
  partition: 'integer',
  index: 'integer',
  code: { type: 'text', nullable: true, value: ({ code }) => code ?? null },
  message: { type: 'text', value: ({ message }) => escaped(message) },
  record: { type: 'text', value: ({ record }) => escaped(textOf(record)) },
}

function textOf(record: unknown): string {
  try {
    return formatRecord(record)
  } catch {
    // A record of any kind may be rejected, also one without a text form.
    return Object.prototype.toString.call(record)
  }
}

function escaped(text: string): string {
  return text.replace(/\0|\p{Surrogate}/gu, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
