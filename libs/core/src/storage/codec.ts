/**
 * Records to bytes and back: MessagePack with record definitions, so that objects of one shape write their keys once.
 *
 * Kept exactly: null, undefined, booleans, numbers (-0, NaN and the infinities too), bigints of any size, strings (also
 * with unpaired surrogates), dates, arrays, maps, sets, buffers, typed arrays, and plain objects with their order of keys.
 * Not kept: holes in arrays (become undefined), the identity of a value that occurs twice (becomes two), properties that
 * are symbols, accessors or not enumerable, and a null prototype (becomes the usual one).
 *
 * Everything else is refused with `UNSERIALIZABLE`: functions, symbols, and instances of classes. An instance would come
 * back without its methods, and only in those runs in which memory was short enough to write it to disk.
 */
import { addExtension, Packr } from 'msgpackr'
import { messageOf, SluiceError } from '../errors.js'
import {
  findOffender,
  hasExotic,
  isExoticKey,
  isExoticText,
  MAX_DEPTH,
  OffenderFound,
  plainPrototype,
} from './codec-check.js'

const COMPONENT = 'codec'
// 'S' as Sluice. Types 0x70 and up, and some letters, are those of msgpackr itself.
const EXOTIC_TYPE = 0x53

const settings = { useRecords: true, moreTypes: true, useBigIntExtension: true, copyBuffers: true } as const
let packr = new Packr(settings)

type ExoticKind = 'negative-zero' | 'text' | 'object'

/** Stands for a value that msgpackr would change: -0, a string with an unpaired surrogate, an object with an awkward key. */
class Exotic {
  readonly kind: ExoticKind
  readonly payload: unknown

  constructor(kind: ExoticKind, payload: unknown) {
    this.kind = kind
    this.payload = payload
  }
}

// The registry of msgpackr is global, but nobody else can make an `Exotic`.
addExtension({
  Class: Exotic,
  type: EXOTIC_TYPE,
  write: (exotic: Exotic) => [exotic.kind, exotic.payload],
  read: ([kind, payload]: [ExoticKind, unknown]) => restored(kind, payload),
})

/**
 * Encodes an array of records as one block, which can be decoded by itself. The bytes are the caller's own.
 *
 * Throws `UNSERIALIZABLE`, naming the path of the value: `[3].callback`.
 */
export function encodeRecords(records: readonly unknown[]): Uint8Array {
  const packed = pack(records)
  // msgpackr gives a view of its working buffer, which is larger and goes on being used.
  const bytes = Buffer.allocUnsafeSlow(packed.byteLength)
  bytes.set(packed)
  return bytes
}

function pack(records: readonly unknown[]): Uint8Array {
  try {
    return packr.pack(hasExotic(records, 0) ? records.map(disguised) : records)
  } catch (error) {
    // What it was in the middle of must not leak into the next block.
    packr = new Packr(settings)
    throw unserializable(records, error)
  }
}

function unserializable(records: readonly unknown[], cause: unknown): SluiceError {
  const offender = findOffender(records)
  if (offender === undefined) return refused(`a block of ${String(records.length)} records: ${messageOf(cause)}`, cause)
  if (offender.what === 'depth') {
    const where = `${offender.path.slice(0, 60)}… lies deeper than ${String(MAX_DEPTH)} levels or contains itself`
    return refused(`the value at ${where}`, cause)
  }
  return refused(`the value at ${offender.path} is ${offender.what}`, cause)
}

function refused(what: string, cause: unknown): SluiceError {
  return new SluiceError({
    code: 'UNSERIALIZABLE',
    component: COMPONENT,
    message: `cannot encode ${what}; map records to plain data (objects, arrays, maps, sets, dates, bytes) first`,
    cause: cause instanceof OffenderFound ? undefined : cause,
  })
}

/** Decodes what {@link encodeRecords} gave. Throws `DATA_CORRUPT`. Nothing in the result refers to `bytes`. */
export function decodeRecords(bytes: Uint8Array): unknown[] {
  let records: unknown
  try {
    records = packr.unpack(bytes)
  } catch (cause) {
    packr = new Packr(settings)
    throw corrupt(messageOf(cause), cause)
  }
  if (!Array.isArray(records)) throw corrupt('they hold no array of records', undefined)
  return records
}

function corrupt(why: string, cause: unknown): SluiceError {
  const message = `cannot decode these bytes: ${why}; they were damaged or come from something else`
  return new SluiceError({ code: 'DATA_CORRUPT', component: COMPONENT, message, cause })
}

/** A copy of plain data in which exotic values have their stand-ins. Slow, but such values are rare. */
function disguised(value: unknown): unknown {
  if (typeof value === 'string') return isExoticText(value) ? new Exotic('text', unitsOf(value)) : value
  if (value === 0 && Object.is(value, -0)) return new Exotic('negative-zero', null)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(disguised)
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [disguised(key), disguised(item)]))
  if (value instanceof Set) return new Set(Array.from(value, disguised))
  return plainPrototype(value) ? disguisedObject(value) : value
}

function disguisedObject(value: object): unknown {
  const entries = Object.entries(value).map(([key, item]) => [key, disguised(item)] as const)
  if (!entries.some(([key]) => isExoticKey(key))) return Object.fromEntries(entries)
  return new Exotic(
    'object',
    entries.map(([key, item]) => [disguised(key), item]),
  )
}

function restored(kind: ExoticKind, payload: unknown): unknown {
  if (kind === 'negative-zero') return -0
  if (kind === 'text') return String.fromCharCode(...(payload as number[]))
  // fromEntries defines properties, also `__proto__`; an assignment would set the prototype.
  return Object.fromEntries(payload as [string, unknown][])
}

function unitsOf(text: string): number[] {
  return Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
}
