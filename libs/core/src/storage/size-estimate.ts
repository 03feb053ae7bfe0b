/** How much memory records take, by sampling: sizes of V8 on 64 bits without pointer compression, as Node is built. */

const SAMPLES = 20
const SLOT = 8
const HEAP_NUMBER = 16
const STRING_HEADER = 16
const OBJECT_HEADER = 24
const ARRAY_HEADER = 48
const DATE = 96
const BUFFER_HEADER = 96
const TABLE_HEADER = 144
const MAP_ENTRY = 40
const SET_ENTRY = 28
const BIGINT_HEADER = 16
const BITS_PER_BYTE = 8
// How many characters are looked at to tell whether a string has two bytes for each.
const LOOKED_AT = 256
const MAX_DEPTH = 32

/**
 * Bytes of memory that a block takes: of a block of `Uint8Array`s exactly the bytes in them, of others an estimate from
 * some 20 records spread evenly. The same records always give the same answer.
 */
export function estimateBytes(records: readonly unknown[]): number {
  if (records.length > 0 && records.every((record) => record instanceof Uint8Array)) {
    return records.reduce((sum, bytes) => sum + bytes.byteLength, 0)
  }
  return sizeOf(records, new Set(), 0)
}

/** What `value` takes beside the slot that refers to it. What was `seen` is shared and counts once. */
function sizeOf(value: unknown, seen: Set<object>, depth: number): number {
  switch (typeof value) {
    case 'string':
      return sizeOfText(value)
    case 'number':
      return (value | 0) === value ? 0 : HEAP_NUMBER
    case 'bigint':
      return BIGINT_HEADER + SLOT * Math.ceil(value.toString(16).length / 2 / BITS_PER_BYTE)
    case 'object':
      return value === null ? 0 : sizeOfObject(value, seen, depth)
    default:
      return 0
  }
}

function sizeOfText(text: string): number {
  for (let i = Math.min(text.length, LOOKED_AT) - 1; i >= 0; i--) {
    if (text.charCodeAt(i) > 0xff) return STRING_HEADER + padded(2 * text.length)
  }
  return STRING_HEADER + padded(text.length)
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / SLOT) * SLOT
}

function sizeOfObject(value: object, seen: Set<object>, depth: number): number {
  if (seen.has(value) || depth > MAX_DEPTH) return 0
  seen.add(value)
  if (Array.isArray(value)) return sizeOfArray(value, seen, depth)
  if (value instanceof Map) return TABLE_HEADER + sampledTable(value.entries(), value.size, MAP_ENTRY, seen, depth)
  if (value instanceof Set) return TABLE_HEADER + sampledTable(value.entries(), value.size, SET_ENTRY, seen, depth)
  if (value instanceof Date) return DATE
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return BUFFER_HEADER + value.byteLength
  return sizeOfFields(value, seen, depth)
}

function sizeOfArray(values: readonly unknown[], seen: Set<object>, depth: number): number {
  const step = Math.max(1, Math.floor(values.length / SAMPLES))
  let sampled = 0
  let sum = 0
  let numbers = 0
  for (let i = 0; i < values.length; i += step) {
    if (typeof values[i] === 'number') numbers++
    sum += sizeOf(values[i], seen, depth + 1)
    sampled++
  }
  // V8 stores fractions in place where an array holds nothing but numbers.
  if (sampled === 0 || numbers === sampled) return ARRAY_HEADER + SLOT * values.length
  return ARRAY_HEADER + SLOT * values.length + Math.round((sum / sampled) * values.length)
}

function sampledTable(
  entries: Iterable<readonly [unknown, unknown]>,
  count: number,
  entryBytes: number,
  seen: Set<object>,
  depth: number,
): number {
  let sampled = 0
  let sum = 0
  for (const [key, value] of entries) {
    // The entries of a set give each member as key and as value.
    sum += sizeOf(key, seen, depth + 1) + (key === value ? 0 : sizeOf(value, seen, depth + 1))
    if (++sampled === SAMPLES) break
  }
  return sampled === 0 ? 0 : Math.round((entryBytes + sum / sampled) * count)
}

function sizeOfFields(value: object, seen: Set<object>, depth: number): number {
  const fields: unknown[] = Object.values(value)
  return fields.reduce<number>((sum, field) => sum + SLOT + sizeOf(field, seen, depth + 1), OBJECT_HEADER)
}
