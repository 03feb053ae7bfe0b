/** E4 over restarts: older batches of a stream are what they were, or are refused; and what nobody can ask for goes. */
import { expect, test } from 'vitest'
import type { DStream } from '../dstream/dstream.js'
import type { Receiver } from '../input/receiver.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { crashableFileSystem } from '../testing/crashable-file-system.js'
import { until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'

type Numbers = DStream<number>
type Input = (run: Run) => Numbers

const script = Array.from({ length: 10 }, (_, i) => [i + 1])

/** A receiver of the next number at each `next`; without a write-ahead log. */
const inputs: Record<string, Input> = {
  'a source that can be read again': (run) => run.ssc.inputStream(scriptedSource(script)),
  state: (run) =>
    run.ssc
      .inputStream(scriptedSource(script))
      .map((n) => ['k', n] as const)
      .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0), { partitions: 1 })
      .map(([, sum]) => sum),
  'a transform': (run) => run.ssc.inputStream(scriptedSource(script)).transform((rdd) => rdd.map((n) => n * 2)),
}

/** Runs for some batches; `out` gets what `read` gives in each. */
async function runFor(
  runs: Restarts,
  batches: number,
  input: Input,
  read: (stream: Numbers, out: unknown[]) => void,
): Promise<unknown[]> {
  const run = runs.launch()
  const out: unknown[] = []
  read(input(run), out)
  await run.ssc.start()
  await run.batches(batches)
  run.kill()
  return out
}

const windowed = (stream: Numbers, out: unknown[]): void => {
  stream.window(seconds(3)).foreachRDD(async (rdd, time) => {
    out.push([time, await rdd.collect()])
  })
}

const sliced = (stream: Numbers, out: unknown[]): void => {
  const kept = stream.remember(seconds(4))
  kept.foreachRDD(async (_rdd, time) => {
    const slices = kept.slice(Math.max(1_000, time - 2_000), time)
    out.push([time, await Promise.all(slices.map((slice) => slice.collect()))])
  })
}

test.each(Object.entries(inputs))(
  'E4: windows and slices over %s are the same after a restart',
  async (_name, input) => {
    for (const read of [windowed, sliced]) {
      const whole = await runFor(new Restarts(), 7, input, read)
      const runs = new Restarts()
      const parts: unknown[] = []
      for (const batches of [1, 2, 1, 3]) parts.push(...(await runFor(runs, batches, input, read)))
      expect(parts).toEqual(whole)
    }
  },
)

test('E4: a window over a queue, which cannot be read again, has its slices after a restart', async () => {
  const queue =
    (...batches: number[][]): Input =>
    (run) =>
      run.ssc.queueStream(batches)
  const runs = new Restarts()
  const first = await runFor(runs, 3, queue([1], [2], [3]), windowed)
  const second = await runFor(runs, 2, queue([4], [5]), windowed)
  expect([...first, ...second]).toEqual([
    [1_000, [1]],
    [2_000, [1, 2]],
    [3_000, [1, 2, 3]],
    [4_000, [2, 3, 4]],
    [5_000, [3, 4, 5]],
  ])
})

test.each(Object.entries(inputs))('E4: after a restart a dropped batch of %s is RDD_DROPPED', async (_name, input) => {
  const runs = new Restarts()
  const read =
    (back: number) =>
    (stream: Numbers, out: unknown[]): void => {
      const kept = stream.remember(seconds(2))
      kept.foreachRDD(async (_rdd, time) => {
        if (time < 6_000) return
        const slices = kept.slice(time - back, time - back)
        out.push(await Promise.all(slices.map((slice) => slice.collect())))
      })
    }
  await runFor(runs, 5, input, read(0))
  const run = runs.launch()
  const end = run.end()
  read(4_000)(input(run), [])
  await run.ssc.start()
  await run.clock.advance(1_000)
  expect(await end).toMatchObject({ code: 'RDD_DROPPED' })
})

test('E4: state that is not kept is RDD_DROPPED in the first batch after a restart, not a read of newer state', async () => {
  const runs = new Restarts()
  const input = inputs['state'] as Input
  await runFor(runs, 2, input, (stream) => {
    stream.foreachRDD(() => undefined)
  })
  const run = runs.launch()
  const end = run.end()
  const stream = input(run)
  stream.foreachRDD(async (_rdd, time) => {
    await Promise.all(stream.slice(time - 1_000, time - 1_000).map((slice) => slice.collect()))
  })
  await run.ssc.start()
  await run.clock.advance(1_000)
  expect(await end).toMatchObject({ code: 'RDD_DROPPED' })
})

/** Bytes of the log of what was received and kept. */
async function recordBytes(disk: FileSystem, folder = 'ckpt', inside = false): Promise<number> {
  let bytes = 0
  for await (const { kind, name } of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') bytes += await recordBytes(disk, path, inside || name === 'records')
    else if (inside) bytes += ((await disk.stat(path)) as { sizeBytes: number }).sizeBytes
  }
  return bytes
}

const RECORD = 'x'.repeat(1_000)

/** Stores a record of 1 kB whenever it is asked to. */
function storing(store: { now?: () => Promise<void> }): Receiver<string> {
  return {
    '~sluice': 'receiver/1',
    onStart: (context) => {
      let last = context.position['p'] ?? 0n
      store.now = () => context.storeAll([RECORD], { position: { p: ++last } })
    },
    onStop: () => undefined,
  }
}

test('E4: the log of received records and of slices shrinks as batches are committed, and never too early', async () => {
  const runs = new Restarts(crashableFileSystem({ supports: { append: false, rename: false, link: false } }))
  const counts: [number, number][] = []
  const sizes: number[] = []
  for (let restart = 0; restart < 4; restart++) {
    const run = runs.launch()
    const store: { now?: () => Promise<void> } = {}
    const received = run.ssc.receiverStream(storing(store), { reliable: true, name: 'in' })
    const totals = received
      .map((text) => [text.length, text] as const)
      .updateStateByKey<string>((texts, state) => state ?? texts[0], { partitions: 1 })
    received
      .window(seconds(3))
      .union(totals.window(seconds(2)).map(([, text]) => text))
      .foreachRDD(async (rdd, time) => {
        counts.push([time, await rdd.count()])
      })
    await run.ssc.start()
    await until(() => store.now !== undefined)
    for (let i = 0; i < 12; i++) {
      await store.now?.()
      await run.batches(1)
      // Trimming goes on beside the batches; an object store waits for it for one lease.
      for (let turn = 0; turn < 50; turn++) await run.clock.yield()
      sizes.push(await recordBytes(runs.disk))
    }
    // Right after it was trimmed.
    run.kill()
  }
  // Three batches of the receiver and two of the state, at each moment; also right after a restart.
  expect(counts.map(([, count]) => count)).toEqual([2, 4, ...Array.from({ length: 46 }, () => 5)])
  expect(counts.map(([time]) => time)).toEqual(Array.from({ length: 48 }, (_, i) => (i + 1) * 1_000))
  // Of 48 batches of 2 kB there is what windows ask for, and what one lease leaves.
  expect(sizes.at(-1)).toBeLessThan(60_000)
  expect(Math.min(...sizes.slice(24))).toBeLessThan(Math.max(...sizes))
})

test('E4: slices of a stream that is gone from the program are let go of', async () => {
  const runs = new Restarts(memoryFileSystem())
  const queue =
    (...batches: number[][]): Input =>
    (run) =>
      run.ssc.queueStream(batches)
  await runFor(runs, 3, queue([1], [2], [3]), windowed)
  const out = await runFor(runs, 2, queue([4], [5]), (stream, out) => {
    stream.foreachRDD(async (rdd, time) => {
      out.push([time, await rdd.collect()])
    })
  })
  // The window is back: of the time without it nobody has kept anything.
  const again = await runFor(runs, 2, queue([6], [7]), windowed)
  expect([...out, ...again]).toEqual([
    [4_000, [4]],
    [5_000, [5]],
    [6_000, [6]],
    [7_000, [6, 7]],
  ])
})
