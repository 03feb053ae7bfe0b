import { mkdir, mkdtemp, open, readdir, rm, symlink, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { FileSystem } from './file-system.js'
import { nodeFileSystem } from './node-file-system.js'

let root: string
let fs: FileSystem
let handles: FileHandle

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-node-fs-'))
  fs = nodeFileSystem()
  const handle = await open(join(root, 'probe'), 'w')
  handles = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  await rm(join(root, 'probe'))
})

afterEach(async () => {
  vi.restoreAllMocks()
  await rm(root, { recursive: true, force: true })
})

function failure(errno: string): Error {
  return Object.assign(new Error(errno), { code: errno })
}

async function listed(path: string): Promise<string[]> {
  const names: string[] = []
  for await (const entry of fs.list(path)) names.push(`${entry.kind} ${entry.name}`)
  return names.sort()
}

test('E17: a failed sync poisons the file, and no later sync or append succeeds', async () => {
  const file = await fs.openAppend(join(root, 'log'))
  await file.append(Buffer.from('one'))
  vi.spyOn(handles, 'datasync').mockRejectedValueOnce(failure('EIO'))
  const first = await file.sync().catch((error: unknown) => error)
  expect(isSluiceError(first, 'FILE_SYSTEM_FAILED')).toBe(true)
  expect(String(first)).toContain('EIO')
  await expect(file.sync()).rejects.toBe(first)
  await expect(file.append(Buffer.from('two'))).rejects.toBe(first)
  await file.close()
  expect(String(await fs.read(join(root, 'log')))).toBe('one')
})

test('E17: a failed append poisons the file, and says that space is missing', async () => {
  const file = await fs.openAppend(join(root, 'log'))
  vi.spyOn(handles, 'write').mockRejectedValueOnce(failure('ENOSPC'))
  const first = await file.append(Buffer.from('one')).catch((error: unknown) => error)
  expect(String(first)).toMatch(/cannot append to .*log \(ENOSPC\); free space/)
  expect(isSluiceError(first) && first.retryable).toBe(false)
  await expect(file.append(Buffer.from('two'))).rejects.toBe(first)
  await expect(file.sync()).rejects.toBe(first)
  await file.close()
})

test('short writes are continued until all is written', async () => {
  const file = await fs.openAppend(join(root, 'log'))
  const write = Reflect.get(handles, 'write') as (data: Uint8Array, offset: number, length: number) => Promise<unknown>
  vi.spyOn(handles, 'write').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    const [data, offset, length] = args as [Uint8Array, number, number]
    return Reflect.apply(write, this, [data, offset, Math.min(length, 3)]) as never
  } as never)
  await file.append(Buffer.from('0123456789'))
  await file.close()
  expect(file.sizeBytes).toBe(10)
  expect(String(await fs.read(join(root, 'log')))).toBe('0123456789')
})

test('short reads are continued: a range has all its bytes, and ends early only with the file', async () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i))
  await fs.create(join(root, 'file'), bytes)
  const read = Reflect.get(handles, 'read') as (...args: unknown[]) => Promise<unknown>
  const spy = vi.spyOn(handles, 'read').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    const [buffer, offset, length, position] = args as [Uint8Array, number, number, number]
    return Reflect.apply(read, this, [buffer, offset, Math.min(length, 7), position]) as never
  } as never)
  expect(Buffer.from(await fs.read(join(root, 'file')))).toEqual(bytes)
  expect(Buffer.from(await fs.read(join(root, 'file'), { start: 10, length: 50 }))).toEqual(bytes.subarray(10, 60))
  expect(Buffer.from(await fs.read(join(root, 'file'), { start: 90, length: 50 }))).toEqual(bytes.subarray(90))
  expect(spy.mock.calls.length).toBeGreaterThan(20)
})

test.each(['write', 'sync'] as const)(
  'a create whose %s fails leaves no file, not even a temporary one',
  async (what) => {
    vi.spyOn(handles, what).mockRejectedValueOnce(failure('ENOSPC'))
    const error = await fs.create(join(root, 'a'), Buffer.from('data')).catch((error: unknown) => error)
    expect(isSluiceError(error, 'FILE_SYSTEM_FAILED') && error.retryable).toBe(true)
    expect(await readdir(root)).toEqual([])
  },
)

test('a create that finds its name taken leaves no temporary file', async () => {
  await fs.create(join(root, 'a'), Buffer.from('first'))
  await expect(fs.create(join(root, 'a'), Buffer.from('second'))).rejects.toMatchObject({ code: 'FILE_EXISTS' })
  expect(await readdir(root)).toEqual(['a'])
})

test('the temporary file of a crashed create is not listed and goes with its folder', async () => {
  await writeFile(join(root, `.sluice-1-${'0'.repeat(36)}.tmp`), 'half')
  await writeFile(join(root, '.hidden'), 'of the user')
  expect(await listed(root)).toEqual(['file .hidden'])
  await fs.removeTree(root)
  expect(await fs.stat(root)).toBeUndefined()
})

test('list follows symbolic links and leaves out those to nothing', async () => {
  await mkdir(join(root, 'folder'))
  await writeFile(join(root, 'file'), '')
  await symlink(join(root, 'folder'), join(root, 'to-folder'))
  await symlink(join(root, 'file'), join(root, 'to-file'))
  await symlink(join(root, 'none'), join(root, 'to-nothing'))
  expect(await listed(root)).toEqual(['directory folder', 'directory to-folder', 'file file', 'file to-file'])
})

test('an error of the disk keeps its cause, path and errno', async () => {
  const path = join(root, 'x'.repeat(300))
  const error = await fs.create(path, Buffer.from('data')).catch((error: unknown) => error)
  expect(isSluiceError(error, 'FILE_SYSTEM_FAILED')).toBe(true)
  expect(String(error)).toContain(`cannot create ${path} (ENAMETOOLONG); use a shorter name`)
  expect((error as Error).cause).toMatchObject({ code: 'ENAMETOOLONG' })
})
