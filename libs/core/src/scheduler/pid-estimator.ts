/**
 * The rate at which an input should be taken in, from how fast its batches are processed: a PID controller, as Spark has it
 * (SPARK-8834).
 */
import { requireArgument } from '../errors.js'

export interface PidOptions {
  /** Weight of the current error. At least 0. Default: 1. */
  readonly proportional?: number | undefined
  /** Weight of what has piled up. At least 0. Default: 0.2. */
  readonly integral?: number | undefined
  /** Weight of the change of the error. At least 0. Default: 0. */
  readonly derivative?: number | undefined
  /** Lowest rate, in records per second for the whole stream. Above 0. Default: 100. */
  readonly minRate?: number | undefined
}

/** What is known of a batch when it has ended. */
export interface BatchFigures {
  /** When processing ended, in ms of monotonic time. */
  readonly endedMs: number
  readonly records: number
  readonly processingDelayMs: number
  readonly schedulingDelayMs: number
}

export class PidEstimator {
  readonly #intervalMs: number
  readonly #weights: { readonly p: number; readonly i: number; readonly d: number }
  readonly #minRate: number
  #latest: { readonly timeMs: number; readonly rate: number; readonly error: number } | undefined

  constructor(intervalMs: number, options: PidOptions = {}) {
    const { proportional: p = 1, integral: i = 0.2, derivative: d = 0, minRate = 100 } = options
    for (const [name, value] of Object.entries({ proportional: p, integral: i, derivative: d })) {
      requireArgument(value >= 0, 'backpressure', `${name} must be at least 0, not ${String(value)}`)
    }
    requireArgument(minRate > 0, 'backpressure', `minRate must be above 0, not ${String(minRate)}`)
    this.#intervalMs = intervalMs
    this.#weights = { p, i, d }
    this.#minRate = minRate
  }

  /** The new rate in records per second; undefined where the batch tells nothing, as the first one does. */
  next({ endedMs, records, processingDelayMs, schedulingDelayMs }: BatchFigures): number | undefined {
    const { p, i, d } = this.#weights
    const latest = this.#latest
    if (records <= 0 || processingDelayMs <= 0 || (latest !== undefined && endedMs <= latest.timeMs)) return undefined
    const processingRate = (records / processingDelayMs) * 1_000
    if (latest === undefined) {
      this.#latest = { timeMs: endedMs, rate: processingRate, error: 0 }
      return undefined
    }
    const error = latest.rate - processingRate
    // Records that wait, spread over one interval.
    const historical = (schedulingDelayMs * processingRate) / this.#intervalMs
    const change = (error - latest.error) / ((endedMs - latest.timeMs) / 1_000)
    const rate = Math.max(latest.rate - p * error - i * historical - d * change, this.#minRate)
    this.#latest = { timeMs: endedMs, rate, error }
    return rate
  }
}
