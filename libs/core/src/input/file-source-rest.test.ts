import { expect, test } from 'vitest'
import { firstStart } from '../testing/harness.js'
import type { DirectoryEntry, FileStat, FileSystem } from '../storage/file-system.js'
import { systemClock } from '../time/system-clock.js'
import { fileSource } from './file-source.js'

const LISTING_MS = 4_000
const TICK_MS = 1_000

test('where listing takes longer than a tick, overdue ticks do not list again: batches do not fall behind, and no file is lost', async () => {
  let nowMs = 0
  let files = 0
  let listings = 0
  const clock = { ...systemClock, now: () => nowMs, monotonic: () => nowMs }
  const folder: Partial<FileSystem> = {
    async *list(): AsyncGenerator<DirectoryEntry> {
      listings++
      nowMs += LISTING_MS
      await Promise.resolve()
      for (let i = 0; i < files; i++) yield { name: `file-${String(i)}`, kind: 'file' }
    },
    stat: (path): Promise<FileStat> =>
      Promise.resolve({ kind: path === '/in' ? 'directory' : 'file', sizeBytes: 1, modifiedMs: 0 }),
  }
  const source = fileSource<string>({
    fileSystem: folder as FileSystem,
    directory: '/in',
    options: { newFilesOnly: false },
    read: () => {
      throw new Error('nothing is read here')
    },
  })
  await source.start?.(firstStart(clock))
  let mostLateMs = 0
  let planned = 0
  for (let time = TICK_MS; time <= 100 * TICK_MS; time += TICK_MS) {
    nowMs = Math.max(nowMs, time)
    files++
    mostLateMs = Math.max(mostLateMs, nowMs - time)
    planned += source.partitions((await source.plan(time as never))?.data as never).length
  }
  expect(mostLateMs).toBeLessThan(2 * LISTING_MS)
  expect(listings).toBeGreaterThan(10)
  expect(listings).toBeLessThan(15)
  nowMs += 2 * LISTING_MS
  planned += source.partitions((await source.plan(nowMs as never))?.data as never).length
  expect(planned).toBe(files)
})
