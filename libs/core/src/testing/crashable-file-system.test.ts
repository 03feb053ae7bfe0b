import { expect, test } from 'vitest'
import type { FileSystem } from '../storage/file-system.js'
import { crashableFileSystem, type CrashableFileSystem, type CrashableOptions } from './crashable-file-system.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const read = async (disk: FileSystem, path: string): Promise<string> => Buffer.from(await disk.read(path)).toString()

/** A disk whose folder `/d` is durable. */
async function diskWithFolder(options?: CrashableOptions): Promise<CrashableFileSystem> {
  const disk = crashableFileSystem(options)
  await disk.makeDirectory('/d')
  await disk.syncDirectory('/')
  return disk
}

test('a name survives only when its folder was synced, or by luck', async () => {
  const disk = await diskWithFolder()
  await disk.create('/d/synced', bytes('a'))
  await disk.syncDirectory('/d')
  await disk.create('/d/new', bytes('b'))
  await disk.remove('/d/synced')
  const again = disk.crash()
  expect(await read(again, '/d/synced')).toBe('a')
  expect(await again.stat('/d/new')).toBeUndefined()

  await again.create('/d/new', bytes('c'))
  const lucky = again.crash({ name: (path) => path === '/d/new' })
  expect(await read(lucky, '/d/new')).toBe('c')
})

test('a renamed folder is where it was, until its parent is synced', async () => {
  const disk = await diskWithFolder()
  await disk.rename('/d', '/e')
  expect((await disk.crash().stat('/d'))?.kind).toBe('directory')
  const other = await diskWithFolder()
  await other.rename('/d', '/e')
  await other.syncDirectory('/')
  const crashed = other.crash()
  expect(await crashed.stat('/d')).toBeUndefined()
  expect((await crashed.stat('/e'))?.kind).toBe('directory')
})

test('a renamed name is never lost: the folder has the old one or the new one', async () => {
  for (const kept of [true, false]) {
    const disk = await diskWithFolder()
    await disk.create('/d/old', bytes('a'))
    await disk.syncDirectory('/d')
    await disk.rename('/d/old', '/d/new')
    // Luck would keep the removal and lose the addition, or the other way round.
    const crashed = disk.crash({ name: (path) => path.endsWith('new') === kept })
    expect([await crashed.stat('/d/old'), await crashed.stat('/d/new')].map((stat) => stat?.kind)).toEqual(
      kept ? [undefined, 'file'] : ['file', undefined],
    )
  }
})

test('a disk writes in any order: what was not synced may have holes, and a disk may rot', async () => {
  const disk = await diskWithFolder()
  const file = await disk.openAppend('/d/f')
  await disk.syncDirectory('/d')
  await file.append(bytes('ab'))
  await file.sync()
  await file.append(bytes('cdef'))
  const crashed = disk.crash({ tail: (_path, unsynced) => unsynced.fill(46, 0, 2) })
  expect(await read(crashed, '/d/f')).toBe('ab..ef')
  crashed.rot('/d/f', (all) => {
    all[0] = 120
  })
  expect(await read(crashed.crash(), '/d/f')).toBe('xb..ef')
})

test('appended bytes survive up to the last sync, and as many more as luck has it', async () => {
  const disk = await diskWithFolder()
  const file = await disk.openAppend('/d/f')
  await disk.syncDirectory('/d')
  await file.append(bytes('abc'))
  await file.sync()
  await file.append(bytes('def'))
  expect(await read(disk, '/d/f')).toBe('abcdef')
  const crashed = disk.crash({ bytes: (_path, unsynced) => unsynced - 1 })
  expect(await read(crashed, '/d/f')).toBe('abcde')
  // What a restart finds is durable.
  expect(await read(crashed.crash(), '/d/f')).toBe('abcde')
})

test('a file created without sync may be empty after a crash', async () => {
  const disk = await diskWithFolder()
  await disk.create('/d/f', bytes('abc'), { sync: false })
  await disk.syncDirectory('/d')
  expect(await read(disk.crash(), '/d/f')).toBe('')
})

test('E17: what a failed sync should have saved is never saved, though later syncs succeed', async () => {
  let failing = false
  const disk = await diskWithFolder({ fail: ({ kind }) => (failing && kind === 'sync' ? 'EIO' : undefined) })
  const file = await disk.openAppend('/d/f')
  await disk.syncDirectory('/d')
  await file.append(bytes('abc'))
  await file.sync()
  await file.append(bytes('def'))
  failing = true
  await expect(file.sync()).rejects.toMatchObject({ message: expect.stringMatching(/EIO/) })
  failing = false
  const reopened = await disk.openAppend('/d/f')
  await reopened.sync()
  expect(await read(disk, '/d/f')).toBe('abcdef')
  expect(await read(disk.crash({ bytes: (_path, unsynced) => unsynced }), '/d/f')).toBe('abc')
})

test('a failed append has written half, and a disk without power serves nothing', async () => {
  let failing = true
  const disk = await diskWithFolder({ fail: ({ kind }) => (failing && kind === 'append' ? 'ENOSPC' : undefined) })
  const file = await disk.openAppend('/d/f')
  await expect(file.append(bytes('abcd'))).rejects.toMatchObject({ code: 'FILE_SYSTEM_FAILED', retryable: true })
  failing = false
  expect(await read(disk, '/d/f')).toBe('ab')
  disk.crash()
  await expect(disk.read('/d/f')).rejects.toMatchObject({ code: 'FILE_SYSTEM_FAILED' })
  await expect(file.append(bytes('x'))).rejects.toMatchObject({ code: 'FILE_SYSTEM_FAILED' })
  await expect(file.sync()).rejects.toMatchObject({ code: 'FILE_SYSTEM_FAILED' })
})
