import { expect, test } from 'vitest'
import { estimateBytes } from './size-estimate.js'

test('E16: blocks of bytes are counted exactly', () => {
  const records = Array.from({ length: 100 }, (_, i) => Buffer.alloc(i * i))
  expect(estimateBytes(records)).toBe(328_350)
})

test.each([
  ['small integers', 1_000, (i: number) => i, 8_048],
  ['fractions', 1_000, (i: number) => i + 0.5, 8_048],
  ['one-byte strings', 1_000, (i: number) => String(10_000_000 + i), 32_048],
  ['two-byte strings', 1_000, () => '數數數數', 32_048],
  ['objects', 1_000, (i: number) => ({ a: i, b: true }), 48_048],
  ['pairs', 1_000, (i: number) => [String(10_000_000 + i), i], 96_048],
])('%s are estimated by the sizes of V8', (_, count, make, sizeBytes) => {
  expect(estimateBytes(Array.from({ length: count }, (_, i) => make(i)))).toBe(sizeBytes)
})

test('what is nested counts, and a value that contains itself ends', () => {
  const inner = { text: 'x'.repeat(100_000) }
  expect(estimateBytes([{ inner }])).toBeGreaterThan(100_000)
  expect(estimateBytes([new Map([['k', inner]])])).toBeGreaterThan(100_000)
  expect(estimateBytes([new Set([inner])])).toBeGreaterThan(100_000)
  expect(estimateBytes([{ bytes: Buffer.alloc(100_000) }])).toBeGreaterThan(100_000)
  const loop: { self?: unknown } = {}
  loop.self = loop
  expect(estimateBytes([loop])).toBeLessThan(200)
})

test('many records cost no more than a few to estimate, and give the same every time', () => {
  const records = Array.from({ length: 100_000 }, (_, i) => ({ id: i, name: `name-${String(i)}` }))
  expect(estimateBytes(records)).toBe(estimateBytes([...records]))
  expect(estimateBytes([])).toBe(48)
})
