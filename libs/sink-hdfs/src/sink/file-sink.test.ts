import { gunzipSync } from 'node:zlib'
import { systemClock, type FileSystem, type Rejected, type Sink, type SinkContext } from '@sluice/core'
import { crashableFileSystem, ManualClock, memoryFileSystem } from '@sluice/testkit'
import { beforeEach, describe, expect, test } from 'vitest'
import { committedFiles } from './committed-files.js'
import { fileSink } from './file-sink.js'
import { csv, ndjson, text } from './format.js'

let disk: FileSystem
beforeEach(() => {
  disk = memoryFileSystem({ clock: new ManualClock() })
})

const warnings: string[] = []
const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message: string) => void warnings.push(message),
  error: () => undefined,
}
const { signal } = new AbortController()
const NOON = Date.UTC(2026, 0, 2, 12, 34, 56)

function context(more: Partial<SinkContext> = {}): SinkContext {
  return { app: 'app', output: 'to-0', epoch: 1, lastPlanned: 1e15, logger, clock: systemClock, signal, ...more }
}

async function batch<T>(sink: Sink<T>, records: readonly T[], time = NOON, rejected: Rejected<T>[] = []) {
  const id = { app: 'app', output: 'to-0', batchTime: time, partitions: 1, planDigest: 'p', epoch: 1, attempt: 0 }
  async function* chunks() {
    await Promise.resolve()
    yield records
  }
  await sink.writePartition({ ...id, partition: 0 }, chunks(), {
    signal,
    reject: (index, { message }) => {
      rejected.push({ record: records[index]!, message, code: '', output: '', batchTime: time, partition: 0, index })
    },
    settleRejects: () => Promise.resolve(),
  })
  await sink.commitBatch?.(id, { offsets: {}, signal })
}

/** Contents by path, of what stands below a folder, ledgers left out. */
async function tree(folder: string, fileSystem = disk): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { name, kind } of fileSystem.list(folder)) {
    const path = `${folder}/${name}`
    if (name === '_sluice') continue
    if (kind === 'directory') Object.assign(found, await tree(path, fileSystem))
    else found[path.replace(/-[0-9a-f]{16}/, '-KEY')] = Buffer.from(await fileSystem.read(path)).toString()
  }
  return found
}

describe('folders', () => {
  test('are made of the time of the batch and of fields, as Hive names them', async () => {
    const sink = fileSink<{ country: unknown; n: number }>({
      path: '/out',
      fileSystem: disk,
      format: ndjson(),
      folders: 'dt={yyyy}-{MM}-{dd}/hour={HH}/country={country}',
    })
    await sink.open?.(context())
    const rejected: Rejected<{ country: unknown; n: number }>[] = []
    await batch(
      sink,
      [
        { country: 'de', n: 1 },
        { country: null, n: 2 },
        { country: 'a/b=c', n: 3 },
        { country: '..', n: 4 },
        { country: ['x'], n: 5 },
        { country: 'de', n: 6 },
      ],
      NOON,
      rejected,
    )
    const base = `/out/dt=2026-01-02/hour=12/country`
    const name = `part-${String(NOON)}-00000-KEY.ndjson`
    expect(await tree('/out')).toEqual({
      [`${base}=de/${name}`]: '{"country":"de","n":1}\n{"country":"de","n":6}\n',
      [`${base}=__HIVE_DEFAULT_PARTITION__/${name}`]: '{"country":null,"n":2}\n',
      [`${base}=a%2Fb%3Dc/${name}`]: '{"country":"a/b=c","n":3}\n',
      [`${base}=%2E./${name}`]: '{"country":"..","n":4}\n',
    })
    expect(rejected.map(({ index, message }) => ({ index, message }))).toEqual([
      { index: 4, message: expect.stringContaining('its field country cannot name a folder') as string },
    ])
  })

  test('may go by the time of the record', async () => {
    const sink = fileSink<number>({
      path: '/out',
      fileSystem: disk,
      format: text(),
      folders: '{yyyy}/{mm}',
      timeOf: (at) => at,
    })
    await sink.open?.(context())
    const rejected: Rejected<number>[] = []
    await batch(sink, [0, 61_000, NaN, 8e15], NOON, rejected)
    expect(Object.values(await tree('/out'))).toEqual(['0\n', '61000\n'])
    expect(Object.keys(await tree('/out')).map((path) => path.slice(0, 12))).toEqual(['/out/1970/00', '/out/1970/01'])
    expect(rejected.map(({ index }) => index)).toEqual([2, 3])
  })

  test.each(['/a', 'a/', 'a//b', '../x', 'a/../b', '_hidden', '{}', 'a{b', '{a}}'])('"%s" are refused', (folders) => {
    expect(() => fileSink({ path: '/out', fileSystem: disk, format: text(), folders })).toThrow(/folders/)
  })
})

describe('CSV', () => {
  test('quotes what must be, tells null from an empty text, and refuses what it cannot hold', async () => {
    const sink = fileSink<Record<string, unknown>>({
      path: '/out',
      fileSystem: disk,
      format: csv({ columns: ['a', 'b'] }),
    })
    await sink.open?.(context())
    const rejected: Rejected<Record<string, unknown>>[] = []
    const records = [
      { a: 'x,y', b: 'say "hi"' },
      { a: 'two\nlines', b: null },
      { a: '', b: undefined },
      { a: 1n << 70n, b: -0 },
      { a: NaN, b: 1 },
      { a: {}, b: 1 },
      { a: new Date(0), b: true },
    ]
    await batch(sink, records, NOON, rejected)
    expect(Object.values(await tree('/out'))).toEqual([
      'a,b\n"x,y","say ""hi"""\n"two\nlines",\n"",\n1180591620717411303424,-0\n1970-01-01T00:00:00.000Z,true\n',
    ])
    expect(rejected.map(({ index }) => index)).toEqual([4, 5])
  })

  test.each(['|', '\t', ';', ']', '^', '-'])('takes %s between columns', async (delimiter) => {
    const format = csv<{ a: string; b: string }>({
      columns: { A: ({ a }) => a, B: ({ b }) => b },
      delimiter,
      header: false,
    })
    const sink = fileSink({ path: '/out', fileSystem: disk, format })
    await sink.open?.(context())
    await batch(sink, [{ a: `x${delimiter}y`, b: 'plain text' }])
    expect(Object.values(await tree('/out'))).toEqual([`"x${delimiter}y"${delimiter}plain text\n`])
  })
})

describe('compaction', () => {
  const options = { path: '/out', format: csv<{ a: number }>({ columns: ['a'], gzip: true }), compact: { batches: 3 } }
  const lines = async (fileSystem: FileSystem): Promise<string[]> => {
    const all: string[] = []
    for (const { path } of await committedFiles('/out', fileSystem))
      all.push(
        ...gunzipSync(await fileSystem.read(path))
          .toString()
          .split('\n'),
      )
    return all.filter((line) => line !== '' && line !== 'a').sort()
  }

  test('makes one file of those of several batches, once, and removes what it was made of', async () => {
    const sink = fileSink({ ...options, fileSystem: disk })
    await sink.open?.(context())
    for (let n = 1; n <= 7; n++) await batch(sink, [{ a: n }], NOON + n)
    const names = Object.keys(await tree('/out'))
    expect(names.map((name) => name.replace(/\d{13}/g, (time) => `T${String(Number(time) - NOON)}`))).toEqual([
      '/out/merged-T1-T3-00000-KEY.csv.gz',
      '/out/merged-T4-T6-00000-KEY.csv.gz',
      '/out/part-T7-00000-KEY.csv.gz',
    ])
    expect(await lines(disk)).toEqual(['1', '2', '3', '4', '5', '6', '7'])
    expect((await committedFiles('/out', disk)).map(({ records }) => records)).toEqual([3, 3, 1])
  })

  test('E1: a restart knows of batches whose files were compacted', async () => {
    const sink = fileSink({ ...options, fileSystem: disk })
    await sink.open?.(context())
    for (let n = 1; n <= 3; n++) await batch(sink, [{ a: n }], NOON + n)
    const again = fileSink({ ...options, fileSystem: disk })
    await expect(again.open?.(context({ lastPlanned: NOON + 2 }))).rejects.toMatchObject({ code: 'LOG_BEHIND_SINK' })
    await again.open?.(context({ lastPlanned: NOON + 3 }))
  })

  test('E23: wherever it is cut short, the next start ends it, and every record counts once, all the time', async () => {
    const total = await callsOf(options)
    expect(total).toBeGreaterThan(20)
    for (let dieAt = 1; dieAt <= total; dieAt++) {
      const store = crashableFileSystem({ supports: { append: false, rename: false, link: false } })
      const mortal = dyingAfter(store, dieAt)
      const first = fileSink({ ...options, fileSystem: mortal })
      let done = 0
      try {
        await first.open?.(context())
        for (let n = 1; n <= 4; n++) {
          await batch(first, [{ a: n }], NOON + n)
          done = n
        }
      } catch {
        // It is dead.
      }
      const found = await lines(store)
      expect(found.slice(0, done), `dead at ${String(dieAt)}`).toEqual(['1', '2', '3', '4'].slice(0, done))
      const next = fileSink({ ...options, fileSystem: store })
      await next.open?.(context({ epoch: 2, lastPlanned: NOON + done + 1 }))
      expect(await lines(store), `dead at ${String(dieAt)}`).toEqual(found)
      for (let n = done + 1; n <= 4; n++) await batch(next, [{ a: n }], NOON + n)
      expect(await lines(store), `dead at ${String(dieAt)}`).toEqual(['1', '2', '3', '4'])
    }
  })

  test('a process that was replaced and wakes cannot make a batch count again', async () => {
    const sleeper = fileSink({ ...options, fileSystem: disk })
    await sleeper.open?.(context())
    const owner = fileSink({ ...options, fileSystem: disk })
    await owner.open?.(context({ epoch: 2 }))
    for (let n = 1; n <= 3; n++) await batch(owner, [{ a: n }], NOON + n)
    await batch(sleeper, [{ a: 3 }], NOON + 3)
    expect(await lines(disk)).toEqual(['1', '2', '3'])
  })

  test('what cannot be compacted now is told, and the batch is done', async () => {
    const broken: FileSystem = {
      ...crashableFileSystem({ supports: { append: false, rename: false, link: false } }),
    }
    const sink = fileSink({
      ...options,
      fileSystem: {
        ...broken,
        read: (path, range) => (path.includes('part-') ? Promise.reject(new Error('no')) : broken.read(path, range)),
      },
    })
    warnings.length = 0
    await sink.open?.(context())
    for (let n = 1; n <= 3; n++) await batch(sink, [{ a: n }], NOON + n)
    expect(warnings).toEqual([expect.stringContaining('could not be compacted')])
    expect(await lines(broken)).toEqual(['1', '2', '3'])
  })
})

/** How many calls four batches make. */
async function callsOf(options: Parameters<typeof fileSink<{ a: number }>>[0]): Promise<number> {
  const counted = dyingAfter(crashableFileSystem({ supports: { append: false, rename: false, link: false } }), Infinity)
  const sink = fileSink({ ...options, fileSystem: counted })
  await sink.open?.(context())
  for (let n = 1; n <= 4; n++) await batch(sink, [{ a: n }], NOON + n)
  return counted.calls()
}

/** The process is killed at the n-th call that changes something: nothing that it asks for happens any more. */
function dyingAfter(fs: FileSystem, dieAt: number): FileSystem & { calls(): number } {
  let calls = 0
  const step = async <R>(work: () => Promise<R>, changes = true): Promise<R> => {
    if (changes) calls++
    if (calls >= dieAt) throw new Error('dead')
    return work()
  }
  return {
    ...fs,
    create: (path, data) => step(() => fs.create(path, data)),
    remove: (path) => step(() => fs.remove(path)),
    makeDirectory: (path) => step(() => fs.makeDirectory(path)),
    read: (path, range) => step(() => fs.read(path, range), false),
    stat: (path) => step(() => fs.stat(path), false),
    calls: () => calls,
  }
}

test('E11: the target names neither scheme nor host', () => {
  const target = (path: string) => fileSink({ path, fileSystem: disk, format: text() }).target
  expect(target('hdfs://namenode:8020/out/orders/')).toBe('/out/orders')
  expect(target('s3://bucket/orders')).toBe('bucket/orders')
  expect(target('/data/orders')).toBe('/data/orders')
})

test('a path on a server needs its file system', () => {
  expect(() => fileSink({ path: 's3://bucket/x', format: text() })).toThrow('give fileSystem')
})
