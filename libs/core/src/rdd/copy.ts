/** Deep copies, so that nobody changes in place what others still read (E6). */

/** A copy of `value` that shares nothing changeable with it. Private `#fields` of class instances cannot be copied. */
export function deepCopy<T>(value: T): T {
  return typeof value === 'object' && value !== null ? (copyObject(value) as T) : value
}

function copyObject(value: object): object {
  if (Array.isArray(value)) return value.map((element: unknown) => deepCopy(element))
  if (value instanceof Date) return new Date(value)
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [deepCopy<unknown>(k), deepCopy<unknown>(v)]))
  if (value instanceof Set) return new Set([...value].map((v) => deepCopy<unknown>(v)))
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return structuredClone(value)
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as Record<string, unknown>
  for (const [name, property] of Object.entries(value)) copy[name] = deepCopy<unknown>(property)
  return copy
}
