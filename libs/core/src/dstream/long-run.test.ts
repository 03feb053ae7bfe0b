/** Hours of batches leave nothing behind. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { State } from '../state/map-with-state.js'
import { runBatches } from '../testing.js'
import { seconds } from '../time/duration.js'

/** Batches of one second: 2 h, which take some seconds, or with SLUICE_LONG_RUN=1 the 24 h of the benchmark's aim. */
const BATCHES = process.env['SLUICE_LONG_RUN'] === '1' ? 86_400 : 7_200
const SAMPLES = 12

/** Collects garbage, also where node was not told to offer that. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  gc()
}

test('hours of simulated batches with windows and state of fixed size leave a flat heap', async () => {
  const heap: number[] = []
  const blocks: number[] = []
  let batch = 0
  // Each element is a new array: what is used up is not kept by the test.
  const script = {
    length: 0,
    slice: (first: number, next: number) =>
      Array.from({ length: next - first }, (_, i) => [
        [`key ${String((first + i) % 50)}`, 1] as const,
        [`key ${String((first + i) % 7)}`, 2] as const,
      ]),
  }
  const queue = new Proxy([] as (readonly (readonly [string, number])[])[], {
    get: (_target, name) => (name === 'length' ? BATCHES : name === 'slice' ? script.slice : undefined),
  })
  await runBatches(
    { ticks: [] as never[][] },
    (_inputs, ssc) => {
      const pairs = ssc.queueStream(queue)
      pairs
        .reduceByKeyAndWindow((a, b) => a + b, { window: seconds(30), inverse: (a, b) => a - b })
        .foreachRDD(async (rdd) => {
          await rdd.count()
        })
      pairs.window(seconds(10), seconds(5)).foreachRDD(async (rdd) => {
        await rdd.count()
      })
      pairs.updateStateByKey<number>((values, sum = 0) => sum + values.length).foreachRDD(() => undefined)
      pairs
        .mapWithState(
          (_key, value, state: State<number>) => {
            if (!state.isTimingOut()) state.update((state.getOption() ?? 0) + (value ?? 0))
            return null
          },
          { timeout: seconds(20) },
        )
        .foreachRDD((rdd, time) => {
          batch++
          if (time % ((BATCHES / SAMPLES) * 1_000) !== 0) return
          collectGarbage()
          heap.push(getHeapStatistics().used_heap_size)
          blocks.push(ssc.sluiceContext.engine.blocks.stats().blocks)
        })
    },
    { batches: BATCHES },
  )
  expect(batch).toBe(BATCHES)
  expect(heap).toHaveLength(SAMPLES)
  expect(new Set(blocks).size).toBe(1)
  // From the second sample on all is warm. A leak of 100 bytes per batch would be 7 MB.
  const grown = (heap.at(-1) as number) - (heap[1] as number)
  expect(grown).toBeLessThan(2_000_000)
}, 120_000)
