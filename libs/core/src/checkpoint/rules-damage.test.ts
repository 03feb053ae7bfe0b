/** E17 with the whole application: what a damaged or failing disk does to it. */
import { expect, test } from 'vitest'
import type { FileSystem } from '../storage/file-system.js'
import { crashableFileSystem, type DiskCall } from '../testing/crashable-file-system.js'
import { until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'

const script = Array.from({ length: 20 }, (_, i) => [[`k${String(i % 3)}`, i] as const])

function launch(runs: Restarts, out: unknown[] = [], version = 0): Run {
  const run = runs.launch({ catchUp: 'each' })
  run.ssc
    .inputStream(scriptedSource(script))
    .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0), {
      partitions: 1,
      version,
      migrate: (value) => value as number,
    })
    .foreachRDD(async (rdd) => {
      out.push(await rdd.collect())
    })
  return run
}

async function filesBelow(disk: FileSystem, folder: string): Promise<string[]> {
  const paths: string[] = []
  for await (const { kind, name } of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') paths.push(...(await filesBelow(disk, path)))
    else paths.push(path)
  }
  return paths.sort()
}

/** Replaces a file by one that `change` makes of it. */
async function rewrite(disk: FileSystem, path: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const bytes = change(new Uint8Array(await disk.read(path)))
  await disk.remove(path)
  await disk.create(path, bytes)
}

const flipped =
  (at: number) =>
  (bytes: Uint8Array): Uint8Array => {
    const copy = new Uint8Array(bytes)
    copy[at] = (copy[at] as number) ^ 4
    return copy
  }

/** A checkpoint of some batches, with a snapshot, as a change of version makes one at once. */
async function written(): Promise<Restarts> {
  const runs = new Restarts()
  for (const version of [0, 1]) {
    const run = launch(runs, [], version)
    await run.ssc.start()
    await run.batches(4)
    await run.ssc.stop({ graceful: false })
  }
  return runs
}

test('E17: a flipped bit in a log that entries followed ends the start, with file and offset', async () => {
  const runs = await written()
  const [log] = (await filesBelow(runs.disk, 'ckpt')).filter((path) => /batches.*[.]log$/.test(path))
  await rewrite(runs.disk, log as string, flipped(200))
  await expect(launch(runs, [], 1).ssc.start()).rejects.toMatchObject({
    code: 'DATA_CORRUPT',
    message: expect.stringMatching(/batches\/\S+[.]log is damaged at byte \d+/) as string,
  })
})

test('E17: a flipped bit anywhere in a snapshot ends the start, with file and offset', async () => {
  const runs = await written()
  const kinds = ['.part', '.base']
  for (const kind of kinds) {
    // Each start renames the folder to its epoch.
    const file = async (): Promise<string> => {
      const [path] = (await filesBelow(runs.disk, 'ckpt')).filter((path) => path.endsWith(kind))
      return path as string
    }
    const { sizeBytes } = (await runs.disk.stat(await file())) as { sizeBytes: number }
    for (let at = 0; at < sizeBytes; at += 7) {
      await rewrite(runs.disk, await file(), flipped(at))
      await expect(launch(runs, [], 1).ssc.start()).rejects.toMatchObject({
        code: 'DATA_CORRUPT',
        message: expect.stringMatching(/snapshot \S+ is damaged at byte \d+/) as string,
      })
      await rewrite(runs.disk, await file(), flipped(at))
    }
  }
  const run = launch(runs, [], 1)
  await run.ssc.start()
  await run.ssc.stop({ graceful: false })
})

test('E17: a torn tail is cut at any byte, and the application goes on from the last whole commit', async () => {
  const whole: unknown[] = []
  const undisturbed = launch(new Restarts(), whole)
  await undisturbed.ssc.start()
  await undisturbed.batches(6)
  await undisturbed.ssc.stop({ graceful: false })
  for (const torn of [1, 20, 60, 150, 260]) {
    const runs = new Restarts()
    const first = launch(runs)
    await first.ssc.start()
    await first.batches(3)
    first.kill()
    const logs = (await filesBelow(runs.disk, 'ckpt')).filter((path) => /batches.*[.]log$/.test(path))
    // Only what no later frame says to be synced can be torn: the last group.
    const last = logs.at(-1) as string
    const out: unknown[] = []
    await rewrite(runs.disk, last, (bytes) => bytes.subarray(0, bytes.byteLength - torn))
    const second = launch(runs, out)
    await second.ssc.start()
    while (second.completed.at(-1) !== 6_000) {
      await second.clock.advance(1_000)
      await until(() => second.completed.at(-1) === Math.max(second.clock.now(), 1_000))
    }
    await second.ssc.stop({ graceful: false })
    expect(out.slice(-3), `${String(torn)} bytes`).toEqual(whole.slice(-3))
  }
})

test.each([
  ['EIO', 'sync', 'batches'],
  ['ENOSPC', 'append', 'batches'],
] as const)(
  'E17: %s at a %s in the middle of a run ends the application with that error',
  async (errno, kind, folder) => {
    let isBroken = false
    const fail = (call: DiskCall): string | undefined =>
      isBroken && call.kind === kind && call.path.includes(folder) ? errno : undefined
    const disk = crashableFileSystem({ fail })
    const runs = new Restarts(disk)
    const out: unknown[] = []
    const run = launch(runs, out)
    const end = run.end()
    await run.ssc.start()
    await run.batches(2)
    isBroken = true
    await run.clock.advance(1_000)
    expect(await end).toMatchObject({
      code: 'FILE_SYSTEM_FAILED',
      cause: expect.objectContaining({ code: errno }) as unknown,
    })
    expect(run.completed).toEqual([1_000, 2_000])
    isBroken = false
    const again: unknown[] = []
    const second = launch(runs, again)
    await second.ssc.start()
    await second.clock.advance(1_000)
    await until(() => second.completed.at(-1) === 4_000)
    await second.ssc.stop({ graceful: false })
    const whole: unknown[] = []
    const undisturbed = launch(new Restarts(), whole)
    await undisturbed.ssc.start()
    await undisturbed.batches(4)
    await undisturbed.ssc.stop({ graceful: false })
    expect(again.at(-1)).toEqual(whole[3])
  },
)

test('a log that cannot be closed leaves no other file open, and the ownership is given back', async () => {
  const memory = crashableFileSystem()
  const open = new Set<string>()
  const disk: FileSystem = {
    ...memory,
    openAppend: async (path) => {
      const file = await memory.openAppend(path)
      open.add(path)
      const close = async (): Promise<void> => {
        open.delete(path)
        await file.close()
        if (path.includes('/batches/')) throw new Error(`cannot close ${path}`)
      }
      return {
        get sizeBytes() {
          return file.sizeBytes
        },
        append: (data) => file.append(data),
        sync: () => file.sync(),
        close,
      }
    },
  }
  const runs = new Restarts(disk)
  const first = launch(runs)
  await first.ssc.start()
  await first.batch()
  await first.ssc.stop({ graceful: false }).catch(() => undefined)
  expect(open).toEqual(new Set())
  const second = runs.launch({ takeOver: false })
  second.ssc
    .inputStream(scriptedSource(script))
    .updateStateByKey<number>(() => 1, { partitions: 1 })
    .print()
  await second.ssc.start()
  await second.ssc.stop({ graceful: false }).catch(() => undefined)
})
