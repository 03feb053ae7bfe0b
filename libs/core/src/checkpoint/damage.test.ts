/** A checkpoint of which something is gone or damaged is refused, never taken for a new one or for one with less in it. */
import { expect, test } from 'vitest'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { harness, type Harness } from '../testing/harness.js'
import { scriptedSource } from '../testing/scripted-source.js'

function application(disk: FileSystem, version: number): Harness {
  const app = harness({ localFileSystem: disk, checkpoint: 'ckpt' })
  app.ssc
    .inputStream(scriptedSource([['a', 'b'], ['a'], ['c']]))
    .map((word) => [word, 1] as const)
    .updateStateByKey<number>((values, sum) => values.length + (sum ?? 0), {
      version,
      migrate: (value) => value as number,
    })
    .print()
  return app
}

async function runOne(disk: FileSystem, version: number): Promise<void> {
  const app = application(disk, version)
  await app.ssc.start()
  await app.batch()
  await app.ssc.stop({ graceful: false })
}

/** Two runs; with the second, whose state has another version, a snapshot takes the place of the first one's log. */
async function diskWithSnapshot(): Promise<FileSystem> {
  const disk = memoryFileSystem()
  await runOne(disk, 0)
  await runOne(disk, 1)
  return disk
}

async function snapshotFile(disk: FileSystem, end: string): Promise<string> {
  for await (const { name } of disk.list('ckpt/data-0000000002/snapshots')) {
    if (name.endsWith(end)) return `ckpt/data-0000000002/snapshots/${name}`
  }
  throw new Error(`there is no ${end}`)
}

async function rewrite(disk: FileSystem, path: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const bytes = await disk.read(path)
  await disk.remove(path)
  await disk.create(path, change(bytes))
}

const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 12 ? byte ^ 1 : byte))
const twice = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, bytes])
const nothing = (): Uint8Array => new Uint8Array()

test('E17: a snapshot that is whole is read', async () => {
  const disk = await diskWithSnapshot()
  await expect(runOne(disk, 1)).resolves.toBeUndefined()
})

test.each([
  ['whose base is gone', '.base', undefined],
  ['whose base is empty', '.base', nothing],
  ['whose base is damaged', '.base', flipped],
  ['with a damaged part', '.part', flipped],
  ['with an empty part', '.part', nothing],
  ['with another number of whole frames than were written', '.part', twice],
] as const)('E17: a snapshot %s fails the start', async (_name, end, change) => {
  const disk = await diskWithSnapshot()
  const path = await snapshotFile(disk, end)
  if (change === undefined) await disk.remove(path)
  else await rewrite(disk, path, change)
  await expect(application(disk, 1).ssc.start()).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
})
