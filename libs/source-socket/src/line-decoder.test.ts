import { ManualClock } from '@sluice/core/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lineDecoder } from './line-decoder.js'
import type { Decoder } from './decoder.js'
import type { LineDecoderOptions } from './socket-stream.config.js'

interface Reported {
  readonly message: string
  readonly error: unknown
}

function open(options?: LineDecoderOptions): { decoder: Decoder<string>; reports: Reported[]; clock: ManualClock } {
  const reports: Reported[] = []
  const clock = new ManualClock()
  const report = (message: string, error?: unknown): void => void reports.push({ message, error })
  return { decoder: lineDecoder(options)({ clock, report }), reports, clock }
}

function decodeAll(packets: readonly Uint8Array[], options?: LineDecoderOptions): { lines: string[]; failed: boolean } {
  const { decoder } = open(options)
  const lines = packets.flatMap((packet) => [...decoder.write(Buffer.from(packet))])
  if (decoder.failure === undefined) lines.push(...decoder.end())
  return { lines, failed: decoder.failure !== undefined }
}

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text))

describe('lines', () => {
  test.each([
    ['LF and CRLF end a line', ['a\nb\r\nc\n'], ['a', 'b', 'c']],
    ['CR and LF in different packets end one line', ['a\r', '\nb\n'], ['a', 'b']],
    ['a lone CR is content', ['a\rb\n\rc\r\r\n'], ['a\rb', '\rc\r']],
    ['a CR at the very end is content', ['a\r'], ['a\r']],
    ['empty lines are records', ['\n\r\n\na\n'], ['', '', '', 'a']],
    ['the last line needs no line end', ['a\nb'], ['a', 'b']],
    ['nothing is no line', ['', ''], []],
    ['a byte order mark is content', ['\ufeffa\n\ufeffb\n'], ['\ufeffa', '\ufeffb']],
    ['a line may span many packets', ['a', 'b', 'c', '\nd'], ['abc', 'd']],
  ])('%s', (_, packets, expected) => {
    expect(decodeAll(bytes(...packets)).lines).toEqual(expected)
  })

  test('a character cut by packets is whole again', () => {
    const text = Buffer.from('x€😀y\n')
    expect(decodeAll([...text].map((byte) => Uint8Array.of(byte))).lines).toEqual(['x€😀y'])
  })

  test('a line that comes byte by byte is no slower than in proportion to its length', () => {
    const { decoder } = open()
    const byte = Buffer.from('x')
    for (let i = 0; i < 1_000_000; i++) decoder.write(byte)
    expect(decoder.write(Buffer.from('\n'))[0]).toHaveLength(1_000_000)
  })

  test('dropping counts the bytes of the incomplete line', () => {
    const { decoder } = open()
    decoder.write(Buffer.from('a\n12'))
    decoder.write(Buffer.from('345'))
    expect(decoder.drop?.()).toBe(5)
  })

  test('every call returns an array of its own', () => {
    const { decoder } = open()
    const [first, second] = [decoder.write(Buffer.from('a')), decoder.write(Buffer.from('b'))]
    expect(first).not.toBe(second)
  })
})

describe('long lines', () => {
  const packets = bytes('ab\nabcdefg', 'hij\r\nabcde\r\nabcdef\n€€\nx')

  test('fail: the lines before it are taken, then decoding fails', () => {
    const { decoder } = open({ maxLineBytes: 5 })
    expect(decoder.write(packets[0]!)).toEqual(['ab'])
    expect(decoder.failure).toMatchObject({ code: 'LINE_TOO_LONG' })
    expect(decoder.failure?.message).toContain('longer than 5 bytes')
    expect(decoder.write(packets[1]!)).toEqual([])
  })

  test('skip: it is left out', () => {
    expect(decodeAll(packets, { maxLineBytes: 5, onLongLine: 'skip' }).lines).toEqual(['ab', 'abcde', 'x'])
  })

  test('truncate: its first bytes are the line, cut between characters', () => {
    const { lines } = decodeAll(packets, { maxLineBytes: 5, onLongLine: 'truncate' })
    expect(lines).toEqual(['ab', 'abcde', 'abcde', 'abcde', '€', 'x'])
  })

  test('truncate: a whole character before bytes that are none is kept', () => {
    const line = Buffer.from([0xe2, 0x82, 0xac, 0x80, 0x80, 10])
    expect(decodeAll([line], { maxLineBytes: 3, onLongLine: 'truncate' }).lines).toEqual(['€'])
  })

  test('they are counted and reported at most once a second, and the rest at the end', async () => {
    const { decoder, reports, clock } = open({ maxLineBytes: 2, onLongLine: 'skip' })
    const long = Buffer.from('abc\nabc\n')
    decoder.write(long)
    decoder.write(long)
    await clock.advance(1_000)
    decoder.write(long)
    decoder.write(long)
    decoder.drop?.()
    expect(reports.map(({ message }) => message)).toEqual([
      'skipped 2 too long lines',
      'skipped 4 too long lines',
      'skipped 2 too long lines',
    ])
    expect(reports[0]?.error).toMatchObject({ code: 'LINE_TOO_LONG' })
  })

  test('a skipped line without an end takes no memory', () => {
    const { decoder } = open({ maxLineBytes: 1_000, onLongLine: 'skip' })
    for (let i = 0; i < 100; i++) decoder.write(Buffer.alloc(65_536, 'x'))
    expect(decoder.drop?.()).toBe(0)
  })

  test.each([
    { maxLineBytes: 0 },
    { maxLineBytes: 1.5 },
    { maxLineBytes: 2 ** 40 },
    { onLongLine: 'ignore' as 'skip' },
  ])('refused: %j', (options) => {
    expect(() => lineDecoder(options)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  })
})

/** The same by the simplest means: cut at each LF, then decode. */
function oracle(data: Buffer, { maxLineBytes = Infinity, onLongLine = 'fail' }: LineDecoderOptions) {
  const lines: string[] = []
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  for (let start = 0; start < data.length;) {
    const lf = data.indexOf(10, start)
    let line = data.subarray(start, lf === -1 ? data.length : lf)
    if (lf !== -1 && line.at(-1) === 13) line = line.subarray(0, -1)
    if (line.length <= maxLineBytes) lines.push(decoder.decode(line))
    else if (onLongLine === 'fail') return { lines, failed: true }
    else if (onLongLine === 'truncate') lines.push(truncated(line, maxLineBytes))
    start = lf === -1 ? data.length : lf + 1
  }
  return { lines, failed: false }
}

// The longest start of whole characters, by trying: a cut through a character shows as one U+FFFD that the whole has not.
function truncated(line: Buffer, maxBytes: number): string {
  for (let cut = maxBytes; cut > maxBytes - 4 && cut >= 0; cut--) {
    const head = line.subarray(0, cut).toString()
    if (head + line.subarray(cut).toString() === line.toString()) return head
  }
  return line.subarray(0, maxBytes).toString()
}

const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('\n', '\r\n', '\r', 'a', 'bc') },
  { weight: 2, arbitrary: fc.constantFrom('é', '€', '😀', '\ufeff', '\u0000') },
)
const brokenPiece = fc.constantFrom(
  [0x80],
  [0xff],
  [0xc3],
  [0xe2, 0x82],
  [0xf0, 0x9f, 0x98],
  [0xc0, 0xaf],
  [0xed, 0xa0, 0x80],
)
const validBytes = fc.array(piece.map((text) => [...Buffer.from(text)])).map((parts) => Buffer.from(parts.flat()))
const anyBytes = fc
  .array(
    fc.oneof(
      piece.map((text) => [...Buffer.from(text)]),
      brokenPiece,
    ),
  )
  .map((parts) => Buffer.from(parts.flat()))

function cutAt(data: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).sort((a, b) => a - b), data.length]
  return at.slice(1).map((end, i) => data.subarray(at[i], end))
}

const longLinePolicy = fc.constantFrom<'fail' | 'truncate' | 'skip'>('fail', 'truncate', 'skip')
const maxLineBytes = fc.integer({ min: 1, max: 12 })

describe('laws', () => {
  test('any cutting of any bytes into packets gives the lines of the whole', () => {
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat()), (data, cuts) => {
        expect(decodeAll(cutAt(data, cuts))).toEqual(oracle(data, {}))
      }),
      { numRuns: 2_000 },
    )
  })

  test('so it does with long lines, by every policy', () => {
    fc.assert(
      fc.property(validBytes, fc.array(fc.nat()), maxLineBytes, longLinePolicy, (data, cuts, max, policy) => {
        const options = { maxLineBytes: max, onLongLine: policy }
        expect(decodeAll(cutAt(data, cuts), options)).toEqual(oracle(data, options))
      }),
      { numRuns: 5_000 },
    )
  })

  test('cutting bytes that are no UTF-8 changes nothing for long lines either', () => {
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat()), maxLineBytes, longLinePolicy, (data, cuts, max, policy) => {
        const options = { maxLineBytes: max, onLongLine: policy }
        expect(decodeAll(cutAt(data, cuts), options)).toEqual(decodeAll([data], options))
      }),
      { numRuns: 2_000 },
    )
  })
})
