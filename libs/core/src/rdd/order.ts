/** The natural order of values, for sorting and extremes. */

/** Negative, 0 or positive, as `Array.prototype.sort` wants it. */
export type Compare<T> = (a: T, b: T) => number

const rankOfType: Readonly<Record<string, number>> = { boolean: 1, number: 2, bigint: 2, string: 3, object: 4 }

/**
 * Orders any two keys: null and undefined first, then booleans, numbers and bigints (NaN last), strings by UTF-16 code
 * unit, dates, tuples element by element. Never answers NaN, so that sorting is well defined.
 */
export function compareNatural(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b)
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  const byType = rank(a) - rank(b)
  if (byType !== 0) return byType
  if (Array.isArray(a) && Array.isArray(b)) return compareTuples(a, b)
  if (a instanceof Date && b instanceof Date) return compareNumbers(a.getTime(), b.getTime())
  return compareScalars(a as bigint, b as bigint)
}

function compareNumbers(a: number, b: number): number {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return 0
  // At least one is NaN.
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
}

function compareScalars(a: bigint, b: bigint): number {
  if (a < b) return -1
  if (a > b) return 1
  return Number(Number.isNaN(a as unknown as number)) - Number(Number.isNaN(b as unknown as number))
}

function compareTuples(a: readonly unknown[], b: readonly unknown[]): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const order = compareNatural(a[i], b[i])
    if (order !== 0) return order
  }
  return a.length - b.length
}

function rank(value: unknown): number {
  if (value === null || value === undefined) return 0
  if (value instanceof Date) return 5
  if (Array.isArray(value)) return 6
  return rankOfType[typeof value] ?? 7
}
