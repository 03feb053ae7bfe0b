/** Durations: branded numbers of milliseconds, made by `seconds()` and its kin. */
import { requireArgument } from '../errors.js'

/**
 * A length of time in whole milliseconds. Arithmetic with plain operators gives numbers; brand them again with {@link milliseconds}. The brand
 * is for the compiler alone, and the same in every copy of this package.
 */
export type Duration = number & { readonly '~sluice': 'duration/1' }

/** The time of a batch: milliseconds since the Unix epoch, a multiple of the batch interval after the zero time. */
export type BatchTime = number

/** `n` milliseconds. Must come to a whole number of milliseconds of at least 0; throws `ARGUMENT_INVALID`. */
export function milliseconds(n: number): Duration {
  requireArgument(
    Number.isSafeInteger(n) && n >= 0,
    'duration',
    `a duration must be a whole number of milliseconds of at least 0, not ${String(n)}; round it or use a finer unit`,
  )
  return n as Duration
}

/** `n` seconds; fractions down to a millisecond are allowed. */
export function seconds(n: number): Duration {
  return milliseconds(rounded(n * 1_000))
}

/** `n` minutes. */
export function minutes(n: number): Duration {
  return milliseconds(rounded(n * 60_000))
}

/** `n` hours. */
export function hours(n: number): Duration {
  return milliseconds(rounded(n * 3_600_000))
}

// 0.07 * 1000 is 70.00000000000001: what is meant is 70.
function rounded(ms: number): number {
  const whole = Math.round(ms)
  return Math.abs(ms - whole) < 1e-6 ? whole : ms
}

/** Whether `duration` is a whole multiple of `unit`. */
export function isMultipleOf(duration: number, unit: number): boolean {
  return unit > 0 && duration % unit === 0
}

/** A duration as people write it: `500 ms`, `10 s`, `5 min`. */
export function formatDuration(ms: number): string {
  if (ms >= 60_000 && ms % 60_000 === 0) return `${String(ms / 60_000)} min`
  if (ms >= 1_000 && ms % 1_000 === 0) return `${String(ms / 1_000)} s`
  return `${String(ms)} ms`
}
