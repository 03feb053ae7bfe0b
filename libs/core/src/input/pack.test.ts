import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pack } from './pack.js'

const KIB = 1_024

test('pieces of any length come back in order, joined where they are short, and counted to the byte', () => {
  const lengths = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 100 * KIB })), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(lengths, (sizes) => {
      const pack = new Pack()
      const parts = sizes.map((size, i) => Buffer.alloc(size, i + 1))
      for (const part of parts) pack.add(part, 2)
      expect(pack.records).toBe(2 * parts.length)
      expect(pack.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0))
      expect(Buffer.concat(pack.end()).equals(Buffer.concat(parts))).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test('a thousand short pieces are one; what is kept is no larger than what is counted', () => {
  const pack = new Pack()
  for (let i = 0; i < 1_000; i++) pack.add(Buffer.from('0123456789'), 1)
  const pieces = pack.end()
  expect(pieces.map(({ length }) => length)).toEqual([10_000])
  expect(pieces[0]?.buffer.byteLength).toBe(10_000)
})

test('a long piece is taken as it is', () => {
  const pack = new Pack()
  const long = new Uint8Array(64 * KIB)
  pack.add(Buffer.from('short'), 1)
  pack.add(long, 1)
  pack.add(Buffer.from('short'), 1)
  expect(pack.end()[1]).toBe(long)
})
