/** What MongoDB is given: documents. What fits into none, and when two `_id`s are one. */
import { BSON, type Document } from 'mongodb'
import { messageOf } from './errors.js'

/** What may be an `_id`: what is the same to JavaScript, the driver and the server. */
export type MongoId =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | { readonly _bsontype: string }
  | { readonly [field: string]: MongoId }

/** The field in which the sink keeps its guards. */
export const GUARDS = '_sluice'

/** What a server takes, less what the sink adds. */
const LARGEST_BYTES = 16 * 2 ** 20 - 1_024
/** Servers take 100 levels. */
const DEEPEST = 98
const MOST_BYTES_OF_A_CHARACTER = 3

/** Throws for what is no document, with the reason as a clause: `is null`, `field a is undefined`. */
export function requireDocument(document: unknown): asserts document is Document {
  if (!isPlain(document)) throw new Error(`is ${kindOf(document)}, not a plain object; map it`)
  for (const name of Object.keys(document)) {
    if (name.startsWith('$')) throw new Error(`has a field ${name}, and $ begins the server's own names`)
    if (name === GUARDS) throw new Error(`has a field ${GUARDS}, which is the sink's own`)
  }
  const bytes = checkFields(document, 0)
  // The walk counts too much rather than too little; who may be too large is measured.
  if (bytes > LARGEST_BYTES && BSON.calculateObjectSize(document) > LARGEST_BYTES)
    throw new Error('is larger than the 16 MiB that a server takes')
}

/** As a document, and its fields have no dots: in an update they would be paths. */
export function requireFields(fields: unknown): asserts fields is Document {
  requireDocument(fields)
  for (const name of Object.keys(fields))
    if (name === '' || name.includes('.')) throw new Error(`has a field '${name}', which an update takes for a path`)
}

/** Roughly, how many bytes it takes; at least so many as it does. */
function checkFields(fields: object, depth: number): number {
  if (depth > DEEPEST) throw new Error('is nested too deeply, or holds itself')
  let bytes = 5
  let name: unknown
  try {
    for (name of fields instanceof Map ? fields.keys() : Object.keys(fields)) {
      if (typeof name !== 'string' || name.includes('\0') || !isWhole(name))
        throw new Error('has a name that is no text')
      const value: unknown = fields instanceof Map ? fields.get(name) : fields[name as never]
      bytes += 2 + MOST_BYTES_OF_A_CHARACTER * name.length + checkValue(value, depth)
    }
  } catch (error) {
    throw new Error(`field ${String(name)} ${messageOf(error)}`, { cause: error })
  }
  return bytes
}

/** Whether no character of it is half a one. Every Node.js that is supported has the method; the types of ES2023 do not. */
export function isWhole(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed()
}

const SMALL_BYTES = 32

function checkValue(value: unknown, depth: number): number {
  switch (typeof value) {
    case 'string':
      if (!isWhole(value)) throw new Error('has half a character in its text')
      return 5 + MOST_BYTES_OF_A_CHARACTER * value.length
    case 'number':
    case 'boolean':
      return SMALL_BYTES
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw new Error('is a whole number beyond 64 bits')
      return SMALL_BYTES
    case 'object':
      return value === null ? SMALL_BYTES : checkObject(value, depth)
    default:
      throw new Error(`is ${kindOf(value)}, which no document holds`)
  }
}

function checkObject(value: object, depth: number): number {
  if (Array.isArray(value) || value instanceof Map) return checkFields(value, depth + 1)
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new Error('is no date')
    return SMALL_BYTES
  }
  if (value instanceof Uint8Array) return SMALL_BYTES + value.length
  // What the driver's own types hold is not looked into.
  if ('_bsontype' in value) return BSON.calculateObjectSize({ value })
  if (!isPlain(value)) throw new Error(`is ${kindOf(value)}; map it`)
  return checkFields(value, depth + 1)
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object'
    ? `an instance of ${Object.prototype.toString.call(value).slice(8, -1)}`
    : `of type ${typeof value}`
}

/** One text for all that the server takes for the same `_id`. Throws for what is none, as a clause. */
export function idKey(id: unknown): string {
  switch (typeof id) {
    case 'string':
      if (!isWhole(id)) throw new Error('has half a character in its text')
      return `s${id}`
    case 'number':
      if (!Number.isFinite(id)) throw new Error(`is ${String(id)}`)
      // A large one has other digits as a text than as a whole number.
      return `n${Number.isInteger(id) ? String(BigInt(id)) : String(id)}`
    case 'bigint':
      if (BigInt.asIntN(64, id) !== id) throw new Error('is a whole number beyond 64 bits')
      return `n${String(id)}`
    case 'boolean':
      return `b${String(id)}`
    case 'object':
      if (id !== null) return objectKey(id)
      break
    default:
  }
  throw new Error(`is ${kindOf(id)}`)
}

function objectKey(id: object): string {
  if (id instanceof Date) {
    if (Number.isNaN(id.getTime())) throw new Error('is no date')
    return `d${String(id.getTime())}`
  }
  if (id instanceof Uint8Array) return bytesKey(0, id)
  if ('_bsontype' in id) return bsonKey(id as BsonValue)
  if (!isPlain(id)) throw new Error(`is ${kindOf(id)}`)
  checkFields(id, 1)
  // In a filter that would be a question, which any document may answer.
  if (Object.keys(id).some((name) => name.startsWith('$'))) throw new Error('has a name that begins with $')
  return JSON.stringify(Object.entries(id).map(([name, value]) => [name, idKey(value)]))
}

interface BsonValue {
  readonly _bsontype: string
  readonly sub_type?: number
  readonly buffer?: Uint8Array
  readonly position?: number
  readonly value?: unknown
  toHexString?(): string
  toString(): string
}

function bsonKey(id: BsonValue): string {
  switch (id._bsontype) {
    case 'ObjectId':
      return `o${id.toHexString?.() ?? ''}`
    case 'Long':
      return `n${id.toString()}`
    case 'Int32':
    case 'Double':
      return idKey(Number(id.value))
    case 'Binary':
      return bytesKey(id.sub_type ?? 0, (id.buffer ?? new Uint8Array()).subarray(0, id.position))
    default:
      throw new Error(`is of type ${id._bsontype}, in which one value has several forms; use a text`)
  }
}

function bytesKey(kind: number, bytes: Uint8Array): string {
  return `x${String(kind)} ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`
}
