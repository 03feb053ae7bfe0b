/** Rows of benchmarks that have an absolute limit in place of a reference. */
import type { Row } from './row.js'
import { spreadOf } from './stats.js'

/** Ours must not be above the limit, run by run. */
export function limitRow(name: string, ours: readonly number[], limits: readonly number[], unit: string): Row {
  const ratios = ours.map((value, i) => (value === limits[i] ? 1 : (limits[i] ?? Number.NaN) / value))
  const { median: ratio, low, high } = spreadOf(ratios)
  return {
    name,
    ratio,
    low,
    high,
    unit,
    ours: spreadOf(ours).median,
    reference: spreadOf(limits).median,
    aim: 1,
    met: ratio >= 1,
    wallRatio: undefined,
    rounds: ours.length,
  }
}
