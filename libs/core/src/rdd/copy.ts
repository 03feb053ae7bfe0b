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
