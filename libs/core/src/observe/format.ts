/** The one text form of records, shared by `print` and text files. */

/**
 * Strings as they are, pairs as `(k,v)`, everything else as JSON, where bigints are digits, bytes are UTF-8 text (base64
 * where they are none) and dates are ISO 8601.
 */
export function formatRecord(record: unknown): string {
  if (typeof record === 'string') return record
  if (Array.isArray(record) && record.length === 2) return `(${formatRecord(record[0])},${formatRecord(record[1])})`
  if (typeof record === 'number' || typeof record === 'bigint') return String(record)
  if (record instanceof Uint8Array) return textOfBytes(record)
  if (record instanceof Date) return isoDate(record)
  return jsonOf(record)
}

/** JSON of any value; throws only what a `toJSON` of its own throws. What JSON cannot say (functions, circles) is named in quotes. */
export function jsonOf(value: unknown, above: readonly unknown[] = []): string {
  switch (typeof value) {
    case 'bigint':
      return String(value)
    case 'object':
      return value === null ? 'null' : above.includes(value) ? '"[circular]"' : jsonOfObject(value, [...above, value])
    case 'undefined':
      return 'null'
    case 'function':
    case 'symbol':
      return JSON.stringify(`[${typeof value}]`)
    default:
      return JSON.stringify(value)
  }
}

function jsonOfObject(value: object, above: readonly unknown[]): string {
  if (value instanceof Date) return JSON.stringify(isoDate(value))
  if (value instanceof Uint8Array) return JSON.stringify(textOfBytes(value))
  if (Array.isArray(value)) return `[${value.map((element: unknown) => jsonOf(element, above)).join(',')}]`
  if (value instanceof Set) return jsonOfObject([...(value as Set<unknown>)], above)
  if (value instanceof Map) return jsonOfObject([...(value as Map<unknown, unknown>)], above)
  const { toJSON } = value as { toJSON?: unknown }
  // What it gives is not asked again: it may be the value itself.
  if (typeof toJSON === 'function') return jsonOfOwn(toJSON.call(value), value, above)
  return jsonOfFields(value, above)
}

function jsonOfOwn(json: unknown, value: object, above: readonly unknown[]): string {
  return json === value ? jsonOfFields(value, above) : jsonOf(json, above)
}

function jsonOfFields(value: object, above: readonly unknown[]): string {
  const fields: string[] = []
  for (const [name, field] of Object.entries(value)) {
    if (field !== undefined) fields.push(`${JSON.stringify(name)}:${jsonOf(field, above)}`)
  }
  return `{${fields.join(',')}}`
}

function isoDate(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'Invalid Date' : date.toISOString()
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOfBytes(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  }
}
