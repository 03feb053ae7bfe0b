/** What Redis is given: bytes. Which values become which, and what fits into no command. */

import { formatRecord, type Rejected } from '@sluice/core'

/** What becomes a value, a field's value, a member or a message. */
export type RedisValue = string | number | bigint | boolean | Date | Uint8Array

/** How a driver is given bytes. */
export type Word = string | Buffer

const HALF_CHARACTER = /\p{Surrogate}/u
/** Redis takes no longer ones, unless it is told to. */
const LONGEST_BYTES = 512 * 2 ** 20

/** The bytes of a value. Throws for what is none, with the reason as a clause: `is null`. */
export function wordOf(value: unknown): Word {
  switch (typeof value) {
    case 'string':
      if (HALF_CHARACTER.test(value)) throw new Error('has half a character in its text')
      return requireShort(value, value.length)
    case 'number':
      if (!Number.isFinite(value)) throw new Error(`is ${String(value)}, which is no number to Redis`)
      return String(value)
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return wordOfObject(value)
  }
}

function wordOfObject(value: unknown): Word {
  if (value instanceof Uint8Array) {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return requireShort(bytes, bytes.length)
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new Error('is no date')
    return value.toISOString()
  }
  if (value === null || value === undefined) throw new Error(`is ${String(value)}`)
  throw new Error(`is ${Array.isArray(value) ? 'an array' : `of type ${typeof value}`}; map it, e.g. with asJson`)
}

function requireShort<W extends Word>(word: W, length: number): W {
  if (length <= LONGEST_BYTES) return word
  throw new Error(`is longer than 512 MiB, which Redis does not take`)
}

/**
 * A value as JSON text, for nested records: `value: asJson`. Throws for what JSON leaves out or changes without a word: NaN,
 * undefined, bigints, Dates, Maps, instances of classes.
 */
export function asJson(value: unknown): string {
  const text = JSON.stringify(value, function (this: Record<string, unknown>, key, held: unknown) {
    const given = key === '' ? value : this[key]
    const isData = given === null || ['string', 'boolean', 'object'].includes(typeof given) || Number.isFinite(given)
    if (!isData) throw new Error(`${String(given)} is no JSON; map it`)
    if (typeof given === 'object' && given !== null && !Array.isArray(given) && !isPlain(given))
      throw new Error(`${Object.prototype.toString.call(given)} is no JSON; map it`)
    return held
  })
  return text
}

/** A rejected record as JSON text, whatever it holds: `value` of a dead-letter sink. The record is in it as text. */
export function rejectedAsJson({ record, code = null, ...rest }: RejectedRecord): string {
  return JSON.stringify({ ...rest, code, record: textOf(record) })
}

type RejectedRecord = Omit<Rejected<unknown>, 'code'> & { readonly code?: string | null | undefined }

function textOf(record: unknown): string {
  try {
    return formatRecord(record)
  } catch {
    // A record of any kind may be rejected, also one without a text form.
    return Object.prototype.toString.call(record)
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** How long a word is in bytes. */
export function lengthOf(word: Word): number {
  return typeof word === 'string' ? Buffer.byteLength(word) : word.length
}

/** A record's own property. Throws where there is none. */
export function propertyOf(record: unknown, name: string): unknown {
  if (typeof record !== 'object' || record === null) throw new Error('is no object')
  if (!Object.hasOwn(record, name)) throw new Error('is not there')
  return record[name as never]
}
