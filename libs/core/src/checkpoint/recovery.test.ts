import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { StreamingContextOptions } from '../context/streaming-context.js'
import type { DStream } from '../dstream/dstream.js'
import type { Receiver, ReceiverContext } from '../input/receiver.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { systemProcesses } from '../storage/process-table.js'
import { harness, until, type Harness } from '../testing/harness.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { ManualClock } from '../time/manual-clock.js'
import { takeOwnership } from './ownership.js'

type Build = (numbers: DStream<number>, app: Harness, out: unknown[]) => void

/** An application over a source that can be read again, on a disk that outlives it. */
function application(
  disk: FileSystem,
  script: readonly (readonly number[])[],
  build: Build,
  options: Partial<StreamingContextOptions> = {},
): { readonly app: Harness; readonly out: unknown[] } {
  const app = harness({ localFileSystem: disk, checkpoint: 'ckpt', takeOver: true, ...options })
  const out: unknown[] = []
  const numbers = app.ssc.inputStream(scriptedSource(script))
  build(numbers, app, out)
  return { app, out }
}

const totals: Build = (numbers, _app, out) => {
  numbers
    .map((n) => [n % 3, n] as const)
    .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0))
    .foreachRDD(async (rdd, time) => {
      out.push([time, await rdd.collect()])
    })
}

const script = [[1, 2, 3], [4, 5, 6], [], [7], [8, 9], [10, 11]]

async function whole(build: Build): Promise<unknown[]> {
  const { app, out } = application(memoryFileSystem(), script, build)
  await app.ssc.start()
  await app.batches(script.length)
  await app.ssc.stop({ graceful: false })
  return out
}

test('a second run goes on where the first was stopped: state, times and source', async () => {
  const expected = await whole(totals)
  for (let first = 0; first <= script.length; first++) {
    const disk = memoryFileSystem()
    const one = application(disk, script, totals)
    await one.app.ssc.start()
    await one.app.batches(first)
    await one.app.ssc.stop({ graceful: false })
    const two = application(disk, script, totals, { clock: one.app.clock })
    await two.app.ssc.start()
    for (let i = first; i < script.length; i++) {
      await one.app.clock.advance(1_000)
      await until(() => two.out.length > i - first)
    }
    await two.app.ssc.stop({ graceful: false })
    expect([...one.out, ...two.out]).toEqual(expected)
  }
})

/** Another owner comes, who takes the folder from a living one. */
async function takeOver(fileSystem: FileSystem, folder: string): Promise<void> {
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
  const own = { fileSystem, folder, appName: 'next', clock: new ManualClock(), logger, processes: systemProcesses() }
  const next = await takeOwnership({ ...own, takeOver: true })
  onTestFinished(() => next.release())
}

test('E7: an owner that was replaced while it was paused writes nothing of the batches that it plans when it wakes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-replaced-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const disk = nodeFileSystem()
  const { app, out } = application(disk, script, totals, { checkpoint: folder })
  await app.ssc.start()
  await app.batches(2)
  await takeOver(disk, folder)
  const ended = expect(app.ssc.awaitTermination()).rejects.toMatchObject({ code: 'FENCED' })
  // Its file is still open: the plan and the start of the batch are in a log that nobody reads.
  await app.clock.advance(1_000)
  await ended
  expect(out).toHaveLength(2)
})

test('E7, E14: a record that an owner stores after it was replaced is never called safe', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-replaced-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const disk = nodeFileSystem()
  const app = harness({ localFileSystem: disk, checkpoint: folder })
  let context: ReceiverContext<string> | undefined
  const receiver: Receiver<string> = {
    '~sluice': 'receiver/1',
    onStart: (own) => void (context = own),
    onStop: () => undefined,
  }
  app.ssc.receiverStream(receiver, { reliable: true }).foreachRDD(() => undefined)
  await app.ssc.start()
  await until(() => context !== undefined)
  await context?.store('safe')
  await takeOver(disk, folder)
  await expect(context?.store('late')).rejects.toMatchObject({ code: 'FENCED' })
  await expect(context?.storeAll(['later'], { position: { source: 1n } })).rejects.toMatchObject({ code: 'FENCED' })
  await app.ssc.stop({ graceful: false }).catch(() => undefined)
})
