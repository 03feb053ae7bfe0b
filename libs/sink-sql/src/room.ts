/** Values that databases would cut or round to what a column has room for, without an error. */
import type { SqlValue } from './columns.js'

type Problem = (value: SqlValue) => string | undefined

export function lengthProblem(chars: number): Problem {
  return (value) => {
    // Characters are counted only where there may be too many.
    if (typeof value !== 'string' || value.length <= chars || [...value].length <= chars) return undefined
    return `is longer than the ${String(chars)} characters of the column; cut it, or make the column longer`
  }
}

export function decimalProblem(digits: number, scale: number): Problem {
  return (value) => {
    const [whole = '', fraction = ''] = String(value).replace('-', '').split('.')
    if (fraction.length > scale)
      return `has more than the ${String(scale)} places that the column keeps; round it, or give the column more`
    if (whole.length <= digits - scale || whole === '0') return undefined
    return `has more digits than the column keeps; give the column more`
  }
}

/** Of columns that keep less than milliseconds. */
export function coarseTimeProblem(value: SqlValue): string | undefined {
  if (!(value instanceof Date) || value.getTime() % 1_000 === 0) return undefined
  return 'has milliseconds, which the column does not keep; give it three places, or cut them'
}

/** Of columns whose room is counted in bytes. */
export function bytesProblem(bytes: number): Problem {
  return (value) => {
    if (typeof value !== 'string' || value.length * 3 <= bytes || Buffer.byteLength(value) <= bytes) return undefined
    return `is longer than the ${String(bytes)} bytes of the column; cut it, or make the column longer`
  }
}
