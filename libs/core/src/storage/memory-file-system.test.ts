import { expect, test } from 'vitest'
import { ManualClock } from '../time/manual-clock.js'
import { memoryFileSystem } from './memory-file-system.js'

test('modifiedMs comes from the clock and changes with the contents only', async () => {
  const clock = new ManualClock(1_000)
  const fs = memoryFileSystem({ clock })
  const file = await fs.openAppend('log')
  await clock.advance(500)
  await file.append(Buffer.from('one'))
  await clock.advance(500)
  await file.sync()
  await fs.read('log')
  expect(await fs.stat('/log')).toEqual({ kind: 'file', sizeBytes: 3, modifiedMs: 1_500 })
})

test('paths are relative to the root, with dots and double slashes resolved', async () => {
  const fs = memoryFileSystem()
  await fs.makeDirectory('a/b')
  await fs.create('./a//b/../c', Buffer.from('text'))
  expect(String(await fs.read('/a/c'))).toBe('text')
})

test('a removed file can still be appended to, unseen', async () => {
  const fs = memoryFileSystem()
  const file = await fs.openAppend('/log')
  await fs.remove('/log')
  await file.append(Buffer.from('one'))
  expect(file.sizeBytes).toBe(3)
  expect(await fs.stat('/log')).toBeUndefined()
})
