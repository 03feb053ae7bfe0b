/** Each figure of Spark's estimator, computed by hand. */
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { PidEstimator, type BatchFigures } from './pid-estimator.js'

/** A batch of the second `endedMs / 1_000` that took half a second. */
const figures = (endedMs: number, records: number, more: Partial<BatchFigures> = {}): BatchFigures => ({
  endedMs,
  records,
  processingDelayMs: 500,
  schedulingDelayMs: 0,
  ...more,
})

test('the first batch only tells its processing rate', () => {
  expect(new PidEstimator(1_000).next(figures(1_000, 1_000))).toBeUndefined()
})

test('proportional: the error is the last rate less the processing rate', () => {
  const pid = new PidEstimator(1_000, { integral: 0 })
  // 1 000 in 0.5 s: 2 000/s.
  pid.next(figures(1_000, 1_000))
  // 500 in 0.5 s: 1 000/s, error 1 000, so 2 000 − 1 × 1 000.
  expect(pid.next(figures(2_000, 500))).toBe(1_000)
  // 1 500/s, error −500.
  expect(pid.next(figures(3_000, 750))).toBe(1_500)
})

test('proportional: half the weight takes half of the error', () => {
  const pid = new PidEstimator(1_000, { proportional: 0.5, integral: 0 })
  pid.next(figures(1_000, 1_000))
  expect(pid.next(figures(2_000, 500))).toBe(1_500)
  // The error is taken from the rate that was set, 1 500, not from a processing rate: 1 500 − 0.5 × 500.
  expect(pid.next(figures(3_000, 500))).toBe(1_250)
})

test('integral: the scheduling delay is records that wait, spread over one interval', () => {
  const pid = new PidEstimator(2_000, { integral: 0.2 })
  pid.next(figures(1_000, 1_000))
  // 2 000/s, no error; 1 000 ms of delay × 2 000/s ÷ 2 000 ms = 1 000, and 0.2 of it.
  expect(pid.next(figures(2_000, 1_000, { schedulingDelayMs: 1_000 }))).toBe(1_800)
})

test('derivative: the change of the error by the seconds between the ends', () => {
  const pid = new PidEstimator(1_000, { integral: 0, derivative: 0.5 })
  pid.next(figures(1_000, 1_000))
  // Error 1 000, changed by 1 000 in 2 s: 500/s. 2 000 − 1 000 − 0.5 × 500.
  expect(pid.next(figures(3_000, 500))).toBe(750)
  // Rate 1 000/s, error −250, changed by −1 250 in 1 s: 750 + 250 + 0.5 × 1 250.
  expect(pid.next(figures(4_000, 500))).toBe(1_625)
})

test('all three together', () => {
  const pid = new PidEstimator(1_000, { proportional: 1, integral: 0.2, derivative: 0.1 })
  pid.next(figures(1_000, 1_000))
  // 1 600/s: error 400; 250 ms × 1 600/s ÷ 1 000 ms = 400; change 400 in 1 s. 2 000 − 400 − 80 − 40.
  expect(pid.next(figures(2_000, 800, { schedulingDelayMs: 250 }))).toBe(1_480)
})

test('the rate never falls below the least one: 100 by default', () => {
  const pid = new PidEstimator(1_000)
  pid.next(figures(1_000, 1_000))
  expect(pid.next(figures(2_000, 1))).toBe(100)
  const other = new PidEstimator(1_000, { minRate: 7 })
  other.next(figures(1_000, 1_000))
  expect(other.next(figures(2_000, 1))).toBe(7)
})

test('the least rate is what the next error is taken from', () => {
  const pid = new PidEstimator(1_000, { proportional: 0.5, integral: 0 })
  pid.next(figures(1_000, 1_000))
  pid.next(figures(2_000, 1, { processingDelayMs: 100_000 }))
  pid.next(figures(3_000, 1, { processingDelayMs: 100_000 }))
  pid.next(figures(4_000, 1, { processingDelayMs: 100_000 }))
  pid.next(figures(5_000, 1, { processingDelayMs: 100_000 }))
  // 2 000 halves to 125, then 100 for 62.5; then 100 − 0.5 × (100 − 200).
  expect(pid.next(figures(6_000, 1, { processingDelayMs: 100_000 }))).toBe(100)
  expect(pid.next(figures(7_000, 100))).toBe(150)
})

test.for([
  ['without records', figures(2_000, 0)],
  ['that took no time', figures(2_000, 10, { processingDelayMs: 0 })],
  ['that ended at the same time', figures(1_000, 10)],
  ['that ended before', figures(500, 10)],
] as const)('a batch %s tells nothing and changes nothing', ([, batch]) => {
  const pid = new PidEstimator(1_000, { integral: 0, derivative: 1 })
  pid.next(figures(1_000, 1_000))
  expect(pid.next(batch)).toBeUndefined()
  // The seconds since 1 000 count: error 1 000 in 2 s.
  expect(pid.next(figures(3_000, 500))).toBe(500)
})

test('a first batch that tells nothing is not the first one', () => {
  const pid = new PidEstimator(1_000)
  expect(pid.next(figures(0, 0))).toBeUndefined()
  expect(pid.next(figures(0, 1_000))).toBeUndefined()
  expect(pid.next(figures(1_000, 1_000))).toBe(2_000)
})

test('the defaults are Spark’s: 1, 0.2, 0, 100', () => {
  const [given, defaults] = [
    new PidEstimator(1_000, { proportional: 1, integral: 0.2, derivative: 0, minRate: 100 }),
    new PidEstimator(1_000),
  ]
  for (const batch of [figures(1_000, 900), figures(2_000, 400, { schedulingDelayMs: 333 }), figures(4_000, 1)]) {
    expect(defaults.next(batch)).toBe(given.next(batch))
  }
})

test.for([{ proportional: -1 }, { integral: Number.NaN }, { derivative: -0.1 }, { minRate: 0 }])(
  '%o is refused',
  (options) => {
    expect(() => new PidEstimator(1_000, options)).toThrowError(
      expect.toSatisfy((error: unknown) => isSluiceError(error, 'ARGUMENT_INVALID')),
    )
  },
)
