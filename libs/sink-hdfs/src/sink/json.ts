/** What JSON can hold. */

/**
 * What of a value JSON would lose or change, as a clause; undefined where it can hold all of it. It is asked for every record, and
 * most are objects with a few texts and numbers: those cost one look at each field.
 */
export function jsonProblem(value: unknown): string | undefined {
  if (typeof value !== 'object') return scalarProblem(value)
  if (value === null) return undefined
  if (Array.isArray(value)) return itemsProblem(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return fieldsProblem(value as Record<string, unknown>)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'it holds an invalid date' : undefined
  return `it holds an instance of ${(prototype as { constructor?: { name?: string } }).constructor?.name ?? 'a class'}`
}

function scalarProblem(value: unknown): string | undefined {
  if (typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value !== 'number') return `it holds a value of type ${typeof value}`
  return Number.isFinite(value) ? undefined : `it holds ${String(value)}`
}

function itemsProblem(values: readonly unknown[]): string | undefined {
  for (const value of values) {
    const problem = jsonProblem(value)
    if (problem !== undefined) return problem
  }
  return undefined
}

function fieldsProblem(record: Readonly<Record<string, unknown>>): string | undefined {
  for (const name in record) {
    const value = record[name]
    if (typeof value === 'string' || typeof value === 'boolean') continue
    // No difference to itself only where it is finite.
    if (typeof value === 'number' && value - value === 0) continue
    // A field that is undefined is as good as none.
    const problem = value === undefined ? undefined : jsonProblem(value)
    if (problem !== undefined) return problem
  }
  return undefined
}
