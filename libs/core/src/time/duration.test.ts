import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { formatDuration, hours, isMultipleOf, milliseconds, minutes, seconds } from './duration.js'

test('each unit gives whole milliseconds', () => {
  expect([milliseconds(7), seconds(2), minutes(3), hours(1)]).toEqual([7, 2_000, 180_000, 3_600_000])
})

test('fractions that mean whole milliseconds are taken, whatever binary fractions make of them', () => {
  expect([seconds(0.07), seconds(1.1), minutes(0.001), hours(0.1)]).toEqual([70, 1_100, 60, 360_000])
})

test.each([-1, 0.5, NaN, Infinity, 2 ** 53])('milliseconds(%s) is refused', (n) => {
  expect(() => milliseconds(n)).toThrowError(expect.toSatisfy((error) => isSluiceError(error, 'ARGUMENT_INVALID')))
})

test('what is finer than a millisecond is refused', () => {
  expect(() => seconds(0.0001)).toThrowError(/whole number of milliseconds/)
})

test('isMultipleOf', () => {
  expect(isMultipleOf(60, 20)).toBe(true)
  expect(isMultipleOf(0, 20)).toBe(true)
  expect(isMultipleOf(50, 20)).toBe(false)
  expect(isMultipleOf(50, 0)).toBe(false)
})

test('durations are written in the largest unit that is whole', () => {
  expect([0, 500, 1_000, 1_500, 90_000, 120_000].map(formatDuration)).toEqual([
    '0 ms',
    '500 ms',
    '1 s',
    '1500 ms',
    '90 s',
    '2 min',
  ])
})
