/** How keys and values become bytes. What would not come back as it was given is refused, not written. */
import { formatRecord, type Rejected } from '@sluice/core'

/** What Kafka takes; null is a tombstone where it is a value, and no key where it is a key. */
export type Content = Uint8Array | string | null

export type Serializer = (value: unknown, topic: string) => Content

/** Strings as UTF-8, bytes and null as they are; numbers, bigints and booleans by their digits and names. The default. */
export const text: Serializer = (value) => {
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  throw new Error(`${kindOf(value)} is no text; give a function, or a serializer such as json`)
}

/** JSON of strings, finite numbers, booleans, null, and arrays and plain objects of them. Others are refused: JSON would change them. */
export const json: Serializer = (value) =>
  JSON.stringify(value, function (this: Record<string, unknown>, key, held: unknown) {
    // Before `toJSON` has changed it.
    const given = this[key]
    if (isJson(given)) return held
    throw new Error(`${kindOf(given)} is no JSON; give a function that converts it`)
  })

function isJson(value: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || Array.isArray(value)) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object') return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** A dead letter as JSON, its record as text: for sinks that take what others refuse. */
export function rejectedAsJson({ record, ...why }: Rejected<unknown>): string {
  return JSON.stringify({ ...why, record: textOf(record) })
}

function textOf(record: unknown): string {
  try {
    return formatRecord(record)
  } catch {
    // A record of any kind may be refused, also one without a text form.
    return Object.prototype.toString.call(record)
  }
}

/** For messages: never what it holds. */
export function kindOf(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Promise) return 'a promise (is the function async?)'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
