/** Deep copies, so that nobody changes in place what others still read (E6). */

/** A copy of `value` that shares nothing changeable with it. Private `#fields` of class instances cannot be copied. */
export function deepCopy<T>(value: T): T {
  return typeof value === 'object' && value !== null ? (copyObject(value) as T) : value
}

function copyObject(value: object): object {
  if (Array.isArray(value)) return copyElements(value.slice())
  if (value instanceof Date) return new Date(value)
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [deepCopy<unknown>(k), deepCopy<unknown>(v)]))
  if (value instanceof Set) return new Set([...value].map((v) => deepCopy<unknown>(v)))
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return structuredClone(value)
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype === Object.prototype) return copyFields({ ...value })
  return copyFields(Object.assign(Object.create(prototype) as object, value))
}

/** Replaces what a shallow copy shares with its original. */
function copyFields(copy: object): object {
  const fields = copy as Record<string, unknown>
  for (const name in fields) {
    const field = fields[name]
    if (typeof field === 'object' && field !== null && Object.hasOwn(fields, name)) fields[name] = copyObject(field)
  }
  return copy
}

function copyElements(copy: unknown[]): unknown[] {
  for (let i = 0; i < copy.length; i++) {
    const element = copy[i]
    if (typeof element === 'object' && element !== null) copy[i] = copyObject(element)
  }
  return copy
}

/** V8 copies shorter strings when they are cut out of others; longer ones keep what they were cut out of. */
const SHORTEST_SLICE = 13

/**
 * An equal string that keeps nothing else alive. A string that was cut out of another may be a view of it: a key of twenty
 * characters out of a packet of a megabyte would keep the megabyte for as long as there is state for it.
 */
export function ownText(text: string): string {
  if (text.length < SHORTEST_SLICE) return text
  // Joined again it is a new string, copied together when one of its characters is asked for.
  const joined = text.slice(0, -1) + text.slice(-1)
  joined.charCodeAt(0)
  return joined
}

/** Gives every string in plain data, which nobody else holds, its own characters. Not in what cannot be a key. */
export function ownTexts<T>(value: T): T {
  if (typeof value === 'string') return ownText(value) as T
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  const fields = value as Record<string, unknown>
  for (const name of Object.keys(fields)) fields[name] = ownTexts(fields[name])
  return value
}
