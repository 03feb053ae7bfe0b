import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { ByteRange, FileSystem } from './file-system.js'
import { memoryFileSystem } from './memory-file-system.js'
import { isSplittable, readLines, splitFile, type ReadLinesOptions } from './text.js'

async function fileOf(data: string | Uint8Array, path = '/a.txt'): Promise<FileSystem> {
  const fs = memoryFileSystem()
  await fs.create(path, typeof data === 'string' ? Buffer.from(data) : data)
  return fs
}

async function linesIn(
  fs: FileSystem,
  range?: ByteRange,
  options?: ReadLinesOptions,
  path = '/a.txt',
): Promise<string[]> {
  const lines: string[] = []
  for await (const chunk of readLines(fs, path, range, options)) lines.push(...chunk)
  return lines
}

/** What the lines of a text are, said in the simplest way. */
function expected(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split('\n')
  const rest = lines.pop()
  const whole = lines.map((line) => line.replace(/\r$/, ''))
  return rest === undefined || rest === '' ? whole : [...whole, rest]
}

const text = fc
  .array(fc.constantFrom('a', 'bc', 'ü', '數', '😀', '\n', '\n', '\r\n', '\r', '\ufeff', 'long text '), {
    maxLength: 40,
  })
  .map((parts) => parts.join(''))

test('any cover of a file by ranges gives each line once, in order, whatever the block size', async () => {
  const cuts = fc.array(fc.nat(100), { maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(text, cuts, fc.integer({ min: 1, max: 20 }), async (content, borders, blockBytes) => {
      const fs = await fileOf(content)
      const size = Buffer.byteLength(content)
      const points = [0, ...borders.map((cut) => cut % (size + 1)), size].sort((a, b) => a - b)
      const lines: string[] = []
      for (const [i, end] of points.slice(1).entries()) {
        const start = points[i] ?? 0
        lines.push(...(await linesIn(fs, { start, length: end - start }, { blockBytes })))
      }
      expect(lines).toEqual(expected(content))
      expect(await linesIn(fs, undefined, { blockBytes })).toEqual(expected(content))
    }),
    { numRuns: 600, seed: 1 },
  )
})

test('a line belongs to the range in which it begins', async () => {
  const fs = await fileOf('one\ntwo\nthree\n')
  expect(await linesIn(fs, { start: 0, length: 4 })).toEqual(['one'])
  expect(await linesIn(fs, { start: 0, length: 5 })).toEqual(['one', 'two'])
  expect(await linesIn(fs, { start: 4, length: 1 })).toEqual(['two'])
  expect(await linesIn(fs, { start: 5, length: 3 })).toEqual([])
  expect(await linesIn(fs, { start: 5, length: 100 })).toEqual(['three'])
  expect(await linesIn(fs, { start: 4, length: 0 })).toEqual([])
  expect(await linesIn(fs, { start: 99, length: 9 })).toEqual([])
})

test.each([
  ['', []],
  ['\n', ['']],
  ['a', ['a']],
  ['a\n\nb', ['a', '', 'b']],
  ['a\r\nb\r\n', ['a', 'b']],
  ['a\rb\r', ['a\rb\r']],
  ['\ufeffa\n\ufeffb\n', ['a', '\ufeffb']],
  ['\ufeff', []],
])('the lines of %j are %j', async (content, lines) => {
  expect(await linesIn(await fileOf(content))).toEqual(lines)
})

test('invalid bytes become replacement characters', async () => {
  expect(await linesIn(await fileOf(Buffer.from([0x61, 0xff, 0x0a, 0xc3])))).toEqual(['a\ufffd', '\ufffd'])
})

test('large files come in chunks of many lines, long lines whole', async () => {
  const lines = Array.from({ length: 60_000 }, (_, i) => `line ${String(i)} ${'ü'.repeat(i % 30)}`)
  lines[500] = 'x'.repeat(3_000_000)
  const fs = await fileOf(lines.join('\n'))
  let chunks = 0
  const read: string[] = []
  for await (const chunk of readLines(fs, '/a.txt')) {
    chunks++
    read.push(...chunk)
  }
  expect(read).toEqual(lines)
  expect(chunks).toBeLessThan(100)
})

test.each([1, 4, 1_000])(
  'a line that is too long is an error with file and offset, with blocks of %d',
  async (blockBytes) => {
    const fs = await fileOf('short\n0123456789\n')
    const options = { maxLineBytes: 9, blockBytes }
    const error = await linesIn(fs, undefined, options).catch((error: unknown) => error)
    expect(isSluiceError(error, 'LINE_TOO_LONG')).toBe(true)
    expect(String(error)).toContain('/a.txt has a line of more than 9 bytes at byte 6;')
    expect(await linesIn(fs, undefined, { ...options, maxLineBytes: 10 })).toEqual(['short', '0123456789'])
  },
)

test('a range skips a line without end only as far as its own end', async () => {
  const fs = await fileOf('x'.repeat(100_000))
  let readBytes = 0
  const counting: FileSystem = Object.create(fs, {
    read: {
      value: async (path: string, range: ByteRange) => {
        const data = await fs.read(path, range)
        readBytes += data.byteLength
        return data
      },
    },
  }) as FileSystem
  expect(await linesIn(counting, { start: 10, length: 50 }, { blockBytes: 16 })).toEqual([])
  expect(readBytes).toBeLessThan(100)
})

test('a missing file rejects with FILE_NOT_FOUND, plain or compressed', async () => {
  const fs = memoryFileSystem()
  for (const path of ['/none', '/none.gz']) {
    await expect(linesIn(fs, undefined, {}, path)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  }
})

const GZ = '/a.gz'

test.each([1, 7, 64, 100_000])(
  'gzip members one after the other are one text, with blocks of %d',
  async (blockBytes) => {
    const members = ['first\nsec', 'ond\n', '', 'thïrd'].map((part) => gzipSync(part))
    const fs = await fileOf(Buffer.concat([...members, Buffer.alloc(9)]), GZ)
    expect(await linesIn(fs, undefined, { blockBytes }, GZ)).toEqual(['first', 'second', 'thïrd'])
  },
)

test('a gzip file belongs to the range that starts at 0', async () => {
  const fs = await fileOf(gzipSync('one\ntwo\n'), GZ)
  expect(await linesIn(fs, { start: 0, length: 5 }, {}, GZ)).toEqual(['one', 'two'])
  expect(await linesIn(fs, { start: 5, length: 50 }, {}, GZ)).toEqual([])
  expect(await linesIn(await fileOf('', GZ), undefined, {}, GZ)).toEqual([])
})

test('a gzip file that is cut, damaged or followed by something else is DATA_CORRUPT', async () => {
  const whole = gzipSync(Array.from({ length: 500 }, (_, i) => `line ${String(i * 7919)}`).join('\n'))
  const flipped = Buffer.from(whole)
  flipped[flipped.length - 6] = (flipped[flipped.length - 6] ?? 0) ^ 1
  const cuts = [1, 5, 10, 11, 200, whole.length - 8, whole.length - 1].map((length) => whole.subarray(0, length))
  for (const damaged of [...cuts, flipped, Buffer.concat([whole, Buffer.from('junk')]), Buffer.from('plain text')]) {
    for (const blockBytes of [16, 100_000]) {
      const error = await linesIn(await fileOf(damaged, GZ), undefined, { blockBytes }, GZ).catch(
        (error: unknown) => error,
      )
      expect(isSluiceError(error, 'DATA_CORRUPT'), String(error)).toBe(true)
      expect(String(error)).toContain(GZ)
    }
  }
})

test('leaving the lines of a gzip file early stops reading it', async () => {
  const fs = await fileOf(gzipSync('line\n'.repeat(200_000)), GZ)
  for await (const chunk of readLines(fs, GZ, undefined, { blockBytes: 64 })) {
    expect(chunk[0]).toBe('line')
    break
  }
})

test('splitFile covers the file by ranges of at least the least size', () => {
  fc.assert(
    fc.property(
      fc.nat(10_000),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 500 }),
      (sizeBytes, splits, least) => {
        const ranges = splitFile({ path: '/a.txt', sizeBytes }, splits, least)
        let at = 0
        for (const { start, length } of ranges) {
          expect(start).toBe(at)
          expect(ranges.length === 1 || length >= least).toBe(true)
          at += length
        }
        expect(at).toBe(sizeBytes)
        expect(ranges.length).toBeLessThanOrEqual(splits)
      },
    ),
    { seed: 1 },
  )
})

test('a compressed file is one range', () => {
  expect(splitFile({ path: '/a.GZ', sizeBytes: 1e9 }, 8)).toEqual([{ start: 0, length: 1e9 }])
  expect(splitFile({ path: '/a', sizeBytes: 1e9 }, 8)).toHaveLength(8)
  expect([isSplittable('/a.gz'), isSplittable('/a.txt')]).toEqual([false, true])
})
