import { expect, test } from 'vitest'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import type { FileSystem } from '../storage/file-system.js'
import type { EntryLog, LogEntry } from './entry-log.js'
import { inspectSegmentLog, openSegmentLog } from './segment-log.js'

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const folder = '/log'

interface Opened {
  readonly log: EntryLog
  readonly entries: readonly LogEntry[]
  readonly texts: readonly string[]
}

async function open(fileSystem: FileSystem, epoch: number, segmentBytes?: number): Promise<Opened> {
  const entries: LogEntry[] = []
  const log = await openSegmentLog({ fileSystem, folder, epoch, logger: silent, segmentBytes }, (entry) => {
    entries.push(entry)
  })
  return { log, entries, texts: entries.map(({ payload }) => Buffer.from(payload).toString()) }
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

test('what was appended is read back in order by the next owner, who goes on above it', async () => {
  const disk = memoryFileSystem()
  const first = await open(disk, 1)
  expect(first.entries).toEqual([])
  expect(await Promise.all(['a', 'b', ''].map((text) => first.log.append(7, bytes(text))))).toEqual([1, 2, 3])
  await first.log.close()

  const second = await open(disk, 2)
  expect(second.texts).toEqual(['a', 'b', ''])
  expect(second.entries.map(({ sequence, type, epoch }) => [sequence, type, epoch])).toEqual([
    [1, 7, 1],
    [2, 7, 1],
    [3, 7, 1],
  ])
  expect(await second.log.append(8, bytes('c'))).toBe(4)
  await second.log.close()
  expect((await open(disk, 3)).texts).toEqual(['a', 'b', '', 'c'])
})

test('segments are followed by new ones, trimmed from the old end, and what is left is sound', async () => {
  const disk = memoryFileSystem()
  const { log } = await open(disk, 1, 200)
  for (let i = 1; i <= 20; i++) expect(await log.append(1, bytes(`entry ${String(i)}`))).toBe(i)
  await log.trim(11)
  expect(await log.append(1, bytes('entry 21'))).toBe(21)
  await log.close()
  const report = await inspectSegmentLog({ fileSystem: disk, folder })
  expect(report).toMatchObject({ lastSequence: 21, damage: undefined, tornBytes: 0 })
  const { texts } = await open(disk, 2)
  expect(texts).toContain('entry 11')
  expect(texts).not.toContain('entry 1')
  expect(texts.at(-1)).toBe('entry 21')
})
