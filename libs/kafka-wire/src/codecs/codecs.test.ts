import * as zlib from 'node:zlib'
import { array, assert, integer, oneof, property, tuple, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecsOf, compressionsOf, decompress, requireCompressor } from './codecs.js'
import { compressLz4, decompressLz4 } from './lz4.js'
import { compressSnappy, decompressSnappy } from './snappy.js'

/** Bytes with and without repetitions, near and far. */
const content = array(
  oneof(
    uint8Array({ maxLength: 40 }),
    tuple(uint8Array({ minLength: 1, maxLength: 9 }), integer({ min: 1, max: 400 })).map(([bytes, times]) =>
      Buffer.concat(Array.from({ length: times }, () => bytes)),
    ),
  ),
  { maxLength: 12 },
).map((parts) => Buffer.concat(parts))

const damaged = (bytes: Buffer, at: number, flip: number, cut: number): Buffer => {
  const copy = Buffer.from(bytes.subarray(0, bytes.length - (cut % (bytes.length + 1))))
  if (copy.length > 0) copy[at % copy.length] = (copy[at % copy.length] as number) ^ flip
  return copy
}

describe.each([
  ['lz4', compressLz4, decompressLz4],
  ['snappy', compressSnappy, decompressSnappy],
] as const)('%s', (_, compress, unpack) => {
  it('gives back what was compressed', () => {
    assert(
      property(content, (bytes) => {
        expect(unpack(compress(bytes)).equals(bytes)).toBe(true)
      }),
    )
  })

  it('gives back more than a block, of text and of noise', () => {
    const text = Buffer.from(Array.from({ length: 300_000 }, (_, i) => `line ${String(i % 977)}\n`).join(''))
    let seed = 7
    const noise = Buffer.from(
      Uint8Array.from({ length: 4 * 1024 * 1024 + 12345 }, () => (seed = (seed * 16807) % 2147483647) & 0xff),
    )
    expect(unpack(compress(text)).equals(text)).toBe(true)
    expect(unpack(compress(noise)).equals(noise)).toBe(true)
    expect(compress(text).length).toBeLessThan(text.length / 4)
  })

  it('ends in an error or in bytes, never in a hang, whatever is cut off or flipped', () => {
    const any = integer({ min: 0, max: 1 << 30 })
    assert(
      property(content, any, integer({ min: 0, max: 255 }), any, (bytes, at, flip, cut) => {
        try {
          unpack(damaged(compress(bytes), at, flip, cut))
        } catch (error) {
          expect(error).toMatchObject({ code: 'DATA_CORRUPT' })
        }
      }),
      { numRuns: 500 },
    )
  })
})

it('reads snappy without the header of Java, as librdkafka writes it', () => {
  // The length 11, then "abcd" as it is, a copy of 4 from 4 before, and 3 more bytes.
  const raw = Buffer.from([11, 3 << 2, ...Buffer.from('abcd'), 0x01, 4, 2 << 2, ...Buffer.from('xyz')])
  expect(decompressSnappy(raw).toString()).toBe('abcdabcdxyz')
})

it('reads LZ4 blocks that refer back to the block before', () => {
  const header = Buffer.of(0x04, 0x22, 0x4d, 0x18, 0x40, 0x70, 0xdf)
  const first = Buffer.from([5, 0, 0, 0, 0x40, ...Buffer.from('abcd')])
  const second = Buffer.from([6, 0, 0, 0, 0x04, 4, 0, 0x20, ...Buffer.from('yz')])
  expect(decompressLz4(Buffer.concat([header, first, second, Buffer.alloc(4)])).toString()).toBe('abcdabcdabcdyz')
})

it('decompresses gzip by its number', () => {
  const bytes = Buffer.from('some text')
  expect(decompress(codecsOf(), 1, zlib.gzipSync(bytes), 'orders').toString()).toBe('some text')
})

it('names topic, codec and remedy where a codec is missing', () => {
  const codecs = codecsOf({ zstd: {} })
  const message: unknown = expect.stringMatching(
    /^\[kafka-wire\] topic orders is compressed with zstd.*; use Node 22\.15/,
  )
  expect(() => decompress(codecs, 4, Buffer.alloc(9), 'orders')).toThrow(
    expect.objectContaining({ code: 'CODEC_MISSING', message }) as Error,
  )
  expect(() => requireCompressor(codecs, 'zstd', 'orders')).toThrow(
    expect.objectContaining({ code: 'CODEC_MISSING' }) as Error,
  )
  expect(compressionsOf(codecs)).toEqual(['none', 'gzip', 'snappy', 'lz4'])
})

it('has zstd where Node has it', () => {
  expect(compressionsOf(codecsOf()).includes('zstd')).toBe('zstdCompressSync' in zlib)
})

it('takes a codec of the user in place of its own', () => {
  const codecs = codecsOf({ zstd: { decompress: (bytes) => Buffer.from(bytes).reverse() } })
  expect(decompress(codecs, 4, Buffer.from('abc'), 'orders').toString()).toBe('cba')
})

it('says that bytes are damaged when a codec throws', () => {
  expect(() => decompress(codecsOf(), 1, Buffer.from('no gzip'), 'orders')).toThrow(
    expect.objectContaining({ code: 'DATA_CORRUPT' }) as Error,
  )
})
