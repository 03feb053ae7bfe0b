import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { SluiceContext } from './sluice-context.js'

const disks: readonly (readonly [string, () => Promise<{ fs: FileSystem; root: string; close(): Promise<void> }>])[] = [
  [
    'memory',
    async () => {
      const fs = memoryFileSystem()
      await fs.makeDirectory('/data')
      return { fs, root: '/data', close: () => Promise.resolve() }
    },
  ],
  [
    'local disk',
    async () => {
      const root = await mkdtemp(join(tmpdir(), 'sluice-text-'))
      return { fs: nodeFileSystem(), root, close: () => rm(root, { recursive: true, force: true }) }
    },
  ],
]

describe.each(disks)('text files, %s', (_name, openDisk) => {
  let disk: Awaited<ReturnType<typeof openDisk>>
  let context: SluiceContext

  beforeEach(async () => {
    disk = await openDisk()
    context = new SluiceContext({ localFileSystem: disk.fs, log: 'warn' })
  })
  afterEach(async () => {
    await context.stop()
    await disk.close()
  })

  const at = (...names: string[]): string => [disk.root, ...names].join('/')
  async function write(name: string, data: string | Uint8Array): Promise<void> {
    await disk.fs.create(at(...name.split('/')), Buffer.from(data))
  }
  async function names(path: string): Promise<string[]> {
    const found: string[] = []
    for await (const { name } of disk.fs.list(path)) found.push(name)
    return found.sort()
  }
  const text = async (...path: string[]): Promise<string> => Buffer.from(await disk.fs.read(at(...path))).toString()

  const PARTITIONS = [1, 2, 3, 4, 5, 6, 7]

  test.each([
    ['lines', 'a\nb\nc\n', ['a', 'b', 'c']],
    ['no last newline', 'a\nb\nlast', ['a', 'b', 'last']],
    ['CRLF', 'a\r\nb\r\n\r\nc\r\n', ['a', 'b', '', 'c']],
    ['empty lines', '\n\na\n\n', ['', '', 'a', '']],
    ['nothing', '', []],
    ['one line', 'alone', ['alone']],
    ['UTF-8', 'é\n日本\n🎉🎉\n', ['é', '日本', '🎉🎉']],
    ['a long line', `a\n${'x'.repeat(300_000)}\nb\n`, ['a', 'x'.repeat(300_000), 'b']],
  ])('textFile: %s, in any number of partitions', async (_case, content, lines) => {
    await write('file.txt', content)
    for (const partitions of PARTITIONS) {
      const rdd = context.textFile(at('file.txt'), partitions)
      expect(rdd.partitions).toBe(partitions)
      expect(await rdd.collect()).toEqual(lines)
      expect(await rdd.count()).toBe(lines.length)
    }
  })

  test('textFile: a folder in the order of names, hidden files left out, gzip unpacked', async () => {
    await disk.fs.makeDirectory(at('logs', 'sub'))
    await write('logs/b.txt', 'b1\nb2')
    await write('logs/a.txt', 'a1\na2\n')
    await write('logs/c.txt.gz', gzipSync('c1\nc2\n'))
    await write('logs/d.txt', '')
    await write('logs/_SUCCESS', '')
    await write('logs/.hidden', 'no\n')
    await write('logs/sub/x.txt', 'no\n')
    for (const partitions of PARTITIONS) {
      const rdd = context.textFile(at('logs'), partitions)
      expect(await rdd.collect()).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'])
    }
  })

  test('textFile: any lines in any number of files and partitions', async () => {
    const line = fc.string({ maxLength: 12 }).map((s) => s.replaceAll(/[\r\n]/g, '.'))
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.array(line, { maxLength: 8 }), fc.boolean(), fc.boolean()), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.integer({ min: 1, max: 7 }),
        async (files, partitions) => {
          const folder = `run-${String(run++)}`
          await disk.fs.makeDirectory(at(folder))
          const expected: string[] = []
          for (const [i, [lines, last, gzip]] of files.entries()) {
            const content = lines.length === 0 ? '' : lines.join('\n') + (last ? '\n' : '')
            // Without a newline an empty last line is none.
            expected.push(...(!last && lines.at(-1) === '' ? lines.slice(0, -1) : lines))
            await write(`${folder}/f${String(i)}${gzip ? '.gz' : ''}`, gzip ? gzipSync(content) : content)
          }
          expect(await context.textFile(at(folder), partitions).collect()).toEqual(expected)
        },
      ),
      { seed: 51, numRuns: 60 },
    )
  })

  test('textFile: partitions share a large file evenly', async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => `line number ${String(i)}`)
    await write('large.txt', lines.join('\n'))
    const parts = await context.textFile(at('large.txt'), 4).glom().collect()
    expect(parts.flat()).toEqual(lines)
    for (const part of parts) expect(part.length).toBeGreaterThan(10_000)
  })

  test('textFile: what is missing is an error, found when it is read', async () => {
    const rdd = context.textFile(at('nowhere'))
    await expect(rdd.collect()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await write('nowhere', 'there now\n')
    expect(await rdd.collect()).toEqual(['there now'])
    await write('broken.gz', Buffer.concat([gzipSync('x'.repeat(100)).subarray(0, 20)]))
    await expect(context.textFile(at('broken.gz')).collect()).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
  })

  test('textFile: jobs at the same time see the same files', async () => {
    await disk.fs.makeDirectory(at('in'))
    await write('in/1', 'one\n')
    let listings = 0
    const growing = new Proxy(disk.fs, {
      get(fs, name) {
        if (name === 'list') listings++
        const value = Reflect.get(fs, name) as unknown
        return typeof value === 'function' ? (value.bind(fs) as unknown) : value
      },
    })
    const own = new SluiceContext({ localFileSystem: growing, log: 'warn' })
    const rdd = own.textFile(at('in'), 2)
    for (const lines of await Promise.all([rdd.collect(), rdd.collect(), rdd.collect()])) expect(lines).toEqual(['one'])
    expect(await rdd.collect()).toEqual(['one'])
    expect(listings).toBe(1)
    await own.stop()
  })

  test('wholeTextFiles: a pair of path and text for each file', async () => {
    await disk.fs.makeDirectory(at('docs'))
    await write('docs/b', 'b\nb\n')
    await write('docs/a', 'é')
    for (const partitions of [1, 2, 5]) {
      const rdd = context.wholeTextFiles(at('docs'), partitions)
      expect(await rdd.collect()).toEqual([
        [at('docs', 'a'), 'é'],
        [at('docs', 'b'), 'b\nb\n'],
      ])
    }
    expect(await context.wholeTextFiles(at('docs', 'a')).values().collect()).toEqual(['é'])
  })

  test('saveAsTextFile: a part for each partition, then _SUCCESS; read back equal', async () => {
    const lines = ['a', 'b', '', 'é', 'last']
    await context.parallelize(lines, 3).saveAsTextFile(at('out'))
    expect((await names(at('out'))).filter((name) => !name.startsWith('_identity'))).toEqual([
      '_SUCCESS',
      'part-00000',
      'part-00001',
      'part-00002',
    ])
    expect(await text('out', 'part-00000')).toBe('a\n')
    expect(await context.textFile(at('out'), 2).collect()).toEqual(lines)
    await context
      .parallelize(
        [
          ['k', 1],
          ['m', 2],
        ],
        1,
      )
      .saveAsTextFile(at('pairs'))
    expect(await text('pairs', 'part-00000')).toBe('(k,1)\n(m,2)\n')
  })

  test('saveAsTextFile: empty partitions give empty parts', async () => {
    await context.parallelize<string>([], 2).saveAsTextFile(at('empty'))
    expect(await names(at('empty'))).toEqual(expect.arrayContaining(['_SUCCESS', 'part-00000', 'part-00001']))
    expect(await context.textFile(at('empty')).collect()).toEqual([])
  })

  test('saveAsTextFile refuses a folder that exists, and leaves it as it was', async () => {
    await disk.fs.makeDirectory(at('there'))
    await write('there/mine', 'text')
    const rdd = context.parallelize(['x'], 1)
    await expect(rdd.saveAsTextFile(at('there'))).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    expect(await names(at('there'))).toEqual(['mine'])
    await rdd.saveAsTextFile(at('new'))
    await expect(rdd.saveAsTextFile(at('new'))).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
  })

  test('saveAsTextFile that fails leaves no _SUCCESS and no half part', async () => {
    const rdd = context.range(0, 10, { partitions: 2 }).map((x) => {
      if (x === 8) throw new Error('eight')
      return `line ${String(x)}`
    })
    await expect(rdd.saveAsTextFile(at('half'))).rejects.toMatchObject({ code: 'USER_FUNCTION_FAILED' })
    expect(await names(at('half'))).not.toContain('_SUCCESS')
    expect(await names(at('half'))).not.toContain('part-00001')
  })

  test('a task of saveAsTextFile that fails once is tried again', async () => {
    let failed = false
    const rdd = context.range(0, 4, { partitions: 2 }).map((x) => {
      if (x === 3 && !failed) {
        failed = true
        throw new Error('once')
      }
      return String(x)
    })
    await rdd.saveAsTextFile(at('again'))
    expect(await context.textFile(at('again')).collect()).toEqual(['0', '1', '2', '3'])
  })
})

test('context: range, parallelize and union check what they are given', async () => {
  const context = new SluiceContext({ log: 'warn' })
  expect(await context.range(0, 10, { step: 3, partitions: 3 }).collect()).toEqual([0, 3, 6, 9])
  expect(await context.range(5, 0, { step: -2 }).collect()).toEqual([5, 3, 1])
  expect(await context.range(3, 3).count()).toBe(0)
  expect(await context.range(0, 0.5, { step: 0.1 }).count()).toBe(5)
  for (const make of [
    () => context.range(0, 1, { step: 0 }),
    () => context.range(0, Infinity),
    () => context.parallelize([1], 0),
    () => context.textFile('x', 1.5),
    () => new SluiceContext({ spillRecords: 0 }),
  ]) {
    expect(make).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  }
  await context.stop()
})
