import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countLines, countSlowly, linesOf } from './lines.js'

const LF = 10

/** Many line ends and carriage returns, and bytes that are no UTF-8. */
const anyByte = fc.oneof(fc.constantFrom(LF, 13, 0x61), fc.integer({ min: 0, max: 255 }))

test('lines are counted wherever the bytes begin and however many they are', () => {
  fc.assert(
    fc.property(fc.array(anyByte, { maxLength: 100 }), fc.nat({ max: 20 }), (data, start) => {
      const bytes = Uint8Array.from(data).subarray(Math.min(start, data.length))
      expect(countLines(bytes)).toBe([...bytes].filter((byte) => byte === LF).length)
    }),
    { numRuns: 1_000 },
  )
})

test('lines of more bytes than are counted at once; what was counted before does not count again', () => {
  for (const length of [65_535, 65_536, 65_537, 200_001, 1]) {
    const bytes = new Uint8Array(length).fill(LF)
    expect(countLines(bytes)).toBe(length)
    expect(countSlowly(bytes)).toBe(length)
  }
})

test('the lines of bytes are as many as are counted, and those of the text', () => {
  fc.assert(
    fc.property(fc.array(anyByte, { maxLength: 60 }), (data) => {
      const bytes = Uint8Array.from([...data, LF])
      const lines = linesOf(bytes)
      expect(lines).toHaveLength(countLines(bytes))
      const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
      expect(lines).toEqual(
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line)),
      )
    }),
    { numRuns: 1_000 },
  )
})

test('no bytes are no line, and a line end alone is an empty one', () => {
  expect(linesOf(new Uint8Array())).toEqual([])
  expect(linesOf(Uint8Array.of(LF))).toEqual([''])
})
