import { deepStrictEqual } from 'node:assert/strict'
import { beforeEach, expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { BlockStore } from './block-store.js'
import type { ByteRange, FileSystem } from './file-system.js'
import { memoryFileSystem } from './memory-file-system.js'

let fs: FileSystem
let store: BlockStore

beforeEach(() => {
  fs = memoryFileSystem()
  store = new BlockStore({ fileSystem: fs, directory: '/tmp', instance: 'test', chunkRecords: 100 })
})

async function files(): Promise<string[]> {
  const names: string[] = []
  for await (const entry of fs.list('/tmp/sluice-blocks-test')) names.push(entry.name)
  return names
}

async function all(chunks: AsyncIterable<unknown[]>): Promise<unknown[]> {
  const records: unknown[] = []
  for await (const chunk of chunks) records.push(...chunk)
  return records
}

test('a spill gives back its records in order, cut into chunks of at most the chunk size', async () => {
  const writer = store.openSpill('s')
  const records = Array.from({ length: 1_050 }, (_, i) => [`key-${String(i)}`, i])
  await writer.append(records.slice(0, 1_000))
  await writer.append([])
  await writer.append(records.slice(1_000))
  const handle = await writer.close()
  expect(handle).toMatchObject({ id: 's', records: 1_050 })
  expect(store.stats()).toMatchObject({ diskBytes: handle.sizeBytes, memoryBytes: 0 })
  const sizes: number[] = []
  for await (const chunk of store.readSpill(handle)) sizes.push(chunk.length)
  expect(sizes).toEqual([...Array.from({ length: 10 }, () => 100), 50])
  deepStrictEqual(await all(store.readSpill(handle)), records)
  deepStrictEqual(await all(store.readSpill(handle)), records)
})

test('a spill without records has no file', async () => {
  const handle = await store.openSpill('s').close()
  expect(await all(store.readSpill(handle))).toEqual([])
  expect(store.stats().diskBytes).toBe(0)
})

test('the array can be used again while its append is under way, and appends keep their order', async () => {
  const writer = store.openSpill('s')
  const buffer: number[] = []
  const appends: Promise<void>[] = []
  for (let i = 0; i < 50; i++) {
    buffer.splice(0, buffer.length, i, i + 0.5)
    appends.push(writer.append(buffer))
  }
  buffer.length = 0
  const handle = await writer.close()
  await Promise.all(appends)
  expect(await all(store.readSpill(handle))).toEqual(Array.from({ length: 100 }, (_, i) => i / 2))
})

test('a reader holds one read and one frame, also of large records', async () => {
  const writer = store.openSpill('s')
  const record = 'x'.repeat(1_500_000)
  await writer.append(Array.from({ length: 10 }, (_, i) => `${String(i)}${record}`))
  const handle = await writer.close()
  const read = fs.read.bind(fs)
  let largest = 0
  fs.read = (path: string, range?: ByteRange) => {
    largest = Math.max(largest, range?.length ?? Infinity)
    return read(path, range)
  }
  let count = 0
  for await (const chunk of store.readSpill(handle)) {
    expect((chunk[0] as string).startsWith(String(count))).toBe(true)
    count += chunk.length
  }
  expect(count).toBe(10)
  expect(largest).toBeLessThan(4 * 2 ** 20 + 1_000)
})

test('a removed spill can neither be written nor read, and its file is gone', async () => {
  const writer = store.openSpill('a/1')
  await writer.append([1, 2])
  const handle = await writer.close()
  const open = store.openSpill('a/2')
  await open.append(['x'.repeat(300_000)])
  expect(await files()).toHaveLength(2)
  await store.removePrefix('a/')
  expect(await files()).toEqual([])
  expect(store.stats()).toMatchObject({ diskBytes: 0, blocks: 0 })
  expect(() => store.readSpill(handle)).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }) as Error)
  await expect(open.append([3])).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  await expect(open.close()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})

test('a spill removed during an append leaves no file', async () => {
  const writer = store.openSpill('s')
  const append = writer.append(['x'.repeat(300_000)]).catch((error: unknown) => error)
  await store.remove('s')
  await append
  expect(store.stats().diskBytes).toBe(0)
  await store.close()
  expect(await fs.stat('/tmp/sluice-blocks-test')).toBeUndefined()
})

test('after a failed append the spill is of no use, and says why', async () => {
  const writer = store.openSpill('s')
  const first = await writer.append([() => 1]).catch((error: unknown) => error)
  expect(isSluiceError(first, 'UNSERIALIZABLE')).toBe(true)
  await expect(writer.append([1])).rejects.toBe(first)
  await expect(writer.close()).rejects.toBe(first)
})

test('a spill opened again under its id replaces the one before', async () => {
  const first = store.openSpill('s')
  await first.append([1])
  const old = await first.close()
  const second = store.openSpill('s')
  await second.append([2])
  const handle = await second.close()
  expect(await all(store.readSpill(handle))).toEqual([2])
  expect(() => store.readSpill(old)).toThrow('was removed')
})

test('a spill that something else has cut or overwritten is DATA_CORRUPT', async () => {
  const writer = store.openSpill('s')
  await writer.append(Array.from({ length: 500 }, (_, i) => `record ${String(i)}`))
  const handle = await writer.close()
  const path = '/tmp/sluice-blocks-test/0'
  const data = await fs.read(path)
  await fs.remove(path)
  await fs.create(path, data.subarray(0, data.length - 3))
  await expect(all(store.readSpill(handle))).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
  await fs.remove(path)
  data[4] = 0xc1
  await fs.create(path, data)
  await expect(all(store.readSpill(handle))).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
})
