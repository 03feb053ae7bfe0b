/** E12 over restarts: batch times, ticks of the down time, windows after a gap, graceful stops. */
import { expect, test } from 'vitest'
import type { StreamingContextOptions } from '../context/streaming-context.js'
import { until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'

const script = Array.from({ length: 40 }, (_, i) => [['k', i + 1] as const])
const add = (a: number, b: number): number => a + b
const forever = new Promise<void>(() => undefined)

/** Starts a run that puts out the records of each batch with its time. */
async function start(
  runs: Restarts,
  out: unknown[],
  options: Partial<StreamingContextOptions> = {},
  nowMs?: number,
): Promise<Run> {
  const run = runs.launch(options, nowMs)
  run.ssc.inputStream(scriptedSource(script)).foreachRDD(async (rdd, time) => {
    out.push([time, (await rdd.collect()).map(([, n]) => n)])
  })
  await run.ssc.start()
  return run
}

test('E12: after a restart the next batch has the aligned time, with catchUp one and none in between', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const first = await start(runs, out)
  await first.batches(2)
  await first.ssc.stop({ graceful: false })
  const second = await start(runs, out, {}, 7_300)
  await second.clock.advance(700)
  await until(() => second.completed.length === 1)
  await second.batches(1)
  await second.ssc.stop({ graceful: false })
  expect(out).toEqual([
    [1_000, [1]],
    [2_000, [2]],
    [8_000, [3]],
    [9_000, [4]],
  ])
})

test('E12: with catchUp each every tick of the down time has its batch, at once and in order', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const first = await start(runs, out)
  await first.batches(2)
  await first.ssc.stop({ graceful: false })
  const second = await start(runs, out, { catchUp: 'each' }, 5_300)
  await until(() => second.completed.length === 3)
  await second.clock.advance(700)
  await until(() => second.completed.length === 4)
  await second.ssc.stop({ graceful: false })
  expect(second.completed).toEqual([3_000, 4_000, 5_000, 6_000])
  expect(out).toHaveLength(6)
})

test('E12: with the clock set back over a restart batch times go on rising by the interval', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const first = await start(runs, out, {}, 50_000)
  await first.batches(2)
  await first.ssc.stop({ graceful: false })
  for (const nowMs of [20_500, 10_000]) {
    const again = await start(runs, out, {}, nowMs)
    await again.clock.advance(1_000)
    await until(() => again.completed.length === 1)
    await again.ssc.stop({ graceful: false })
  }
  expect(out).toEqual([
    [51_000, [1]],
    [52_000, [2]],
    [53_000, [3]],
    [54_000, [4]],
  ])
})

test('E12: planned batches keep their times when they run again late, and the next comes after them', async () => {
  const runs = new Restarts()
  const first = runs.launch()
  first.ssc.inputStream(scriptedSource(script)).foreachRDD(() => forever)
  await first.ssc.start()
  for (let i = 0; i < 3; i++) await first.clock.advance(1_000)
  await until(() => first.events.includes('submitted 3000'))
  first.kill()
  const out: unknown[] = []
  const second = await start(runs, out, {}, 2_100)
  await until(() => second.completed.length === 3)
  await second.clock.advance(900)
  await until(() => second.completed.length === 4)
  await second.ssc.stop({ graceful: false })
  expect(second.completed).toEqual([1_000, 2_000, 3_000, 4_000])
})

test.each(['one', 'each'] as const)(
  'E12: windows over a gap are by time: with catchUp %s an inverse window gives what the plain one gives',
  async (catchUp) => {
    for (const [slide, downMs] of [
      [1, 1_400],
      [1, 2_400],
      [1, 9_400],
      [2, 3_400],
      [2, 4_400],
      [2, 20_400],
    ] as const) {
      const runs = new Restarts()
      const plain: unknown[] = []
      const inverse: unknown[] = []
      const launch = async (nowMs?: number): Promise<Run> => {
        const run = runs.launch({ catchUp, concurrentJobs: 1 }, nowMs)
        const pairs = run.ssc.inputStream(scriptedSource(script))
        const window = { window: seconds(4), slide: seconds(slide), partitions: 1 }
        pairs.reduceByKeyAndWindow(add, window).foreachRDD(
          async (rdd, time) => {
            plain.push([time, await rdd.collect()])
          },
          { name: 'plain' },
        )
        pairs.reduceByKeyAndWindow(add, { ...window, inverse: (a, b) => a - b }).foreachRDD(
          async (rdd, time) => {
            inverse.push([time, await rdd.collect()])
          },
          { name: 'inverse' },
        )
        await run.ssc.start()
        return run
      }
      const first = await launch()
      await first.batches(5)
      await first.ssc.stop({ graceful: false })
      const second = await launch(5_000 + downMs)
      await second.clock.advance(600)
      const end = 5_000 + downMs + 600
      await until(() => second.completed.includes(end))
      await second.batches(6)
      await second.ssc.stop({ graceful: false })
      expect(plain.length).toBeGreaterThan(4)
      expect(inverse, `slide ${String(slide)}, down ${String(downMs)}`).toEqual(plain)
    }
  },
)

test('E12: after a graceful stop nothing is left to run again, and the next run goes on behind it', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const first = await start(runs, out)
  await first.batches(1)
  await first.clock.advance(300)
  await first.ssc.stop()
  const resumed: unknown[] = []
  const second = runs.launch()
  second.ssc.addListener({ onStreamingResumed: (info) => void resumed.push(info) })
  second.ssc.inputStream(scriptedSource(script)).foreachRDD(async (rdd, time) => {
    out.push([time, (await rdd.collect()).map(([, n]) => n)])
  })
  await second.ssc.start()
  await second.clock.advance(1_700)
  await until(() => second.completed.length === 1)
  await second.ssc.stop({ graceful: false })
  expect(resumed).toEqual([{ lastCommitted: 2_000, batches: 0, keys: 0 }])
  expect(out).toEqual([
    [1_000, [1]],
    // What was there at the stop, without waiting for the tick.
    [2_000, [2]],
    [3_000, [3]],
  ])
})
