import { expect, test } from 'vitest'
import { firstTick, isValidTime, lastTick } from './ticks.js'

test('E12: the first tick is the first multiple of the interval after now', () => {
  expect([0, 1, 999, 1_000, 1_700_000_000_123].map((now) => firstTick(now, 1_000))).toEqual([
    1_000, 1_000, 1_000, 2_000, 1_700_000_001_000,
  ])
  expect(firstTick(95, 30)).toBe(120)
})

test('E12: the last tick is counted from the zero time', () => {
  expect(lastTick(2_999, 1_000, 1_000)).toBe(2_000)
  expect(lastTick(3_000, 1_000, 1_000)).toBe(3_000)
  expect(lastTick(500, 1_000, 1_000)).toBe(0)
})

test('a stream has batches at positive multiples of its slide after the zero time', () => {
  const times = [0, 1_000, 2_000, 3_000, 4_000, 5_000]
  expect(times.filter((time) => isValidTime(time, 1_000, 2_000))).toEqual([3_000, 5_000])
})
