import { expect, test } from 'vitest'
import { SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import { crashableFileSystem, type CrashableFileSystem } from '../testing/crashable-file-system.js'
import type { EntryLog, LogEntry } from './entry-log.js'
import { inspectObjectLog, openObjectLog } from './object-log.js'

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const folder = '/log'
const bytes = (text: string): Uint8Array => Buffer.from(text)

async function open(fileSystem: FileSystem, epoch: number): Promise<{ log: EntryLog; texts: string[] }> {
  const entries: LogEntry[] = []
  const log = await openObjectLog({ fileSystem, folder, epoch, logger: silent }, (entry) => void entries.push(entry))
  return { log, texts: entries.map(({ payload }) => Buffer.from(payload).toString()) }
}

const store = (): CrashableFileSystem =>
  crashableFileSystem({ supports: { append: false, rename: false, link: false } })

/** The store, with another way to create. */
function withCreate(disk: FileSystem, create: FileSystem['create']): FileSystem {
  return { ...disk, create }
}

async function names(disk: FileSystem): Promise<string[]> {
  const found: string[] = []
  for await (const { name } of disk.list(folder)) found.push(name)
  return found.sort()
}

test('a group of waiting entries is one object, a large one several', async () => {
  const disk = store()
  const { log } = await open(disk, 1)
  expect(await names(disk)).toHaveLength(1)
  await Promise.all(['a', 'b', 'c'].map((text) => log.append(1, bytes(text))))
  expect(await names(disk)).toEqual(['0000000000000001.group', '0000000000000002.group'])
  const large = new Uint8Array(5 * 2 ** 20).fill(7)
  await Promise.all([log.append(1, large), log.append(1, large), log.append(1, large)])
  expect(await names(disk)).toHaveLength(5)
  expect((await open(disk.crash(), 2)).texts.map((text) => text.length)).toEqual([
    1,
    1,
    1,
    ...Array<number>(3).fill(5 * 2 ** 20),
  ])
})

test('E7: a write whose answer was lost is recognised by its nonce: it stands once', async () => {
  const disk = store()
  let losing = false
  const lossy = withCreate(disk, async (path, data) => {
    await disk.create(path, data)
    if (losing) throw new SluiceError({ code: 'TIMEOUT', component: 'test', message: 'no answer; try again' })
  })
  const { log } = await open(lossy, 1)
  losing = true
  expect(await log.append(1, bytes('a'))).toBe(2)
  await log.append(1, bytes('b'))
  expect((await open(disk, 2)).texts).toEqual(['a', 'b'])
})

test('E7: a timed-out write that lands later, after the take-over, changes nothing', async () => {
  const disk = store()
  let late: (() => Promise<void>) | undefined
  const slow = withCreate(disk, (path, data) => {
    if (!path.endsWith('2.group')) return disk.create(path, data)
    late = () => disk.create(path, data)
    return Promise.reject(new SluiceError({ code: 'TIMEOUT', component: 'test', message: 'no answer; try again' }))
  })
  const old = await open(slow, 1)
  await expect(old.log.append(1, bytes('late'))).rejects.toMatchObject({ code: 'TIMEOUT' })
  await expect(old.log.append(1, bytes('later'))).rejects.toMatchObject({ code: 'TIMEOUT' })
  const next = await open(disk, 2)
  await expect(late!()).rejects.toMatchObject({ code: 'FILE_EXISTS' })
  await next.log.append(1, bytes('a'))
  expect((await open(disk, 3)).texts).toEqual(['a'])
})

test('E7: an object that the old owner puts while the new one begins is read, and the next place taken', async () => {
  const disk = store()
  const old = await open(disk, 1)
  await old.log.append(1, bytes('a'))
  let raced = false
  const racing = withCreate(disk, async (path, data) => {
    if (!raced) {
      raced = true
      await old.log.append(1, bytes('b'))
    }
    await disk.create(path, data)
  })
  const next = await open(racing, 2)
  expect(next.texts).toEqual(['a', 'b'])
  await expect(old.log.append(1, bytes('c'))).rejects.toMatchObject({ code: 'FENCED' })
  await next.log.append(1, bytes('d'))
  expect((await open(disk, 3)).texts).toEqual(['a', 'b', 'd'])
})

test('E7: an owner that was replaced finds its place taken: FENCED, and so is all that follows', async () => {
  const disk = store()
  const old = await open(disk, 1)
  await old.log.append(1, bytes('a'))
  const next = await open(disk, 2)
  await expect(old.log.append(1, bytes('b'))).rejects.toMatchObject({ code: 'FENCED', retryable: false })
  await expect(old.log.append(1, bytes('c'))).rejects.toMatchObject({ code: 'FENCED' })
  expect(await next.log.append(1, bytes('d'))).toBe(next.log.nextSequence - 1)
})

test('E17: any flipped bit and any cut of an object is DATA_CORRUPT, with file and offset', async () => {
  const disk = store()
  const { log } = await open(disk, 1)
  for (const text of ['a', 'bb', 'ccc']) await log.append(1, bytes(text))
  for (const name of await names(disk)) {
    const data = await disk.read(`${folder}/${name}`)
    const damaged: Uint8Array[] = Array.from({ length: data.byteLength }, (_, length) => data.subarray(0, length))
    for (let at = 0; at < data.byteLength; at++) {
      const flipped = Uint8Array.from(data)
      flipped[at]! ^= 1 << (at % 8)
      damaged.push(flipped)
    }
    for (const contents of damaged) {
      await disk.remove(`${folder}/${name}`)
      await disk.create(`${folder}/${name}`, contents)
      const { damage } = await inspectObjectLog({ fileSystem: disk, folder })
      expect(damage).toMatchObject({ file: `${folder}/${name}` })
      await expect(open(disk, 2)).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
    }
    await disk.remove(`${folder}/${name}`)
    await disk.create(`${folder}/${name}`, data)
  }
})

test('objects that the old owner trims while the new one reads are no damage', async () => {
  const disk = store()
  const old = await open(disk, 1)
  for (const text of ['a', 'b', 'c', 'd']) await old.log.append(1, bytes(text))
  const read: string[] = []
  const log = await openObjectLog({ fileSystem: disk, folder, epoch: 2, logger: silent }, async ({ payload }) => {
    const text = Buffer.from(payload).toString()
    read.push(text)
    if (text !== 'a') return
    // Only what an object put later does not name as needed may go.
    await old.log.trim(5)
    expect(await names(disk)).toHaveLength(5)
    await old.log.append(1, bytes('e'))
    await old.log.trim(5)
  })
  expect(read).toEqual(['a', 'd', 'e'])
  await log.append(1, bytes('f'))
  expect((await open(disk, 3)).texts).toEqual(['d', 'e', 'f'])
})

test('E7: what a replaced owner puts where the new one has trimmed since is not read, and is no damage', async () => {
  const disk = store()
  const old = await open(disk, 1)
  await old.log.append(1, bytes('a'))
  const next = await open(disk, 2)
  for (const text of ['b', 'c', 'd']) {
    await next.log.append(1, bytes(text))
    await next.log.trim(next.log.nextSequence - 1)
  }
  // Its next place, where the new owner began, is free again: only `confirm` tells it that it is replaced.
  await old.log.append(1, bytes('late'))
  expect((await open(disk, 3)).texts).toEqual(['c', 'd'])
  expect((await open(disk, 4)).texts).toEqual(['c', 'd'])
})
