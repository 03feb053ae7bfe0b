import { beforeEach, expect, test } from 'vitest'
import { isSluiceError, SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { crashableFileSystem } from '../testing/crashable-file-system.js'
import { memoryLogger } from '../testing/harness.js'
import { ManualClock } from '../time/manual-clock.js'
import type { BatchPartitionId, Sink, SinkContext, WriteContext } from './sink.js'
import { textFileSink, textFolderSink } from './text-file-sink.js'

let disk: FileSystem
beforeEach(() => {
  disk = memoryFileSystem({ clock: new ManualClock() })
})

const first: BatchPartitionId = {
  app: 'app-1',
  output: 'to-0',
  batchTime: 1_000,
  partition: 0,
  partitions: 2,
  planDigest: 'digest-1',
  epoch: 0,
  attempt: 0,
}

const context = (signal = new AbortController().signal): WriteContext => ({
  signal,
  reject: () => undefined,
  settleRejects: () => Promise.resolve(),
})

async function* chunksOf<T>(...chunks: readonly (readonly T[])[]): AsyncGenerator<readonly T[]> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}

async function opened<T>(sink: Sink<T>, context: Partial<SinkContext> = {}): Promise<Sink<T>> {
  await sink.open?.({
    app: 'app-1',
    output: 'to-0',
    epoch: 0,
    lastPlanned: 1_000_000,
    logger: memoryLogger(),
    clock: new ManualClock(),
    signal: new AbortController().signal,
    ...context,
  })
  return sink
}

const write = <T>(sink: Sink<T>, records: readonly T[], id: Partial<BatchPartitionId> = {}): Promise<void> =>
  sink.writePartition({ ...first, ...id }, chunksOf(records), context())

async function commit(sink: Sink<string>, id: Partial<BatchPartitionId> = {}): Promise<void> {
  await sink.commitBatch?.({ ...first, ...id }, { offsets: {}, signal: new AbortController().signal })
}

/** Every file below `folder` with its text. */
async function files(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  if ((await disk.stat(folder)) === undefined) return found
  for await (const { name, kind } of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') Object.assign(found, await files(path))
    else found[path] = Buffer.from(await disk.read(path)).toString()
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const identity = '{"app":"app-1","output":"to-0","batchTime":1000,"partitions":2,"planDigest":"digest-1"}\n'

test('writes parts, the identity of the batch, and _SUCCESS at last', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(sink, ['a', 'b'])
  await write(sink, ['c'], { partition: 1 })
  expect(Object.keys(await files('/out'))).not.toContain('/out/wc-1000/_SUCCESS')
  await commit(sink)
  expect(await files('/out')).toEqual({
    '/out/wc-1000/_SUCCESS': '',
    '/out/wc-1000/_identity': identity,
    '/out/wc-1000/part-00000': 'a\nb\n',
    '/out/wc-1000/part-00001': 'c\n',
  })
})

test.each([
  ['wc', undefined, 'wc-1000'],
  ['wc', '', 'wc-1000'],
  ['wc', 'txt', 'wc-1000.txt'],
  ['', 'txt', '1000.txt'],
  ['deep/down/', 'txt', 'deep/down/-1000.txt'],
])("Spark's names: prefix '%s' and suffix '%s' give %s", async (prefix, suffix, folder) => {
  const sink = await opened(textFileSink<string>({ prefix, suffix, fileSystem: disk }))
  await write(sink, ['a'])
  expect((await disk.stat(`${folder}/part-00000`))?.kind).toBe('file')
})

test('records are formatted as print does, unless told otherwise', async () => {
  const sink = await opened(textFileSink<readonly [string, bigint]>({ prefix: '/a', fileSystem: disk }))
  await write(sink, [['k', 1n]])
  const own = await opened(textFileSink<number>({ prefix: '/b', format: (n) => `#${String(n)}`, fileSystem: disk }))
  await write(own, [7])
  expect((await files('/a-1000'))['/a-1000/part-00000']).toBe('(k,1)\n')
  expect((await files('/b-1000'))['/b-1000/part-00000']).toBe('#7\n')
})

test('E1: a batch written twice leaves one effect', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  for (const attempt of [0, 1]) {
    await write(sink, ['a'], { attempt, epoch: attempt })
    await write(sink, ['b'], { attempt, epoch: attempt, partition: 1 })
    await commit(sink, { attempt, epoch: attempt })
  }
  expect(Object.values(await files('/out'))).toEqual(['', identity, 'a\n', 'b\n'])
})

test.each([{ app: 'app-2' }, { output: 'to-1' }, { planDigest: 'digest-2' }, { partitions: 3 }])(
  'E1: the same place under another identity (%o) is an error, never success',
  async (other) => {
    const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
    await write(sink, ['a'])
    const before = await files('/out')
    await expect(write(sink, ['z'], other)).rejects.toSatisfy(
      (error) => isSluiceError(error, 'IDENTITY_CONFLICT') && /write to a new place/.test(error.message),
    )
    expect(await files('/out')).toEqual(before)
  },
)

test('E9: a late attempt under another temporary name changes nothing', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  let goOn = (): void => undefined
  const waiting = new Promise<void>((resolve) => (goOn = resolve))
  async function* slowly(): AsyncGenerator<readonly string[]> {
    yield ['late']
    await waiting
  }
  const late = sink.writePartition({ ...first, attempt: 0 }, slowly(), context())
  await write(sink, ['in time'], { attempt: 1 })
  await commit(sink)
  const before = await files('/out')
  goOn()
  await late
  const { ['/out/wc-1000/_temporary-0-0-0']: _, ...meant } = before
  expect(await files('/out')).toEqual(meant)
  expect(meant['/out/wc-1000/part-00000']).toBe('in time\n')
})

test('an attempt that failed leaves no file behind, and its source is closed', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  let closed = false
  async function* failing(): AsyncGenerator<readonly string[]> {
    try {
      yield ['a']
      yield ['b']
    } finally {
      closed = true
    }
  }
  const controller = new AbortController()
  const openAppend = disk.openAppend.bind(disk)
  disk.openAppend = async (path) => {
    const file = await openAppend(path)
    file.append = () => Promise.reject(new Error('disk full'))
    return file
  }
  await expect(sink.writePartition(first, failing(), context(controller.signal))).rejects.toThrow('disk full')
  expect(closed).toBe(true)
  expect(await files('/out')).toEqual({ '/out/wc-1000/_identity': identity })
})

test('an aborted attempt gives no part its name', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  const controller = new AbortController()
  async function* aborting(): AsyncGenerator<readonly string[]> {
    yield ['a']
    controller.abort(new Error('time is over'))
    yield ['b']
  }
  const writing = sink.writePartition(first, aborting(), context(controller.signal))
  await expect(writing).rejects.toThrow('time is over')
  expect(await files('/out')).toEqual({ '/out/wc-1000/_identity': identity })
})

test('a crash between part and _SUCCESS: running again completes the batch and changes no part', async () => {
  const before = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(before, ['a'])
  // The process ends here; another one runs the batch again.
  const after = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(after, ['a'], { epoch: 1 })
  await write(after, ['b'], { epoch: 1, partition: 1 })
  await commit(after, { epoch: 1 })
  await commit(after, { epoch: 1 })
  expect(await files('/out')).toEqual({
    '/out/wc-1000/_SUCCESS': '',
    '/out/wc-1000/_identity': identity,
    '/out/wc-1000/part-00000': 'a\n',
    '/out/wc-1000/part-00001': 'b\n',
  })
})

test('a crash in the middle of a part: what it left is not taken for the part', async () => {
  await disk.makeDirectory('/out/wc-1000')
  await disk.create('/out/wc-1000/_identity', Buffer.from(identity))
  await disk.create('/out/wc-1000/_temporary-0-0-0', Buffer.from('torn lin'))
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(sink, ['whole line'])
  expect((await files('/out'))['/out/wc-1000/part-00000']).toBe('whole line\n')
})

test('parts without records, and batches without parts, are left out', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(sink, [])
  await write(sink, [], { partition: 1 })
  await commit(sink)
  expect(await files('/out')).toEqual({})
  await write(sink, [], { batchTime: 2_000 })
  await write(sink, ['b'], { batchTime: 2_000, partition: 1 })
  await commit(sink, { batchTime: 2_000 })
  expect(Object.keys(await files('/out'))).toEqual([
    '/out/wc-2000/_SUCCESS',
    '/out/wc-2000/_identity',
    '/out/wc-2000/part-00001',
  ])
})

test('skipEmpty: false writes empty parts and empty batches, as Spark does', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', skipEmpty: false, fileSystem: disk }))
  await write(sink, [])
  await commit(sink)
  await commit(sink, { batchTime: 2_000, partitions: 0 })
  expect(Object.keys(await files('/out'))).toEqual([
    '/out/wc-1000/_SUCCESS',
    '/out/wc-1000/_identity',
    '/out/wc-1000/part-00000',
    '/out/wc-2000/_SUCCESS',
    '/out/wc-2000/_identity',
  ])
})

test('textFolderSink writes into the folder itself', async () => {
  const sink = await opened(textFolderSink<string>('/one/place', { fileSystem: disk }))
  await write(sink, ['a'])
  expect((await files('/one'))['/one/place/part-00000']).toBe('a\n')
})

test('a file system that cannot append or link is given whole files', async () => {
  const created: string[] = []
  const store = crashableFileSystem({ supports: { append: false, rename: false, link: false } })
  disk = store
  const objects: FileSystem = {
    ...store,
    create: (path, data) => {
      created.push(path)
      return store.create(path, data)
    },
  }
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: objects }))
  await write(sink, ['a', 'b'])
  await write(sink, ['other'])
  expect(created).toEqual(['/out/wc-1000/_identity', '/out/wc-1000/part-00000', '/out/wc-1000/part-00000'])
  expect((await files('/out'))['/out/wc-1000/part-00000']).toBe('a\nb\n')
})

test('E23: where it can, a file system is told who writes a part', async () => {
  const identities: unknown[] = []
  const store = crashableFileSystem({ supports: { append: false, rename: false, link: false } })
  const objects: FileSystem = {
    ...store,
    createFrom: async (path, pieces, { identity = '' } = {}) => {
      identities.push(JSON.parse(identity))
      for await (const piece of pieces) await store.create(path, piece)
    },
  }
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: objects }))
  await write(sink, ['a'])
  expect(identities).toMatchObject([{ batchTime: 1_000, partition: 0, planDigest: expect.any(String) as string }])
})

test('the target is the path, without batch time', () => {
  expect(textFileSink({ prefix: 'out/wc', fileSystem: disk }).target).toBe('out/wc')
  expect(textFileSink({ prefix: 'out/wc', suffix: 'txt', fileSystem: disk }).target).toBe('out/wc.txt')
})

test('an error of the source that looks like an existing file is no success', async () => {
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  async function* failing(): AsyncGenerator<readonly string[]> {
    yield ['a']
    throw new SluiceError({ code: 'FILE_EXISTS', component: 'test', message: 'from elsewhere' })
  }
  await expect(sink.writePartition(first, failing(), context())).rejects.toThrow('from elsewhere')
})

/** The disk of a process that ends before its nth operation: nothing after that is done. */
function endingAt(operations: number): { disk: FileSystem; ended: () => boolean } {
  let left = operations
  const step = (): void => {
    if (left-- <= 0) throw new Error('the process has ended')
  }
  const each = <O extends object>(target: O): O =>
    new Proxy(target, {
      get(object, name) {
        const value: unknown = Reflect.get(object, name)
        if (typeof value !== 'function') return value
        const call = value.bind(object) as (...args: unknown[]) => unknown
        if (name === 'list') {
          return (...args: unknown[]) => {
            step()
            return call(...args)
          }
        }
        return async (...args: unknown[]) => {
          step()
          const result = await call(...args)
          return name === 'openAppend' ? each(result as object) : result
        }
      },
    })
  return { disk: each(disk), ended: () => left < 0 }
}

test.each([true, false])(
  'E1, E9, E23: a crash before any operation on the disk, and a re-run: exactly the right files (skipEmpty: %s)',
  async (skipEmpty) => {
    const run = async (fileSystem: FileSystem, epoch: number): Promise<void> => {
      const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem, skipEmpty }), {
        lastPlanned: 1_000,
      })
      for (const [partition, records] of [['a', 'b'], [], ['c']].entries())
        await write(sink, records, { partition, partitions: 3, epoch })
      await commit(sink, { partitions: 3, epoch })
    }
    const wanted = ['_SUCCESS', '_identity', 'part-00000', ...(skipEmpty ? [] : ['part-00001']), 'part-00002']
    let operations = 0
    for (let finished = false; !finished; operations++) {
      disk = memoryFileSystem({ clock: new ManualClock() })
      const { disk: mortal, ended } = endingAt(operations)
      await run(mortal, 1).catch(() => undefined)
      finished = !ended()
      const left = await files('/out')
      // Before the re-run: a batch that says it is whole is whole.
      if ('/out/wc-1000/_SUCCESS' in left) expect(left).toMatchObject({ '/out/wc-1000/part-00002': 'c\n' })
      await run(disk, 2)
      const found = await files('/out')
      expect(Object.keys(found)).toEqual(wanted.map((name) => `/out/wc-1000/${name}`))
      expect(found).toMatchObject({ '/out/wc-1000/part-00000': 'a\nb\n', '/out/wc-1000/part-00002': 'c\n' })
    }
    expect(operations).toBeGreaterThan(20)
  },
)

test('E1: open refuses batches of this output that are newer than the log', async () => {
  const make = (): Sink<string> => textFileSink<string>({ prefix: '/out/wc', suffix: 'txt', fileSystem: disk })
  await write(await opened(make()), ['a'], { batchTime: 3_000 })
  for (const lastPlanned of [2_000, undefined]) {
    await expect(opened(make(), { lastPlanned })).rejects.toSatisfy((error) => isSluiceError(error, 'LOG_BEHIND_SINK'))
  }
  await opened(make(), { lastPlanned: 3_000 })
  // Of others it says nothing; their folders are refused when it comes to them.
  await opened(make(), { lastPlanned: 2_000, app: 'app-2' })
  await opened(make(), { lastPlanned: 2_000, output: 'to-1' })
  await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }), { lastPlanned: 2_000 })
})

test('E17: folders are made durable before a partition is, also where a process that ended has made them', async () => {
  const calls: string[] = []
  const syncDirectory = disk.syncDirectory.bind(disk)
  disk.syncDirectory = (path) => {
    calls.push(path)
    return syncDirectory(path)
  }
  await disk.makeDirectory('/out/wc-1000')
  await disk.create('/out/wc-1000/_identity', Buffer.from(identity))
  const sink = await opened(textFileSink<string>({ prefix: '/out/wc', fileSystem: disk }))
  await write(sink, ['a'])
  expect(calls).toEqual(['/out/wc-1000', '/out', '/out/wc-1000'])
  calls.length = 0
  await opened(textFileSink<string>({ prefix: '/new/deep/wc', fileSystem: disk }))
  expect(calls).toEqual(['/', '/new'])
})
