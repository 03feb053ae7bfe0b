/** What JSON can hold. */

/** What of a value JSON would lose or change, as a clause; undefined where it can hold all of it. */
export function jsonProblem(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? undefined
        : `it holds ${Object.is(value, -0) ? '-0' : String(value)}`
    case 'object':
      return value === null ? undefined : objectProblem(value)
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
      return `it holds a value of type ${typeof value}`
    default:
      return undefined
  }
}

function objectProblem(value: object): string | undefined {
  if (Array.isArray(value)) return firstProblem(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return fieldsProblem(value as Record<string, unknown>)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'it holds an invalid date' : undefined
  return `it holds an instance of ${(prototype as { constructor?: { name?: string } }).constructor?.name ?? 'a class'}`
}

function firstProblem(values: readonly unknown[]): string | undefined {
  for (const value of values) {
    const problem = jsonProblem(value)
    if (problem !== undefined) return problem
  }
  return undefined
}

function fieldsProblem(value: Readonly<Record<string, unknown>>): string | undefined {
  for (const name in value) {
    // A field that is undefined is as good as none.
    const problem = value[name] === undefined ? undefined : jsonProblem(value[name])
    if (problem !== undefined) return problem
  }
  return undefined
}
