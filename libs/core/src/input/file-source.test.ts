import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { firstStart, Gate, harness, until, type Harness } from '../testing/harness.js'
import type { StreamingContextOptions } from '../context/streaming-context.js'
import type { DirectoryEntry, FileStat, FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { systemClock } from '../time/system-clock.js'
import { fileSource, type FileStreamOptions } from './file-source.js'
import { FoundFiles, JudgedNames, WaitingFiles } from './file-names.js'
import type { InputContext } from './input.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const write = (disk: FileSystem, path: string, text = `${path}\n`): Promise<void> => disk.create(path, bytes(text))

/** Writes elsewhere and renames into the folder, as one should. */
async function publish(disk: FileSystem, name: string, text = `${name}\n`): Promise<void> {
  await write(disk, `/elsewhere/${name}`, text)
  await disk.rename(`/elsewhere/${name}`, `/in/${name}`)
}

interface Run extends Harness {
  /** Lines of each batch. */
  readonly seen: string[][]
}

async function prepared(options?: FileStreamOptions, context?: Partial<StreamingContextOptions>): Promise<Run> {
  const run = harness(context)
  await run.disk.makeDirectory('/in')
  await run.disk.makeDirectory('/elsewhere')
  const seen: string[][] = []
  run.ssc.textFileStream('/in', options).foreachRDD(async (rdd) => void seen.push(await rdd.collect()))
  return { ...run, seen }
}

async function started(options?: FileStreamOptions, context?: Partial<StreamingContextOptions>): Promise<Run> {
  const run = await prepared(options, context)
  await run.ssc.start()
  return run
}

test('each new file comes with the batch after it, and only once', async () => {
  const { disk, clock, batch, seen, ssc } = await started()
  await publish(disk, 'a', 'one\ntwo\n')
  await batch()
  await clock.advance(500)
  await publish(disk, 'b')
  await clock.advance(500)
  await until(() => seen.length === 2)
  await batch()
  expect(seen).toEqual([['one', 'two'], ['b'], []])
  await ssc.stop({ graceful: false })
})

test('files that were there before the start are left out', async () => {
  const { disk, batches, seen, ssc, log } = await prepared()
  await publish(disk, 'old')
  await ssc.start()
  await publish(disk, 'new')
  await batches(2)
  expect(seen).toEqual([['new'], []])
  expect(log.filter((line) => line.startsWith('warn'))).toEqual([])
  await ssc.stop({ graceful: false })
})

test('newFilesOnly: false takes what was there before, whatever its time, and late files too', async () => {
  const { disk, clock, batch, seen, ssc } = await prepared({ newFilesOnly: false })
  await publish(disk, 'old')
  await write(disk, '/elsewhere/late')
  await clock.advance(3_600_000)
  await ssc.start()
  await batch()
  await disk.rename('/elsewhere/late', '/in/late')
  await batch()
  await batch()
  expect(seen).toEqual([['old'], ['/elsewhere/late'], []])
  await ssc.stop({ graceful: false })
})

test('a file that was written before the start and moved in after it is new', async () => {
  const { disk, clock, batch, seen, ssc } = await prepared()
  await write(disk, '/elsewhere/x')
  await clock.advance(30_000)
  await ssc.start()
  await disk.rename('/elsewhere/x', '/in/x')
  await batch()
  expect(seen).toEqual([['/elsewhere/x']])
  await ssc.stop({ graceful: false })
})

test('a file is late when it was written longer ago than the remembered time: it is left out, and a warning says so once', async () => {
  const { disk, batches, seen, ssc, log } = await started({ remember: seconds(10) })
  await write(disk, '/elsewhere/late')
  await write(disk, '/elsewhere/later')
  await batches(9)
  await write(disk, '/elsewhere/in-time')
  await batches(6)
  for (const name of ['late', 'later', 'in-time']) await disk.rename(`/elsewhere/${name}`, `/in/${name}`)
  await batches(5)
  expect(seen.flat()).toEqual(['/elsewhere/in-time'])
  expect(log.filter((line) => line.startsWith('warn'))).toEqual([
    'warn: [files of /in] left out /in/late and 1 more: written more than 10 s before; rename files into the folder sooner, or raise remember',
  ])
  await ssc.stop({ graceful: false })
})

test('hidden files and folders do not count, unless the filter says so', async () => {
  const names = ['.hidden', '_SUCCESS', 'part-0', 'notes.txt']
  const { disk, batch, seen, ssc } = await started()
  for (const name of names) await publish(disk, name)
  await disk.makeDirectory('/in/folder')
  await batch()
  expect(seen).toEqual([['notes.txt', 'part-0']])
  await ssc.stop({ graceful: false })

  const other = await started({ filter: (name) => name.startsWith('_') })
  for (const name of names) await publish(other.disk, name)
  await other.batch()
  expect(other.seen).toEqual([['_SUCCESS']])
  await other.ssc.stop({ graceful: false })
})

test('a filter that throws ends the application with its error', async () => {
  const { disk, clock, ssc, end } = await started({
    filter: () => {
      throw new Error('bad pattern')
    },
  })
  const ended = end()
  await publish(disk, 'a')
  await clock.advance(1_000)
  expect(await ended).toMatchObject({ message: 'bad pattern' })
  await ssc.stop()
})

test('files are ordered by time, and equal times by name; each is one partition', async () => {
  const run = harness()
  await run.disk.makeDirectory('/in')
  const partitions: string[][] = []
  run.ssc.textFileStream('/in').foreachRDD(async (rdd) => {
    await rdd.foreachPartition((lines, { partition }) => void (partitions[partition] = [...lines]))
  })
  await run.ssc.start()
  await run.clock.advance(100)
  await write(run.disk, '/in/c')
  await run.clock.advance(100)
  for (const name of ['b', 'z', 'a']) await write(run.disk, `/in/${name}`)
  await run.batch()
  expect(partitions).toEqual([['/in/c'], ['/in/a'], ['/in/b'], ['/in/z']])
  await run.ssc.stop({ graceful: false })
})

test('a compressed file is unpacked', async () => {
  const { disk, batch, seen, ssc } = await started()
  await disk.create('/in/a.gz', gzipSync('packed\nlines\n'))
  await batch()
  expect(seen).toEqual([['packed', 'lines']])
  await ssc.stop({ graceful: false })
})

test('the paths of its files describe a batch to listeners, the first hundred', async () => {
  const { disk, batch, ssc } = await started()
  const descriptions: (string | undefined)[] = []
  ssc.addListener({ onBatchCompleted: ({ inputs }) => void descriptions.push(inputs[0]?.description) })
  await publish(disk, 'b')
  await publish(disk, 'a')
  await batch()
  for (let i = 0; i < 103; i++) await publish(disk, `many-${String(i)}`)
  await batch()
  expect(descriptions[0]).toBe('/in/a\n/in/b')
  expect(descriptions[1]?.split('\n')).toHaveLength(101)
  expect(descriptions[1]).toMatch(/\nand 3 more$/)
  await ssc.stop({ graceful: false })
})

/** Lets a test change the disk between the plan of a batch and its run. */
async function withGate(change: (disk: FileSystem, clock: ManualClock) => Promise<void>): Promise<unknown> {
  const gate = new Gate()
  const run = harness()
  const { disk, clock, ssc } = run
  await disk.makeDirectory('/in')
  let batches = 0
  ssc.textFileStream('/in').foreachRDD(async (rdd) => {
    if (++batches === 1) await gate.opened
    else await rdd.collect()
  })
  const ended = run.end()
  await ssc.start()
  await clock.advance(1_000)
  await write(disk, '/in/a')
  await clock.advance(1_000)
  await change(disk, clock)
  gate.open()
  return ended
}

test.for([
  ['has grown', (disk: FileSystem) => append(disk, '/in/a', 'more')],
  ['was replaced by one of the same size', (disk: FileSystem) => replace(disk, '/in/a')],
  ['is gone', (disk: FileSystem) => disk.remove('/in/a')],
] as const)('E15: a file that %s since the plan fails its batch by name', async ([, change]) => {
  const error = await withGate(change)
  expect(causeOf(error, 'FILE_CHANGED')?.message).toContain('/in/a')
})

async function append(disk: FileSystem, path: string, text: string): Promise<void> {
  const file = await disk.openAppend(path)
  await file.append(bytes(text))
  await file.close()
}

async function replace(disk: FileSystem, path: string): Promise<void> {
  const { byteLength } = await disk.read(path)
  await disk.remove(path)
  await disk.create(path, new Uint8Array(byteLength))
}

/** The error with this code in a chain of causes. */
function causeOf(error: unknown, code: Parameters<typeof isSluiceError>[1]): Error | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (isSluiceError(at, code)) return at
  return undefined
}

test('E15: a file that changes while it is read fails its batch, whatever the reader makes of it', async () => {
  for (const readerFails of [false, true]) {
    const run = harness()
    const { disk, clock, ssc } = run
    await disk.makeDirectory('/in')
    ssc
      .fileStream('/in', async function* (file) {
        yield ['first']
        await append(disk, file.path, 'more')
        if (readerFails) throw new Error('unexpected byte')
      })
      .foreachRDD(async (rdd) => void (await rdd.collect()))
    const ended = run.end()
    await ssc.start()
    await write(disk, '/in/a')
    await clock.advance(1_000)
    expect(causeOf(await ended, 'FILE_CHANGED')?.message).toContain('/in/a has changed')
  }
})

test('a reader that fails on a file that has not changed fails with its own error', async () => {
  const run = harness()
  await run.disk.makeDirectory('/in')

  const failing = async function* (): AsyncGenerator<readonly string[]> {
    throw new Error('unexpected byte')
  }
  run.ssc.fileStream('/in', failing).foreachRDD(async (rdd) => void (await rdd.collect()))
  const ended = run.end()
  await run.ssc.start()
  await write(run.disk, '/in/a')
  await run.clock.advance(1_000)
  const error = await ended
  expect(causeOf(error, 'FILE_CHANGED')).toBeUndefined()
  expect(String((error as Error).message)).toContain('unexpected byte')
})

test('a file that is appended to or replaced after its batch is not read again; one that was gone in between is new', async () => {
  const { disk, batch, seen, ssc } = await started()
  await publish(disk, 'log', 'first\n')
  await batch()
  await append(disk, '/in/log', 'second\n')
  await batch()
  await disk.remove('/in/log')
  await publish(disk, 'log', 'replaced\n')
  await batch()
  await disk.remove('/in/log')
  await batch()
  await publish(disk, 'log', 'new\n')
  await batch()
  expect(seen).toEqual([['first'], [], [], [], ['new']])
  await ssc.stop({ graceful: false })
})

test('a missing folder is an error of start()', async () => {
  const { ssc } = harness()
  ssc.textFileStream('/nowhere').print()
  await expect(ssc.start()).rejects.toSatisfy((error: unknown) => isSluiceError(error, 'FILE_NOT_FOUND'))
})

test('a file in the place of the folder is an error of start()', async () => {
  const { ssc, disk } = harness()
  await write(disk, '/in')
  ssc.textFileStream('/in').print()
  await expect(ssc.start()).rejects.toThrowError(/no folder \/in/)
})

test('a folder that vanishes while it runs gives empty batches, is told of once, and loses nothing when it is back', async () => {
  const { disk, batch, batches, seen, ssc, log } = await started()
  await publish(disk, 'a')
  await batch()
  await disk.rename('/in', '/away')
  await batches(3)
  await write(disk, '/away/b')
  await batches(2)
  await disk.rename('/away', '/in')
  await batches(2)
  expect(seen).toEqual([['a'], [], [], [], [], [], ['/away/b'], []])
  expect(log.filter((line) => line.includes('list'))).toEqual([
    expect.stringContaining('warn: [files of /in] cannot list the folder: '),
    'info: [files of /in] the folder can be listed again',
  ])
  await ssc.stop({ graceful: false })
})

test('a folder that vanished for longer than files are remembered loses nothing either', async () => {
  const { disk, batches, seen, ssc } = await started({ remember: seconds(5) })
  await disk.rename('/in', '/away')
  await batches(2)
  await write(disk, '/away/b')
  await batches(20)
  await disk.rename('/away', '/in')
  await batches(2)
  expect(seen.flat()).toEqual(['/away/b'])
  await ssc.stop({ graceful: false })
})

test.for([7_200_000, -7_200_000])('the wall clock jumps by %i ms: no file is lost or read twice', async (jump) => {
  const { disk, clock, batch, batches, seen, ssc } = await started()
  await publish(disk, 'a')
  await batch()
  await publish(disk, 'b')
  await clock.advance(100)
  clock.jumpTo(clock.now() + jump)
  await publish(disk, 'c')
  await batches(2)
  await publish(disk, 'd')
  await batches(2)
  await ssc.stop()
  expect(seen.flat()).toEqual(jump > 0 ? ['a', 'b', 'c', 'd'] : ['a', 'c', 'b', 'd'])
})

test('a batch takes at most so many files, the oldest first; the others follow', async () => {
  const { disk, clock, batch, seen, ssc } = await started({ maxFilesPerBatch: 3 })
  for (const name of ['c', 'b', 'a', 'e', 'd', 'g', 'f']) {
    await publish(disk, name)
    await clock.advance(10)
  }
  for (let i = 0; i < 4; i++) await batch()
  expect(seen).toEqual([['c', 'b', 'a'], ['e', 'd', 'g'], ['f'], []])
  await ssc.stop({ graceful: false })
})

test('no file is lost and none comes twice when files arrive at any moment, also during listings', async () => {
  const clock = new ManualClock()
  const disk = memoryFileSystem({ clock })
  let next = 0
  let isStarted = false
  // Every step of a listing may be the moment in which another file arrives, whose time is then later than the batch's.
  const busy: FileSystem = {
    ...bound(disk),
    async *list(path) {
      for await (const entry of disk.list(path)) {
        yield entry
        if (isStarted && next < 2_000 && next % 3 !== 0) await write(disk, `/in/f${String(next++)}`)
      }
    },
    async stat(path) {
      const stat = await disk.stat(path)
      if (isStarted && next < 2_000) await write(disk, `/in/f${String(next++)}`)
      return stat
    },
  }
  await disk.makeDirectory('/in')
  const source = fileSource({ fileSystem: busy, directory: '/in', options: {}, read: () => none() })
  await source.start?.(firstStart(clock))
  isStarted = true
  const taken: string[] = []
  for (let time = 0; time < 200; time++) {
    // Batches are planned up to a second late, so that files have times after the batch.
    clock.jumpTo(time * 1_000 + (time % 7) * 150)
    if (next < 2_000) await write(disk, `/in/f${String(next++)}`)
    const plan = await source.plan((time * 1_000) as never)
    taken.push(...(plan?.data.files.map(({ path }) => path) ?? []))
  }
  expect(taken).toHaveLength(2_000)
  expect(new Set(taken).size).toBe(2_000)
})

async function* none(): AsyncGenerator<readonly string[]> {
  // Nothing.
}

/** The methods of a file system, which are those of a class. */
function bound(disk: FileSystem): FileSystem {
  return new Proxy({} as FileSystem, {
    get: (_, key) => {
      const value: unknown = Reflect.get(disk, key)
      return typeof value === 'function' ? (value.bind(disk) as unknown) : value
    },
    ownKeys: () => ['~sluice', 'name', 'supports', ...Object.getOwnPropertyNames(Object.getPrototypeOf(disk))],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  })
}

/** A folder of very many files. It counts how often they were asked for, and how many entries it gave between two turns of the loop. */
class HugeFolder {
  readonly fileSystem: FileSystem
  readonly clock: InputContext['clock']
  stats = 0
  entriesPerTurn = 0
  #entries = 0

  constructor(count: number, modifiedMs: number) {
    const entry = (): void => {
      this.entriesPerTurn = Math.max(this.entriesPerTurn, ++this.#entries)
    }
    this.clock = {
      ...systemClock,
      yield: async () => {
        this.#entries = 0
        await systemClock.yield()
      },
    }
    this.fileSystem = {
      ...bound(memoryFileSystem()),
      async *list(): AsyncGenerator<DirectoryEntry> {
        for (let i = 0; i < count; i++) {
          entry()
          yield { name: `file-${String(i)}`, kind: 'file' }
        }
      },
      stat: (path): Promise<FileStat> => {
        if (path === '/in') return Promise.resolve({ kind: 'directory', sizeBytes: 0, modifiedMs: 0 })
        return Promise.resolve({ kind: 'file', sizeBytes: 10, modifiedMs: modifiedMs + (++this.stats % 1_000) })
      },
    }
  }
}

/** The longest time that a timer of 5 ms was late while `work` ran. */
async function longestStall(work: () => Promise<void>): Promise<number> {
  const timer = new AbortController()
  let stallMs = 0
  const ticking = (async () => {
    let last = systemClock.monotonic()
    while (!timer.signal.aborted) {
      await systemClock.sleep(5, timer.signal).catch(() => undefined)
      const now = systemClock.monotonic()
      stallMs = Math.max(stallMs, now - last - 5)
      last = now
    }
  })()
  await work()
  timer.abort()
  await ticking
  return stallMs
}

// The longest pause is V8's when it grows a map of a million names; it is far below this. Beyond it, something stalls the loop.
const LONGEST_STALL_MS = 1_500

test('a folder of a million files does not stall the loop, and files that were judged are not asked for again', async () => {
  const folder = new HugeFolder(1_000_000, 0)
  const { fileSystem, clock } = folder
  const source = fileSource({ fileSystem, directory: '/in', options: {}, read: () => none() })
  const stallMs = await longestStall(async () => {
    await source.start?.(firstStart(clock))
    await source.plan(clock.now() as never)
  })
  expect(folder.stats).toBe(0)
  expect(folder.entriesPerTurn).toBeLessThanOrEqual(500)
  expect(stallMs).toBeLessThan(LONGEST_STALL_MS)
}, 120_000)

test('very many new files do not stall the loop: they come ten thousand a batch, the oldest first', async () => {
  const folder = new HugeFolder(200_000, 1_000)
  const { fileSystem, clock } = folder
  const options = { newFilesOnly: false }
  const source = fileSource({ fileSystem, directory: '/in', options, read: () => none() })
  const times: number[] = []
  const stallMs = await longestStall(async () => {
    await source.start?.(firstStart(clock))
    for (let i = 0; i < 3; i++) {
      const plan = await source.plan(clock.now() as never)
      times.push(...(plan?.data.files.map(({ modifiedMs }) => modifiedMs) ?? []))
    }
  })
  expect(times).toHaveLength(30_000)
  expect(times).toEqual([...times].sort((a, b) => a - b))
  expect(folder.stats).toBe(200_000)
  expect(folder.entriesPerTurn).toBeLessThanOrEqual(500)
  expect(stallMs).toBeLessThan(LONGEST_STALL_MS)
}, 120_000)

test('on the local disk: files moved into the folder come once, by time and name', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-files-'))
  try {
    const source = fileSource({ fileSystem: nodeFileSystem(), directory: root, options: {}, read: () => none() })
    await writeFile(join(root, 'old'), 'x')
    await source.start?.(firstStart(systemClock))
    await writeFile(join(root, '.b'), 'x')
    await writeFile(join(root, '.a'), 'x')
    const now = systemClock.now()
    for (const name of ['a', 'b']) {
      await utimes(join(root, `.${name}`), now / 1_000 - 10, now / 1_000 - 10)
      await rename(join(root, `.${name}`), join(root, name))
    }
    const plans = [await source.plan(now as never), await source.plan((now + 1_000) as never)]
    expect(plans.map((plan) => plan?.data.files.map(({ path }) => path))).toEqual([
      [join(root, 'a'), join(root, 'b')],
      [],
    ])
  } finally {
    await rm(root, { recursive: true })
  }
})

test('binaryRecordsStream cuts files into records of one length', async () => {
  const run = harness()
  await run.disk.makeDirectory('/in')
  const seen: number[][] = []
  run.ssc.binaryRecordsStream('/in', 3).foreachRDD(async (rdd) => {
    for (const record of await rdd.collect()) seen.push([...record])
  })
  await run.ssc.start()
  await run.disk.create('/in/a', Uint8Array.of(1, 2, 3, 4, 5, 6))
  await run.disk.create('/in/empty', new Uint8Array(0))
  await run.batch()
  expect(seen).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ])
  await run.ssc.stop({ graceful: false })
})

test('binaryRecordsStream reads large files piece by piece, with whole records', async () => {
  const run = harness()
  await run.disk.makeDirectory('/in')
  let count = 0
  run.ssc.binaryRecordsStream('/in', 1_000).foreachRDD(async (rdd) => {
    count = (await rdd.filter((record) => record.byteLength === 1_000 && record[0] === 7).collect()).length
  })
  await run.ssc.start()
  await run.disk.create('/in/a', new Uint8Array(3_000_000).fill(7))
  await run.batch()
  expect(count).toBe(3_000)
  await run.ssc.stop({ graceful: false })
})

test('a binary file of another length fails its batch by name', async () => {
  const run = harness()
  await run.disk.makeDirectory('/in')
  run.ssc.binaryRecordsStream('/in', 4).foreachRDD(async (rdd) => void (await rdd.collect()))
  const ended = run.end()
  await run.ssc.start()
  await run.disk.create('/in/a', new Uint8Array(10))
  await run.clock.advance(1_000)
  expect(causeOf(await ended, 'DATA_CORRUPT')?.message).toContain(
    '/in/a has 10 bytes, no multiple of the record length 4',
  )
})

test.for([0, -1, 1.5, Number.NaN])('a record length of %d is refused', (length) => {
  expect(() => harness().ssc.binaryRecordsStream('/in', length)).toThrowError(/recordLength must be/)
})

test.for([{ remember: 0 as never }, { maxFilesPerBatch: 0 }])('%o is refused', (options: FileStreamOptions) => {
  expect(() => harness().ssc.textFileStream('/in', options)).toThrowError(/must be/)
})

test('WaitingFiles gives back any files in order', () => {
  const waiting = new WaitingFiles()
  const files = Array.from({ length: 1_000 }, (_, i) => ({
    path: String((i * 7_919) % 1_000),
    sizeBytes: 0,
    modifiedMs: (i * 31) % 17,
  }))
  for (const file of files) waiting.push(file)
  const sorted = Array.from(files, () => waiting.shift())
  expect(sorted).toEqual(files.toSorted((a, b) => a.modifiedMs - b.modifiedMs || (a.path < b.path ? -1 : 1)))
  expect([waiting.shift(), waiting.size]).toEqual([undefined, 0])
})

test('JudgedNames lets go of names that are gone', () => {
  const judged = new JudgedNames()
  for (let listing = 0; listing < 10; listing++) {
    for (let i = 0; i < 5_000; i++) judged.add(`${String(listing)}/${String(i)}`)
    judged.endListing()
  }
  expect(judged.size).toBeLessThan(25_001)
})

test('FoundFiles knows a file for the remembered time at least, and not for ever', () => {
  const found = new FoundFiles(1_000)
  found.add('a', 5)
  for (const time of [100, 600, 1_000, 1_099, 1_100]) {
    found.endListing(time)
    expect(found.has('a', 5)).toBe(true)
  }
  expect([found.has('a', 6), found.has('b', 5)]).toEqual([false, false])
  found.endListing(2_100)
  expect(found.has('a', 5)).toBe(false)
})
