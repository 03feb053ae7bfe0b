import { expect, test } from 'vitest'
import { newIdentity, seededRandom, seedOf } from './random.js'

test('E10: the same seed gives the same numbers for ever', () => {
  const random = seededRandom(42)
  const golden = [0.6011037519201636, 0.44829055899754167, 0.8524657934904099, 0.6697340414393693, 0.17481389874592423]
  expect(Array.from({ length: 5 }, () => random.next())).toEqual(golden)
  const other = seededRandom(-1)
  expect(Array.from({ length: 8 }, () => other.integer(10))).toEqual([8, 1, 7, 9, 8, 5, 6, 4])
})

test('E10: a seed is made of types and values, in order', () => {
  expect(seedOf('reduceByKey-0', 1_000, 3)).toBe(978_256_234)
  const seeds = [seedOf('a', 'b'), seedOf('b', 'a'), seedOf('ab'), seedOf('a', 1), seedOf('a', '1'), seedOf('a1')]
  expect(new Set(seeds).size).toBe(seeds.length)
})

test('numbers are spread over [0, 1)', () => {
  const random = seededRandom(7)
  const buckets = new Array<number>(10).fill(0)
  for (let i = 0; i < 10_000; i++) buckets[random.integer(10)]!++
  for (const count of buckets) expect(count).toBeGreaterThan(850)
  for (const count of buckets) expect(count).toBeLessThan(1_150)
})

test('identities are never given twice', () => {
  expect(newIdentity()).not.toBe(newIdentity())
})
