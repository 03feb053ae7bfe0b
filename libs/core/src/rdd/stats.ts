/** Count, mean, variance and extremes in one pass, mergeable. */

export interface Stats {
  readonly count: number
  readonly sum: number
  readonly mean: number
  /** Of the population: divided by count. NaN when empty. */
  readonly variance: number
  readonly stdev: number
  readonly min: number
  readonly max: number
}

interface Accumulated {
  add(value: number): void
  merge(other: Stats): void
  result(): Stats
}

/** Welford's method, merged by that of Chan, Golub and LeVeque (1983). */
export function statsOf(): Accumulated {
  let count = 0
  let sum = 0
  let mean = 0
  let squares = 0
  let min = Infinity
  let max = -Infinity
  return {
    add(value) {
      count++
      sum += value
      const delta = value - mean
      mean += delta / count
      squares += delta * (value - mean)
      min = Math.min(min, value)
      max = Math.max(max, value)
    },
    merge(other) {
      if (other.count === 0) return
      const total = count + other.count
      const delta = other.mean - mean
      squares += other.variance * other.count + (delta * delta * count * other.count) / total
      mean += (delta * other.count) / total
      count = total
      sum += other.sum
      min = Math.min(min, other.min)
      max = Math.max(max, other.max)
    },
    result() {
      const variance = count === 0 ? NaN : squares / count
      return { count, sum, mean: count === 0 ? NaN : mean, variance, stdev: Math.sqrt(variance), min, max }
    },
  }
}
