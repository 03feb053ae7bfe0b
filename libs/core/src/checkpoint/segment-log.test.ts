import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { crashableFileSystem, type DiskCall } from '../testing/crashable-file-system.js'
import type { EntryLog, LogEntry } from './entry-log.js'
import { inspectSegmentLog, openSegmentLog } from './segment-log.js'

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const folder = '/log'

interface Opened {
  readonly log: EntryLog
  readonly entries: readonly LogEntry[]
  readonly texts: readonly string[]
}

interface OpenOptions {
  readonly segmentBytes?: number
  readonly folder?: string
}

async function open(fileSystem: FileSystem, epoch: number, options: OpenOptions = {}): Promise<Opened> {
  const entries: LogEntry[] = []
  const log = await openSegmentLog({ fileSystem, folder, epoch, logger: silent, ...options }, (entry) => {
    entries.push(entry)
  })
  return { log, entries, texts: entries.map(({ payload }) => Buffer.from(payload).toString()) }
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

/** The log's files, oldest first. */
async function files(disk: FileSystem): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of disk.list(folder)) names.push(`${folder}/${name}`)
  return names.sort()
}

/** A copy of the log's folder in which some files have other contents, or are gone. */
async function copyWith(disk: FileSystem, changed: Readonly<Record<string, Uint8Array | null>>): Promise<FileSystem> {
  const copy = memoryFileSystem()
  await copy.makeDirectory(folder)
  for (const path of await files(disk)) {
    const data = path in changed ? changed[path] : await disk.read(path)
    if (data !== null && data !== undefined) await copy.create(path, data)
  }
  return copy
}

/** Appends these together, so that they become durable together. */
function group(log: EntryLog, ...texts: string[]): Promise<number[]> {
  return Promise.all(texts.map((text) => log.append(1, bytes(text))))
}

/** Three groups in one segment, and where in its file each begins. */
async function threeGroups(): Promise<{ disk: FileSystem; path: string; starts: number[]; data: Uint8Array }> {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1)
  const path = (await files(disk))[0]!
  const size = async (): Promise<number> => (await disk.stat(path))!.sizeBytes
  const starts = [await size()]
  await group(log, 'a', 'bb')
  starts.push(await size())
  await group(log, 'ccc', '')
  starts.push(await size())
  await group(log, 'dddd', 'e', 'ff')
  await log.close()
  return { disk, path, starts, data: await disk.read(path) }
}
const ALL = ['a', 'bb', 'ccc', '', 'dddd', 'e', 'ff']

test('what was appended is read back in order by the next owner, who goes on above it', async () => {
  const disk = memoryFileSystem()
  const first = await open(disk, 1)
  expect(first.entries).toEqual([])
  expect(await Promise.all(['a', 'b', ''].map((text) => first.log.append(7, bytes(text))))).toEqual([1, 2, 3])
  await first.log.close()

  const second = await open(disk, 2)
  expect(second.texts).toEqual(['a', 'b', ''])
  expect(await second.log.append(8, bytes('c'))).toBe(4)
  await second.log.close()
  const third = await open(disk, 3)
  expect(third.texts).toEqual(['a', 'b', '', 'c'])
  expect(third.entries.map(({ sequence, type, epoch }) => [sequence, type, epoch])).toEqual([
    [1, 7, 1],
    [2, 7, 1],
    [3, 7, 1],
    [4, 8, 2],
  ])
})

test('E17: a last group that is cut at any byte loses nothing durable, and is no damage later', async () => {
  const { disk, path, starts, data } = await threeGroups()
  for (let length = starts[2]!; length <= data.byteLength; length++) {
    const cut = await copyWith(disk, { [path]: data.subarray(0, length) })
    const before = await inspectSegmentLog({ fileSystem: cut, folder })
    const { log, texts } = await open(cut, 2)
    expect(texts).toEqual(ALL.slice(0, texts.length))
    expect(texts.length).toBeGreaterThanOrEqual(4)
    expect(before).toMatchObject({ damage: undefined, entries: texts.length })
    const isWhole = length === data.byteLength || length === starts[2]
    if (isWhole) expect(before.tornBytes).toBe(0)
    await group(log, 'new')
    await log.close()
    expect((await open(cut, 3)).texts).toEqual([...texts, 'new'])
  }
})

test('E17: a flipped bit below the synced mark is DATA_CORRUPT, with file and offset; above it the tail is cut', async () => {
  const { disk, path, starts, data } = await threeGroups()
  for (let at = 0; at < data.byteLength; at++) {
    const flipped = Uint8Array.from(data)
    flipped[at]! ^= 1 << (at % 8)
    const damaged = await copyWith(disk, { [path]: flipped })
    if (at < starts[2]!) {
      await expect(open(damaged, 2)).rejects.toMatchObject({
        code: 'DATA_CORRUPT',
        message: expect.stringMatching(/0001-0000000001\.log is damaged at byte \d+ .*; restore a copy/),
      })
      const { damage } = await inspectSegmentLog({ fileSystem: damaged, folder })
      expect(damage?.file).toBe(path)
      expect(damage!.offset).toBeLessThanOrEqual(at)
      expect(damage!.offset).toBeGreaterThanOrEqual(at < starts[0]! ? 0 : at < starts[1]! ? starts[0]! : starts[1]!)
    } else {
      const { texts } = await open(damaged, 2)
      expect(texts).toEqual(ALL.slice(0, texts.length))
      expect(texts.length).toBeGreaterThanOrEqual(4)
    }
  }
})

test('E17: a flipped bit anywhere in a segment that another one follows is DATA_CORRUPT', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1, { segmentBytes: 300 })
  for (const text of ALL) await group(log, text)
  await log.close()
  const [first, second] = await files(disk)
  expect(second).toBeDefined()
  const data = await disk.read(first!)
  for (let at = 0; at < data.byteLength; at++) {
    const flipped = Uint8Array.from(data)
    flipped[at]! ^= 0x10
    const { damage } = await inspectSegmentLog({ fileSystem: await copyWith(disk, { [first!]: flipped }), folder })
    expect(damage).toMatchObject({ file: first })
    expect(damage!.offset).toBeLessThanOrEqual(at)
  }
  const cut = await copyWith(disk, { [first!]: data.subarray(0, -1) })
  await expect(open(cut, 2)).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
})

test('E17: a segment that is lost from between others is DATA_CORRUPT and named', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1, { segmentBytes: 100 })
  for (const text of ALL) await group(log, text)
  await log.close()
  const paths = await files(disk)
  expect(paths.length).toBeGreaterThan(3)
  const holed = await copyWith(disk, { [paths[1]!]: null })
  await expect(open(holed, 2)).rejects.toMatchObject({
    code: 'DATA_CORRUPT',
    message: expect.stringContaining(paths[1]!),
  })
})

test('E17: an empty last segment and one with a torn header are passed over, and their names not used again', async () => {
  const { disk } = await threeGroups()
  for (const junk of [new Uint8Array(0), bytes('SLF\u0001torn'), new Uint8Array(500)]) {
    const torn = await copyWith(disk, {})
    await torn.create(`${folder}/0000000000000008-0000000001.log`, junk)
    const { log, texts } = await open(torn, 2)
    expect(texts).toEqual(ALL)
    expect(await log.append(1, bytes('new'))).toBe(8)
    await log.close()
    expect((await open(torn, 3)).texts).toEqual([...ALL, 'new'])
  }
})

test('E17: reads that are answered in small parts give the same entries', async () => {
  const { disk } = await threeGroups()
  const slow: FileSystem = Object.assign(Object.create(disk) as FileSystem, {
    supports: disk.supports,
    list: (path: string) => disk.list(path),
    stat: (path: string) => disk.stat(path),
    create: (path: string, data: Uint8Array) => disk.create(path, data),
    openAppend: (path: string) => disk.openAppend(path),
    makeDirectory: (path: string) => disk.makeDirectory(path),
    syncDirectory: (path: string) => disk.syncDirectory(path),
    read: (path: string, range?: { start: number; length: number }) =>
      disk.read(path, range && { ...range, length: range.length === 4_096 ? 4_096 : Math.min(range.length, 7) }),
  })
  expect((await open(slow, 2)).texts).toEqual(ALL)
})

test('large payloads come back, alone and next to small ones', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1, { segmentBytes: 2 ** 22 })
  const sizes = [10, 2 ** 16, 2 ** 16 + 1, 3 * 2 ** 20, 0, 2 ** 20 - 40, 1, 5 * 2 ** 20]
  const payloads = sizes.map((size, i) => new Uint8Array(size).fill(i + 1))
  await Promise.all(payloads.map((payload) => log.append(1, payload)))
  await Promise.all(payloads.map((payload) => log.append(1, payload)))
  await log.close()
  const { entries } = await open(disk, 2)
  expect(entries.map(({ payload }) => [payload.byteLength, payload.every((byte) => byte === payload[0])])).toEqual(
    [...sizes, ...sizes].map((size) => [size, true]),
  )
  expect(entries.map(({ payload }) => payload[0])).toEqual([...payloads, ...payloads].map((payload) => payload[0]))
})

test('100 k appends with 1,000 outstanding share their syncs', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-log-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const { log } = await open(nodeFileSystem(), 1, { folder: join(root, 'log'), segmentBytes: 2 ** 20 })
  const payload = new Uint8Array(100)
  let left = 100_000
  const appendInTurn = async (): Promise<void> => {
    while (left-- > 0) await log.append(1, payload)
  }
  await Promise.all(Array.from({ length: 1_000 }, appendInTurn))
  expect(log.statistics.entries).toBe(100_000)
  expect(log.statistics.syncs).toBeLessThan(500)
  await log.close()
})

test('noted entries wait for nobody: they are durable with the next append, or at close', async () => {
  const disk = crashableFileSystem()
  await disk.makeDirectory(folder)
  await disk.syncDirectory('/')
  const { log } = await open(disk, 1)
  expect(log.note(1, bytes('a'))).toBe(1)
  expect(await log.append(1, bytes('b'))).toBe(2)
  expect(log.note(1, bytes('c'))).toBe(3)
  expect(log.nextSequence).toBe(4)
  const crashed = disk.crash()
  const second = await open(crashed, 2)
  expect(second.texts).toEqual(['a', 'b'])
  second.log.note(1, bytes('d'))
  await second.log.close()
  expect((await open(crashed.crash(), 3)).texts).toEqual(['a', 'b', 'd'])
})

test('trim removes whole segments only, and what is left is sound', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1, { segmentBytes: 200 })
  for (let i = 1; i <= 20; i++) await log.append(1, bytes(`entry ${String(i)}`))
  const all = await files(disk)
  await log.trim(1)
  expect(await files(disk)).toEqual(all)
  await log.trim(11)
  expect((await files(disk)).length).toBeLessThan(all.length)
  await log.append(1, bytes('entry 21'))
  await log.close()
  expect(await inspectSegmentLog({ fileSystem: disk, folder })).toMatchObject({
    lastSequence: 21,
    damage: undefined,
    tornBytes: 0,
  })
  const second = await open(disk, 2)
  expect(second.texts.slice(-11)).toEqual(Array.from({ length: 11 }, (_, i) => `entry ${String(i + 11)}`))
  expect(second.texts).not.toContain('entry 1')
  await second.log.trim(22)
  await second.log.close()
  expect((await files(disk)).length).toBe(1)
  const third = await open(disk, 3)
  // The last entries were written again by their next owner, into the segment that stays.
  expect(third.texts).toEqual(['entry 21'])
  expect(third.log.nextSequence).toBe(22)
})

test('inspect changes nothing, and tells of a log that is not there', async () => {
  const disk = memoryFileSystem()
  expect(await inspectSegmentLog({ fileSystem: disk, folder })).toEqual({
    entries: 0,
    bytes: 0,
    firstSequence: undefined,
    lastSequence: undefined,
    damage: undefined,
    tornBytes: 0,
  })
  expect(await disk.stat(folder)).toBeUndefined()
})

test('a closed log takes nothing more, and can be closed again', async () => {
  const { log } = await open(memoryFileSystem(), 1)
  await log.close()
  await log.close()
  await expect(log.append(1, bytes('a'))).rejects.toMatchObject({ code: 'STOPPED' })
  await expect(log.trim(1)).rejects.toMatchObject({ code: 'STOPPED' })
  expect(() => log.note(1, bytes('a'))).toThrow('closed')
})

test('types are 1 to 255', async () => {
  const { log } = await open(memoryFileSystem(), 1)
  for (const type of [0, 256, 1.5]) {
    await expect(log.append(type, bytes('a'))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  }
  expect(await log.append(255, bytes('a'))).toBe(1)
})

test('E7: what an old owner writes after it was replaced is ignored, in its open file and in new ones', async () => {
  const disk = memoryFileSystem()
  const old = await open(disk, 1, { segmentBytes: 250 })
  await group(old.log, 'a', 'b')
  const next = await open(disk, 2)
  expect(next.texts).toEqual(['a', 'b'])
  for (let i = 0; i < 6; i++) await group(old.log, `late ${String(i)}`)
  await group(next.log, 'c')
  await group(old.log, 'later')
  await next.log.close()
  await old.log.close()
  const third = await open(disk, 3)
  expect(third.texts).toEqual(['a', 'b', 'c'])
  // Its numbers are not used again.
  expect(third.log.nextSequence).toBeGreaterThan(old.log.nextSequence - 1)
  await group(third.log, 'd')
  await third.log.trim(third.log.nextSequence)
  await third.log.close()
  expect(await files(disk)).toHaveLength(1)
  // Not durable by any mark when the third owner came, so written again by it.
  expect((await open(disk, 4)).texts).toEqual(['c', 'd'])
})

test('E7: a new owner goes on above what an old one wrote too late into its open file', async () => {
  const disk = memoryFileSystem()
  const old = await open(disk, 1)
  await group(old.log, 'a')
  await group(old.log, 'b')
  await (await open(disk, 2)).log.close()
  await group(old.log, 'late', 'later', 'last')
  const third = await open(disk, 3)
  expect(third.texts).toEqual(['a', 'b'])
  expect(third.log.nextSequence).toBe(old.log.nextSequence)
  await group(third.log, 'c')
  expect((await open(disk, 4)).texts).toEqual(['a', 'b', 'c'])
})

test('E7: an owner whose epoch is not the highest is told', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 2)
  await group(log, 'a')
  await expect(open(disk, 1)).rejects.toMatchObject({ code: 'FENCED' })
  await expect(open(disk, 2)).rejects.toMatchObject({ code: 'FENCED' })
})

test.each([
  ['ENOSPC', 'append', 1_000],
  ['EIO', 'append', 1_000],
  ['EIO', 'sync', 1_000],
  ['ENOSPC', 'append', 1],
  ['EIO', 'sync', 1],
] as const)(
  'E17: %s on %s poisons the log (segments of %i bytes); a restart goes on',
  async (errno, kind, segmentBytes) => {
    let failing = false
    const fail = (call: DiskCall): string | undefined => (failing && call.kind === kind ? errno : undefined)
    let disk = crashableFileSystem({ fail })
    const { log } = await open(disk, 1, { segmentBytes })
    await group(log, 'a', 'b')
    failing = true
    const failed = await Promise.allSettled([log.append(1, bytes('c')), log.append(1, bytes('d'))])
    const reasons = failed.map((result) => (result as PromiseRejectedResult).reason as Error)
    expect(reasons[0]!.message).toContain(errno)
    expect(reasons[1]).toBe(reasons[0])
    failing = false
    await expect(log.append(1, bytes('e'))).rejects.toBe(reasons[0])
    expect(() => log.note(1, bytes('e'))).toThrow(reasons[0])
    await expect(log.trim(1)).rejects.toBe(reasons[0])
    await expect(log.close()).rejects.toBe(reasons[0])

    const second = await open(disk, 2)
    expect(second.texts.slice(0, 2)).toEqual(['a', 'b'])
    await group(second.log, 'f')
    // A sync that failed has lost its bytes for good, whatever later syncs say: they must not be relied on.
    disk = disk.crash()
    expect((await open(disk, 3)).texts).toEqual([...second.texts, 'f'])
  },
)

test('E17: when the next segment cannot be made the log is poisoned, and what was acknowledged stays', async () => {
  let failing = false
  const disk = crashableFileSystem({ fail: ({ kind }) => (failing && kind === 'openAppend' ? 'ENOSPC' : undefined) })
  const { log } = await open(disk, 1, { segmentBytes: 100 })
  failing = true
  await group(log, 'a'.repeat(100))
  await expect(log.append(1, bytes('b'))).rejects.toMatchObject({ message: expect.stringMatching(/ENOSPC/) })
  failing = false
  await expect(log.close()).rejects.toMatchObject({ message: expect.stringMatching(/ENOSPC/) })
  expect((await open(disk.crash(), 2)).texts).toEqual(['a'.repeat(100)])
})

/** A life of the log: what is appended and noted, when the power goes, and what it takes with it. */
const life = fc.record({
  steps: fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('append' as const), size: fc.nat(90) }),
      fc.record({ do: fc.constant('note' as const), size: fc.nat(90) }),
      fc.record({ do: fc.constant('trim' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ do: fc.constant('wait' as const), turns: fc.nat(60) }),
    ),
    { maxLength: 25 },
  ),
  kept: fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
  close: fc.boolean(),
  segmentBytes: fc.constantFrom(100, 400, 10_000),
})

test(
  'E17: whatever a power loss takes, what was acknowledged is there, in order, and nothing else',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), async (lives) => {
        let disk = crashableFileSystem()
        const written = new Map<number, string>()
        const durable = new Set<number>()
        let trimmed = 0
        for (const [i, { steps, kept, close, segmentBytes }] of lives.entries()) {
          const { log, entries } = await open(disk, i + 1, { segmentBytes })
          const found = new Map(entries.map(({ sequence, payload }) => [sequence, Buffer.from(payload).toString()]))
          for (const sequence of durable) if (sequence >= trimmed) expect(found.has(sequence)).toBe(true)
          for (const [sequence, text] of found) expect(text).toBe(written.get(sequence))
          // What was read is there for good: somebody has acted on it.
          for (const sequence of found.keys()) durable.add(sequence)
          for (const sequence of written.keys()) if (!found.has(sequence)) durable.delete(sequence)
          for (const step of steps) {
            if (step.do === 'wait') for (let turn = 0; turn < step.turns; turn++) await Promise.resolve()
            else if (step.do === 'trim') {
              const sequence = Math.floor(step.share * log.nextSequence)
              trimmed = Math.max(trimmed, sequence)
              await log.trim(sequence)
            } else {
              const text = `${String(log.nextSequence)} of life ${String(i)} `.padEnd(step.size, '.')
              written.set(log.nextSequence, text)
              if (step.do === 'note') log.note(1, bytes(text))
              else
                log.append(1, bytes(text)).then(
                  (sequence) => durable.add(sequence),
                  () => undefined,
                )
            }
          }
          if (close) await log.close()
          disk = disk.crash({
            bytes: (_path, unsynced) => Math.round((kept.next().value ?? 0) * unsynced),
            name: () => (kept.next().value ?? 0) > 0.5,
          })
          const report = await inspectSegmentLog({ fileSystem: disk, folder })
          expect(report.damage).toBeUndefined()
        }
      }),
      { numRuns: 200 },
    )
  },
)
