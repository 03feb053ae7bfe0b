import { property, uint8Array, assert } from 'fast-check'
import { expect, it } from 'vitest'
import { crc32c, updateSlowly } from './crc32c.js'

it.each([
  ['', 0],
  ['a', 0xc1d04330],
  ['123456789', 0xe3069283],
])('gives the checksum that everybody gives for %j', (text, expected) => {
  expect(crc32c(Buffer.from(text))).toBe(expected)
})

it('gives those of RFC 3720 for 32 bytes of zeros, of ones, and counting up', () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e)
})

it('gives the same in WebAssembly as in JavaScript, for any length and across its pages', () => {
  assert(
    property(uint8Array({ maxLength: 100 }), (bytes) => {
      expect(crc32c(bytes)).toBe(~updateSlowly(-1, bytes) >>> 0)
    }),
  )
  const long = Buffer.from(Array.from({ length: 200_001 }, (_, i) => (i * 31) & 0xff))
  expect(crc32c(long)).toBe(~updateSlowly(-1, long) >>> 0)
})
