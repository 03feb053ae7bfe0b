/**
 * A process that dies at each of its disk operations in turn, before it or after it, and another that goes on: what comes out
 * must be what one process that never died gives.
 */
import { describe, expect, test } from 'vitest'
import { StreamingContext, type StreamingContextOptions } from '../context/streaming-context.js'
import type { DStream } from '../dstream/dstream.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import {
  crashableFileSystem,
  type CrashableFileSystem,
  type CrashableOptions,
  type Survival,
} from '../testing/crashable-file-system.js'
import { Gate, memoryLogger, until } from '../testing/harness.js'
import { LedgerStore } from '../testing/ledger-store.js'
import { mortalFileSystem } from '../testing/mortal-file-system.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'

type Pairs = DStream<readonly [string, number]>
type Build = (pairs: Pairs, store: LedgerStore, ssc: StreamingContext) => void

const script = [
  [
    ['a', 1],
    ['b', 2],
  ],
  [
    ['a', 3],
    ['c', 4],
  ],
  [],
  [
    ['b', 5],
    ['b', 6],
    ['d', 7],
  ],
  [['a', 8]],
] as const satisfies readonly (readonly (readonly [string, number])[])[]

const add = (a: number, b: number): number => a + b

const scenarios: Record<string, Build> = {
  'a map': (pairs, store) => {
    pairs.map(([key, n]) => `${key}${String(n)}`).to(store.sink('records'))
  },
  updateStateByKey: (pairs, store) => {
    pairs
      .updateStateByKey<number>((values, sum) => values.reduce(add, sum ?? 0), { partitions: 2 })
      .to(store.sink('sums'))
  },
  'mapWithState with time-outs': (pairs, store) => {
    const mapped = pairs.mapWithState<number, string>(
      (key, n, state) => {
        if (state.isTimingOut()) return `${key} leaves with ${String(state.get())}`
        state.update((state.getOption() ?? 0) + (n ?? 0))
        return `${key} ${String(state.get())}`
      },
      { partitions: 2, timeout: seconds(2) },
    )
    mapped.to(store.sink('mapped'))
    mapped.stateSnapshots().to(store.sink('snapshots'))
  },
  'an inverse window': (pairs, store) => {
    pairs
      .reduceByKeyAndWindow(add, { window: seconds(3), slide: seconds(1), inverse: (a, b) => a - b, partitions: 2 })
      .to(store.sink('window'))
  },
  'a window over state': (pairs, store) => {
    pairs
      .updateStateByKey<number>((values, sum) => values.reduce(add, sum ?? 0), { partitions: 1 })
      .window(seconds(3))
      .to(store.sink('window'))
  },
  'a window over what can be read again': (pairs, store) => {
    pairs
      .map(([key, n]) => `${key}${String(n)}`)
      .window(seconds(2))
      .to(store.sink('window'))
  },
  'two outputs and side data': (pairs, store) => {
    let reads = 0
    pairs.to(store.sink('one'))
    pairs
      .transform((rdd, _time, side) => rdd.map(([key, n]) => [key, n, side] as const), { sideData: () => ++reads > 0 })
      .to(store.sink('two'))
  },
  'asynchronous calls made durable': (pairs, store) => {
    let calls = 0
    const answered = pairs.mapAsync(([key, n]) => Promise.resolve([key, n + ++calls * 0] as const))
    answered.checkpoint()
    answered.to(store.sink('answers'))
  },
}

interface Process {
  readonly ssc: StreamingContext
  readonly ended: Promise<unknown>
}

function launch(build: Build, disk: FileSystem, clock: ManualClock, store: LedgerStore): Process {
  const options: StreamingContextOptions = {
    batchInterval: seconds(1),
    checkpoint: 'ckpt',
    takeOver: true,
    // Each tick has its batch, so that times do not depend on when the process died.
    catchUp: 'each',
    localFileSystem: disk,
    clock,
    logger: memoryLogger(),
    signals: false,
  }
  const ssc = new StreamingContext(options)
  build(ssc.inputStream(scriptedSource<readonly [string, number]>(script)), store, ssc)
  const ended = ssc.awaitTermination().then(
    () => undefined,
    (error: unknown) => error,
  )
  return { ssc, ended }
}

/** Runs until the whole script is committed, or the process dies. */
async function run(
  { ssc, ended }: Process,
  clock: ManualClock,
  store: LedgerStore,
  death: Promise<void> = new Promise(() => undefined),
): Promise<boolean> {
  const batches = script.length
  let committed = 0
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  void death.then(over)
  let failure: unknown
  void ended.then((error) => {
    failure = error
    over()
  })
  const last = clock.now() + 1_000 * (batches + 60)
  ssc.addListener({
    onBatchCompleted: ({ batchTime }) => {
      committed = batchTime
    },
  })
  const started = ssc.start()
  started.catch(() => undefined)
  await Promise.race([started, death])
  const target = (): boolean => committed >= (store.firstBatch ?? Infinity) + (batches - 1) * 1_000
  while (!isOver && !target() && clock.now() < last) {
    const before = committed
    await clock.advance(1_000)
    await until(() => committed > before || isOver)
  }
  if (failure !== undefined) throw failure
  const isDone = target()
  if (isDone) await Promise.race([ssc.stop({ graceful: false }), death])
  return isDone
}

async function undisturbed(
  build: Build,
  disk: FileSystem,
): Promise<{ readonly written: unknown; readonly operations: number }> {
  const mortal = mortalFileSystem(disk)
  const clock = new ManualClock()
  const store = new LedgerStore()
  await run(launch(build, mortal.fileSystem, clock, store), clock, store)
  return { written: store.contents(script.length * 1_000), operations: mortal.operations }
}

interface Layout<D extends FileSystem = FileSystem> {
  newDisk(): D
  /** What the next process finds. */
  after(disk: D): FileSystem
  /** Every so many operations. */
  readonly step: number
}

const objects = { append: false, rename: false, link: false }
const powerLoss = (supports: CrashableOptions['supports'], survival: Survival): Layout<CrashableFileSystem> => ({
  newDisk: () => crashableFileSystem({ supports }),
  after: (disk) => disk.crash(survival),
  step: 1,
})

const layouts: Record<string, Layout> = {
  'a process on a disk': { newDisk: () => memoryFileSystem(), after: (disk) => disk, step: 1 },
  'a process on an object store': {
    newDisk: () => crashableFileSystem({ supports: objects }),
    after: (disk) => disk,
    step: 1,
  },
  'a machine that loses all it has not synced': powerLoss({}, {}) as Layout,
  'a machine that keeps half of what it has not synced': powerLoss(
    {},
    { bytes: (_path, unsynced) => Math.floor(unsynced / 2), name: () => true },
  ) as Layout,
}

describe.each(Object.entries(layouts))(
  '%s that dies at any disk operation loses and doubles nothing',
  (_name, layout) => {
    test.each(Object.entries(scenarios))(
      '%s',
      async (_name, build) => {
        const { written, operations } = await undisturbed(build, layout.newDisk())
        expect(operations).toBeGreaterThan(20)
        for (let n = 1; n <= operations; n += layout.step) {
          for (const when of ['before', 'after'] as const) {
            const disk = layout.newDisk()
            const store = new LedgerStore()
            const death = new Gate()
            const mortal = mortalFileSystem(disk, { dieAt: n, when, onDeath: death.open })
            const clock = new ManualClock()
            const isDone = await run(launch(build, mortal.fileSystem, clock, store), clock, store, death.opened)
            if (!isDone) {
              const later = new ManualClock(clock.now())
              await run(launch(build, layout.after(disk), later, store), later, store)
            }
            expect(store.contents(script.length * 1_000), `died ${when} operation ${String(n)}`).toEqual(written)
          }
        }
      },
      600_000,
    )
  },
)
