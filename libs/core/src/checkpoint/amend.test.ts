import { expect, test } from 'vitest'
import type { StreamingContext } from '../context/streaming-context.js'
import type { DStream } from '../dstream/dstream.js'
import { isSluiceError } from '../errors.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import type { FileSystem } from '../storage/file-system.js'
import { GONE, systemProcesses, type ProcessTable } from '../storage/process-table.js'
import { Gate, harness, memoryLogger, until } from '../testing/harness.js'
import { LedgerStore } from '../testing/ledger-store.js'
import { mortalFileSystem } from '../testing/mortal-file-system.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { amendCheckpoint } from './amend.js'
import { lookAtCheckpoint } from './look.js'

/** An application on the clock of its world. */
interface App {
  readonly ssc: StreamingContext
  readonly log: readonly string[]
  end(): Promise<unknown>
  /** Lets a second pass, and waits until the batch of its end is completed. */
  batch(): Promise<void>
}

interface World {
  readonly clock: ManualClock
  readonly disk: FileSystem
  readonly store: LedgerStore
}

async function world(): Promise<World> {
  const clock = new ManualClock()
  const disk = memoryFileSystem({ clock })
  await disk.makeDirectory('in')
  return { clock, disk, store: new LedgerStore() }
}

const put = (disk: FileSystem, name: string): Promise<void> => disk.create(`in/${name}`, Buffer.from(`${name}\n`))

type Build = (lines: DStream<string>, ssc: StreamingContext) => void

function launch({ clock, disk }: World, build: Build): App {
  const { ssc, log, end, completed } = harness({ clock, localFileSystem: disk, checkpoint: 'ckpt' })
  build(ssc.textFileStream('in', { name: 'files' }), ssc)
  const batch = async (): Promise<void> => {
    await clock.advance(1_000)
    const time = clock.now()
    await until(() => completed.includes(time), `batch ${String(time)} is completed`)
  }
  return { ssc, log, end, batch }
}

/** Starts, and gives the error with which the application ends: that of a batch that was left to run. */
async function failureOf(app: App): Promise<unknown> {
  const ended = app.end()
  await app.ssc.start()
  return ended
}

const amend = ({ disk, clock }: World, time: number, drop: string): ReturnType<typeof amendCheckpoint> =>
  amendCheckpoint({ fileSystem: disk, folder: 'ckpt', time, drop: [drop], clock, logger: memoryLogger() })

/** Each partition is written alone; when the first of the batch at 1 s is written, the file of the second one goes. */
function losingBetweenPartitions({ disk, store }: World): Build {
  const sink = store.sink('lines')
  return (lines) => {
    lines.to(
      {
        ...sink,
        writePartition: async (id, chunks, context) => {
          await sink.writePartition(id, chunks, context)
          if (id.batchTime === 1_000 && id.partition === 0) await disk.remove('in/b')
        },
      },
      { retry: { retries: 0 } },
    )
  }
}

test('E15: a batch whose file is gone fails by name at each start, and goes on when it is amended: each record once', async () => {
  const here = await world()
  const build = losingBetweenPartitions(here)
  const first = launch(here, build)
  const ended = first.end()
  await first.ssc.start()
  await put(here.disk, 'a')
  await put(here.disk, 'b')
  await here.clock.advance(1_000)
  expect(isSluiceError(await ended, 'FILE_CHANGED')).toBe(true)
  expect(isSluiceError(await failureOf(launch(here, build)), 'FILE_CHANGED')).toBe(true)
  const before = await lookAtCheckpoint(here.disk, 'ckpt')
  const amended = await amend(here, 1_000, 'files')
  expect(amended).toMatchObject({
    app: before.app,
    isCommitted: false,
    outputs: [{ output: expect.stringContaining('ledger'), partitions: 2, isDone: false }],
  })
  const last = launch(here, build)
  await last.ssc.start()
  await put(here.disk, 'c')
  await last.batch()
  await last.ssc.stop()
  // Partition 0 was written under the same digest and stays; partition 1 is there, and empty.
  const records = here.store.contents()['lines'] as [number, number, unknown][]
  expect(records.map(([, , record]) => record)).toEqual(['a', 'c'])
  expect(last.log).toContain('warn: [checkpoint] batch 1000 runs without files: it was amended')
  expect((await lookAtCheckpoint(here.disk, 'ckpt')).image.uncommitted).toEqual([])
})

/** No process lives any more, and the one that asks is another one. */
const nobody: ProcessTable = {
  platform: 'linux',
  self: async () => ({ ...(await systemProcesses().self()), startTime: 'later' }),
  startTimeOf: () => Promise.resolve(GONE),
}

/** A disk with the batch at 1 s half written, its second file gone. */
async function lostBatch(): Promise<World> {
  const here = await world()
  const app = launch(here, losingBetweenPartitions(here))
  const ended = app.end()
  await app.ssc.start()
  await put(here.disk, 'a')
  await put(here.disk, 'b')
  await here.clock.advance(1_000)
  await ended
  return here
}

test('E15: an amendment that dies at any disk operation is there or not, and the next one succeeds', async () => {
  const options = { folder: 'ckpt', time: 1_000, drop: ['files'], logger: memoryLogger(), processes: nobody }
  const whole = await lostBatch()
  const counting = mortalFileSystem(whole.disk)
  await amendCheckpoint({ ...options, fileSystem: counting.fileSystem, clock: whole.clock })
  expect(counting.operations).toBeGreaterThan(10)
  for (let dieAt = 1; dieAt <= counting.operations; dieAt++) {
    for (const when of ['before', 'after'] as const) {
      const { disk, clock } = await lostBatch()
      const death = new Gate()
      const { fileSystem } = mortalFileSystem(disk, { dieAt, when, onDeath: death.open })
      await Promise.race([amendCheckpoint({ ...options, fileSystem, clock }), death.opened])
      const { damage, image } = await lookAtCheckpoint(disk, 'ckpt', nobody)
      expect(damage).toEqual([])
      expect([0, 1]).toContain(image.batch(1_000)?.dropped.length)
      await amendCheckpoint({ ...options, fileSystem: disk, clock })
      const amended = (await lookAtCheckpoint(disk, 'ckpt', nobody)).image.batch(1_000)
      expect(amended, `died ${when} operation ${String(dieAt)}`).toMatchObject({
        dropped: ['files'],
        isCommitted: false,
      })
    }
  }
})

test('E15: only the input that is named counts as empty, in state, too, and after one more death', async () => {
  const here = await world()
  const seen: unknown[] = []
  let failing = true
  const build: Build = (lines, ssc) => {
    ssc
      .inputStream(scriptedSource([['x'], ['y'], ['z']]), { name: 'script' })
      .union(lines)
      .map((line) => [line, 1] as const)
      .updateStateByKey<number>((values, sum) => values.length + (sum ?? 0))
      .foreachRDD(async (rdd) => {
        const state = await rdd.collect()
        if (failing) throw new Error('not yet')
        seen.push(state.map(([key]) => key).sort())
      })
  }
  const first = launch(here, build)
  const ended = first.end()
  await first.ssc.start()
  await put(here.disk, 'a')
  await here.clock.advance(1_000)
  expect(await ended).toMatchObject({ message: 'not yet' })
  await here.disk.remove('in/a')
  await amend(here, 1_000, 'files')
  // The batch starts, and the process ends once more before it is committed.
  expect(await failureOf(launch(here, build))).toMatchObject({ message: 'not yet' })
  failing = false
  const last = launch(here, build)
  await last.ssc.start()
  await last.batch()
  await last.ssc.stop()
  expect(seen[0]).toEqual(['x'])
  expect(seen.at(-1)).not.toContain('a')
})

test('E15: a window that reads a committed batch lacks what was dropped from it', async () => {
  const here = await world()
  const seen: unknown[] = []
  const build: Build = (lines) => {
    lines.window(seconds(3)).foreachRDD(async (rdd) => void seen.push((await rdd.collect()).sort()))
  }
  const first = launch(here, build)
  await first.ssc.start()
  await put(here.disk, 'a')
  await first.batch()
  await put(here.disk, 'b')
  await first.batch()
  await first.ssc.stop({ graceful: false })
  await here.disk.remove('in/a')
  const second = launch(here, build)
  const ended = second.end()
  await second.ssc.start()
  await here.clock.advance(1_000)
  expect(isSluiceError(await ended, 'FILE_CHANGED')).toBe(true)
  expect(await amend(here, 1_000, 'files')).toMatchObject({ isCommitted: true })
  const last = launch(here, build)
  await last.ssc.start()
  await last.batch()
  await last.ssc.stop({ graceful: false })
  expect(seen).toEqual([['a'], ['a', 'b'], ['b'], ['b']])
})

test('an inverse window that holds what a committed batch gave does not lose it', async () => {
  const here = await world()
  const build: Build = (lines) => {
    lines
      .map((line) => [line, 1 as number] as const)
      .reduceByKeyAndWindow((a, b) => a + b, { window: seconds(3), slide: seconds(1), inverse: (a, b) => a - b })
      .print()
  }
  const first = launch(here, build)
  await first.ssc.start()
  await put(here.disk, 'a')
  await first.batch()
  await first.ssc.stop({ graceful: false })
  await expect(amend(here, 1_000, 'files')).rejects.toThrowError(/could never subtract it again; bring the input back/)
})

test('E7: an owner that lives is not amended', async () => {
  const here = await world()
  const app = launch(here, (lines) => {
    lines.print()
  })
  await app.ssc.start()
  await app.batch()
  await expect(amend(here, 1_000, 'files')).rejects.toMatchObject({ code: 'CHECKPOINT_OWNED' })
  await app.batch()
  await app.ssc.stop()
})

test('what is not in the log is refused, and the checkpoint is free again', async () => {
  const here = await lostBatch()
  await expect(amend(here, 5_000, 'files')).rejects.toThrowError(
    /no planned batch 5000; of those not committed there are 1000/,
  )
  await expect(amend(here, 1_000, 'other')).rejects.toThrowError(/batch 1000 has no input other; it has files/)
  const { owner, image } = await lookAtCheckpoint(here.disk, 'ckpt')
  expect(owner).toMatchObject({ epoch: 3, state: 'released' })
  expect(image.batch(1_000)?.dropped).toEqual([])
})
