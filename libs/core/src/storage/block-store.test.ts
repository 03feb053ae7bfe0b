import { deepStrictEqual } from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { isSluiceError, SluiceError } from '../errors.js'
import type { StorageLevel } from './storage-level.js'
import { BlockStore, type BlockStoreOptions } from './block-store.js'
import type { AppendFile, FileSystem } from './file-system.js'
import { memoryFileSystem } from './memory-file-system.js'
import { nodeFileSystem } from './node-file-system.js'
import { estimateBytes } from './size-estimate.js'

const FOLDER = '/tmp/sluice-blocks-test'
const BLOCK_BYTES = 8_048
let disk: SlowDisk

/** 1,000 small integers: 8,048 bytes in memory. */
function numbers(first: number): number[] {
  return Array.from({ length: 1_000 }, (_, i) => first + i)
}

function storeOf(budgetBlocks: number, options: Partial<BlockStoreOptions> = {}): BlockStore {
  const memoryBudgetBytes = budgetBlocks * BLOCK_BYTES
  return new BlockStore({
    fileSystem: disk.fileSystem,
    directory: '/tmp',
    instance: 'test',
    memoryBudgetBytes,
    ...options,
  })
}

/** A memory disk that takes some turns of the event loop, and whose writes stand still or fail while told so. */
class SlowDisk {
  readonly fileSystem: FileSystem = memoryFileSystem()
  failing = false
  #gate: Promise<void> | undefined
  #open: (() => void) | undefined

  constructor() {
    const read = this.fileSystem.read.bind(this.fileSystem)
    this.fileSystem.read = async (path, range) => {
      await new Promise((resolve) => setImmediate(resolve))
      return read(path, range)
    }
    const openAppend = this.fileSystem.openAppend.bind(this.fileSystem)
    this.fileSystem.openAppend = async (path) => this.#slow(await openAppend(path))
  }

  stop(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve))
  }

  go(): void {
    this.#open?.()
    this.#gate = undefined
  }

  async files(): Promise<string[]> {
    const names: string[] = []
    for await (const entry of this.fileSystem.list(FOLDER)) names.push(entry.name)
    return names.sort()
  }

  #slow(file: AppendFile): AppendFile {
    const append = file.append.bind(file)
    file.append = async (data) => {
      await new Promise((resolve) => setImmediate(resolve))
      await this.#gate
      if (this.failing) throw diskFull()
      await append(data)
    }
    return file
  }
}

function diskFull(): SluiceError {
  return new SluiceError({ code: 'FILE_SYSTEM_FAILED', component: 'test-disk', message: 'no space; free space' })
}

beforeEach(() => {
  disk = new SlowDisk()
})

test('blocks within the budget stay in memory, and put and get need no promise', () => {
  const store = storeOf(2)
  const records = numbers(0)
  expect(store.put('a', records, 'memory')).toBeUndefined()
  expect(store.put('b', numbers(1), 'memory-and-disk')).toBeUndefined()
  expect(store.get('a')).toBe(records)
  expect([store.has('a'), store.has('c'), store.get('c')]).toEqual([true, false, undefined])
  expect(store.stats()).toEqual({ memoryBytes: 2 * BLOCK_BYTES, diskBytes: 0, blocks: 2, spilled: 0 })
})

test('E16: past the budget the least recently used block goes to disk and comes back the same', async () => {
  const store = storeOf(2)
  await store.put('a', numbers(0), 'memory-and-disk')
  await store.put('b', numbers(1), 'memory-and-disk')
  void store.get('a')
  const put = store.put('c', numbers(2), 'memory-and-disk')
  expect(put).toBeInstanceOf(Promise)
  await put
  expect(store.get('a')).toBeInstanceOf(Array)
  expect(store.get('b')).toBeInstanceOf(Promise)
  deepStrictEqual(await store.get('b'), numbers(1))
  expect(store.stats()).toMatchObject({ memoryBytes: 2 * BLOCK_BYTES, blocks: 3, spilled: 1 })
})

test('E16: a block of level memory is dropped if it can be computed again, else it goes to disk', async () => {
  const store = storeOf(1)
  expect(store.put('again', numbers(0), 'memory', { recomputable: true })).toBeUndefined()
  expect(store.put('only', numbers(1), 'memory')).toBeUndefined()
  expect(store.get('again')).toBeUndefined()
  await store.put('next', numbers(2), 'memory')
  deepStrictEqual(await store.get('only'), numbers(1))
  expect(store.stats()).toMatchObject({ blocks: 2, spilled: 1, memoryBytes: BLOCK_BYTES })
})

test('a recomputable block of level memory-and-disk is not dropped', async () => {
  const store = storeOf(0)
  await store.put('a', numbers(0), 'memory-and-disk', { recomputable: true })
  deepStrictEqual(await store.get('a'), numbers(0))
})

test('level disk goes to disk at once, and can be read from memory until it is there', async () => {
  const store = storeOf(2)
  const records = numbers(0)
  const put = store.put('a', records, 'disk')
  expect(store.get('a')).toBe(records)
  await put
  expect(store.stats()).toMatchObject({ memoryBytes: 0, blocks: 1, spilled: 0 })
  expect(store.stats().diskBytes).toBeGreaterThan(1_000)
  deepStrictEqual(await store.get('a'), records)
})

test('a block that is read while it is spilled comes from memory; it is counted until it is written', async () => {
  const store = storeOf(1)
  const records = numbers(0)
  await store.put('a', records, 'memory-and-disk')
  disk.stop()
  const put = store.put('b', numbers(1), 'memory-and-disk')
  await new Promise((resolve) => setImmediate(resolve))
  expect(store.get('a')).toBe(records)
  expect(store.stats().memoryBytes).toBe(2 * BLOCK_BYTES)
  disk.go()
  await put
  expect(store.stats().memoryBytes).toBe(BLOCK_BYTES)
})

test('a block that is removed while it is spilled leaves no file and no bytes', async () => {
  const store = storeOf(1)
  await store.put('a', numbers(0), 'memory-and-disk')
  disk.stop()
  const put = store.put('b', numbers(1), 'memory-and-disk')
  await new Promise((resolve) => setImmediate(resolve))
  const removal = store.remove('a')
  expect(store.stats().memoryBytes).toBe(BLOCK_BYTES)
  disk.go()
  await Promise.all([removal, put])
  expect(store.stats()).toEqual({ memoryBytes: BLOCK_BYTES, diskBytes: 0, blocks: 1, spilled: 0 })
  expect(await disk.files()).toEqual([])
})

test('a block that is replaced while it is spilled is the new one', async () => {
  const store = storeOf(1)
  await store.put('a', numbers(0), 'memory-and-disk')
  disk.stop()
  const first = store.put('b', numbers(1), 'memory-and-disk')
  await new Promise((resolve) => setImmediate(resolve))
  const second = store.put('a', numbers(5), 'memory-and-disk')
  disk.go()
  await Promise.all([first, second])
  deepStrictEqual(await store.get('a'), numbers(5))
  deepStrictEqual(await store.get('b'), numbers(1))
  expect(store.stats()).toMatchObject({ memoryBytes: BLOCK_BYTES, blocks: 2 })
  expect(await disk.files()).toHaveLength(1)
})

test('a read that has begun gives the records though the block is removed, and the file goes after it', async () => {
  const store = storeOf(1)
  await store.put('a', numbers(0), 'disk')
  const read = store.get('a')
  expect(store.get('a')).toBe(read)
  const removal = store.remove('a')
  expect(store.get('a')).toBeUndefined()
  deepStrictEqual(await read, numbers(0))
  await removal
  expect(await disk.files()).toEqual([])
  expect(store.stats()).toEqual({ memoryBytes: 0, diskBytes: 0, blocks: 0, spilled: 0 })
})

test('removePrefix removes these blocks and no others', async () => {
  const store = storeOf(9)
  for (const id of ['1/a', '1/b', '10/a', '2/a']) void store.put(id, numbers(0), 'memory')
  await store.put('1/c', numbers(0), 'disk')
  await store.removePrefix('1/')
  expect(['1/a', '1/b', '1/c', '10/a', '2/a'].map((id) => store.has(id))).toEqual([false, false, false, true, true])
  expect(store.stats()).toMatchObject({ memoryBytes: 2 * BLOCK_BYTES, diskBytes: 0 })
})

test('a disk that fails rejects the put with its error, nothing is lost, and the next put tries again', async () => {
  const store = storeOf(1)
  await store.put('a', numbers(0), 'memory-and-disk')
  disk.failing = true
  const error = await store.put('b', numbers(1), 'memory-and-disk')?.catch((error: unknown) => error)
  expect(String(error)).toContain('no space')
  deepStrictEqual([store.get('a'), store.get('b')], [numbers(0), numbers(1)])
  expect(store.stats()).toEqual({ memoryBytes: 2 * BLOCK_BYTES, diskBytes: 0, blocks: 2, spilled: 0 })
  expect(await disk.files()).toEqual([])
  disk.failing = false
  await store.put('c', numbers(2), 'memory-and-disk')
  expect(store.stats()).toMatchObject({ memoryBytes: BLOCK_BYTES, blocks: 3, spilled: 2 })
})

test('a block of level disk that could not be written is in memory, and goes when the disk has room', async () => {
  const store = storeOf(1)
  disk.failing = true
  await expect(store.put('a', numbers(0), 'disk')).rejects.toThrow('no space')
  deepStrictEqual(store.get('a'), numbers(0))
  expect(store.stats()).toMatchObject({ memoryBytes: BLOCK_BYTES, blocks: 1 })
  disk.failing = false
  await store.put('b', numbers(1), 'memory')
  expect(store.get('a')).toBeInstanceOf(Promise)
  deepStrictEqual(await store.get('a'), numbers(0))
  expect(store.stats()).toMatchObject({ memoryBytes: BLOCK_BYTES, spilled: 1 })
})

test('a block that cannot be encoded stays in memory and others go; when nothing else can go, put says why', async () => {
  const store = storeOf(2)
  const functions = Array.from({ length: 1_000 }, () => () => 1)
  await store.put('odd', functions, 'memory-and-disk')
  await store.put('b', numbers(1), 'memory-and-disk')
  await store.put('c', numbers(2), 'memory-and-disk')
  expect(store.get('odd')).toBe(functions)
  expect(store.get('b')).toBeInstanceOf(Promise)
  const error = await store.put('odd2', [...functions, ...functions], 'memory')?.catch((error: unknown) => error)
  expect(isSluiceError(error, 'UNSERIALIZABLE')).toBe(true)
  expect(String(error)).toMatch(/block odd2? cannot go to disk: .*\[0\] is a function/)
  expect(store.has('odd2')).toBe(true)
  await store.removePrefix('odd')
  await store.put('d', numbers(3), 'memory-and-disk')
  expect(store.stats().memoryBytes).toBeLessThanOrEqual(2 * BLOCK_BYTES)
})

test('a put that finds nothing that could go fails, and the next one after a removal does not', async () => {
  const store = storeOf(0)
  const functions = [() => 1]
  await expect(store.put('odd', functions, 'memory')).rejects.toMatchObject({ code: 'UNSERIALIZABLE' })
  const again = store.put('again', numbers(0), 'memory', { recomputable: true })
  await expect(again).rejects.toMatchObject({ code: 'UNSERIALIZABLE' })
  await store.remove('odd')
  await store.put('b', numbers(1), 'memory')
  expect(store.stats()).toMatchObject({ memoryBytes: 0, blocks: 1, spilled: 1 })
})

test('many puts at once all wait for room, and everything is there', async () => {
  const store = storeOf(2)
  const puts = Array.from({ length: 30 }, (_, i) => store.put(String(i), numbers(i), 'memory-and-disk'))
  for (const put of puts) await put
  expect(store.stats()).toMatchObject({ memoryBytes: 2 * BLOCK_BYTES, blocks: 30, spilled: 28 })
  for (let i = 0; i < 30; i++) deepStrictEqual(await store.get(String(i)), numbers(i))
})

test('close waits for writes, removes its folder, and nothing can be put after it', async () => {
  const store = storeOf(1)
  const put = store.put('a', numbers(0), 'disk')
  await store.close()
  await put
  expect(await disk.fileSystem.stat(FOLDER)).toBeUndefined()
  expect(() => store.put('a', [], 'memory')).toThrow(expect.objectContaining({ code: 'STOPPED' }) as Error)
  expect(() => store.get('a')).toThrow('the block store is closed')
  expect(store.stats()).toEqual({ memoryBytes: 0, diskBytes: 0, blocks: 0, spilled: 0 })
  await store.close()
})

test('no folder is made while everything fits', async () => {
  const store = storeOf(1)
  await store.put('a', numbers(0), 'memory')
  expect(await disk.fileSystem.stat('/tmp')).toBeUndefined()
  await store.close()
})

test('on the local disk: spills, reads back, and leaves the folder that it was given', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-blocks-'))
  const store = storeOf(1, { fileSystem: nodeFileSystem(), directory, instance: undefined })
  for (let i = 0; i < 5; i++) await store.put(String(i), numbers(i), 'memory-and-disk')
  deepStrictEqual(await store.get('0'), numbers(0))
  expect(await readdir(directory)).toHaveLength(1)
  await store.close()
  expect(await readdir(directory)).toEqual([])
  await rm(directory, { recursive: true })
})

type Step = readonly [kind: 'put' | 'get' | 'remove' | 'fail' | 'wait', id: string, level: StorageLevel, size: number]

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom('put', 'put', 'put', 'get', 'get', 'remove', 'fail', 'wait'),
  fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  fc.constantFrom('memory', 'memory-and-disk', 'disk'),
  fc.nat(300),
)

/** Runs the steps without waiting for what they start; checks every answer against a plain map. */
async function runSteps(store: BlockStore, steps: readonly Step[]): Promise<Map<string, unknown[]>> {
  const model = new Map<string, unknown[]>()
  const started: Promise<void>[] = []
  for (const [index, [kind, id, level, size]] of steps.entries()) {
    if (kind === 'put') {
      model.set(id, [index, ...numbers(index).slice(0, size)])
      started.push(Promise.resolve(store.put(id, model.get(id) ?? [], level)).catch(() => undefined))
    } else if (kind === 'get') started.push(checked(store.get(id), model.get(id)))
    else if (kind === 'remove') {
      model.delete(id)
      started.push(Promise.resolve(store.remove(id)))
    } else if (kind === 'fail') disk.failing = !disk.failing
    else await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(started)
  return model
}

async function checked(found: ReturnType<BlockStore['get']>, expected: unknown[] | undefined): Promise<void> {
  deepStrictEqual(await found, expected)
}

function bytesInMemory(store: BlockStore, ids: Iterable<string>): number {
  let sum = 0
  for (const id of ids) {
    const records = store.get(id)
    if (Array.isArray(records)) sum += estimateBytes(records)
  }
  return sum
}

test('E16: whatever overlaps, no block is lost and the accounts are exact', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      disk = new SlowDisk()
      const store = storeOf(0.5)
      const model = await runSteps(store, steps)
      expect(store.stats().blocks).toBe(model.size)
      expect(store.stats().memoryBytes).toBe(bytesInMemory(store, model.keys()))
      for (const [id, records] of model) deepStrictEqual(await store.get(id), records)
      await store.removePrefix('')
      expect(store.stats()).toMatchObject({ memoryBytes: 0, diskBytes: 0, blocks: 0 })
      if (await disk.fileSystem.stat(FOLDER)) expect(await disk.files()).toEqual([])
      await store.close()
    }),
    { numRuns: 300, seed: 3 },
  )
})
