/** Medians and quartiles. */

export interface Spread {
  readonly median: number
  /** First quartile. */
  readonly low: number
  /** Third quartile. */
  readonly high: number
}

/** Median and quartiles of at least one number, by linear interpolation. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) }
}

export function median(values: readonly number[]): number {
  return spreadOf(values).median
}

function quantile(sorted: Float64Array, share: number): number {
  const at = (sorted.length - 1) * share
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}
