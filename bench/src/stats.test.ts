import { expect, test } from 'vitest'
import { checksum } from './checksum.js'
import { median, spreadOf } from './stats.js'

test('median and quartiles lie between the values where they must', () => {
  expect(spreadOf([4, 1, 3, 2])).toEqual({ low: 1.75, median: 2.5, high: 3.25 })
  expect(spreadOf([7])).toEqual({ low: 7, median: 7, high: 7 })
  expect(median([3, 1, 2])).toBe(2)
})

test('a checksum tells results apart by value, type, order and nesting', () => {
  const results = [1, '1', [1], [[1]], [1, 2], [2, 1], ['12'], ['1', '2'], { a: 1 }, { a: 1.5 }, true, null, undefined]
  expect(new Set(results.map((result) => checksum(result))).size).toBe(results.length)
  expect(checksum([['a', { n: 0.5 }]])).toBe(checksum([['a', { n: 0.5 }]]))
})
