/** What a context that runs for long leaves behind: nothing. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { Executor } from '../executor/executor.js'
import { runTask } from '../executor/local-executor.js'
import { LoopPacer } from '../executor/pacer.js'
import type { Receiver, ReceiverContext } from '../input/receiver.js'
import { StageCache } from '../rdd/compile.js'
import { ManualClock } from '../time/manual-clock.js'
import { seconds } from '../time/duration.js'
import { until } from '../testing/harness.js'
import { StreamingContext } from './streaming-context.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Parts of the long run, each looked at by itself. */
const PARTS = 3

/** The local executor, with its compiled stages to be seen. */
function openExecutor(stages: StageCache): Executor {
  let pacer: LoopPacer | undefined
  return {
    '~sluice': 'executor/1',
    name: 'open',
    parallelism: 2,
    slots: 4,
    run: (task, services) => runTask(task, services, stages, (pacer ??= new LoopPacer(services.clock))),
  }
}

test('10,000 batches leave heap, block store, compiled stages, timers and listeners flat', async () => {
  const clock = new ManualClock()
  const stages = new StageCache()
  const ssc = new StreamingContext({
    batchInterval: seconds(1),
    clock,
    executor: openExecutor(stages),
    log: 'silent',
    signals: false,
    stdout: () => undefined,
  })
  let context: ReceiverContext<string> | undefined
  const receiver: Receiver<string> = {
    '~sluice': 'receiver/1',
    onStart: (own) => void (context = own),
    onStop: () => undefined,
  }
  const counts = ssc
    .receiverStream(receiver)
    .map((word) => [word, 1])
    .reduceByKey((a, b) => a + b)
  // A word is kept for as long as it comes in every batch.
  counts.updateStateByKey<number>((values, sum = 0) => (values.length === 0 ? undefined : sum + 1)).print()
  counts.foreachRDD(async (rdd) => {
    const kept = rdd.mapValues((n) => n + 1).cache()
    await kept.filter(([, n]) => n > 1).count()
    await kept.sortBy(([word]) => word).collect()
  })
  let completed = 0
  ssc.addListener({ onBatchCompleted: () => void completed++ })
  await ssc.start()
  const { blocks } = ssc.sluiceContext.engine

  const run = async (batches: number): Promise<void> => {
    for (let i = 0; i < batches; i++) {
      const before = completed
      await context?.storeAll(['a', 'b', `word-${String(completed)}`])
      await clock.advance(1_000)
      await until(() => completed > before)
    }
  }
  const measure = async (): Promise<{
    heapBytes: number
    blocks: number
    bytes: number
    stages: number
    sleeping: number
  }> => {
    collectGarbage()
    // What was collected may have left work to be done, which holds something itself.
    await clock.settle()
    collectGarbage()
    const { blocks: count, memoryBytes, diskBytes } = blocks.stats()
    const { heapUsed } = process.memoryUsage()
    return {
      heapBytes: heapUsed,
      blocks: count,
      bytes: memoryBytes + diskBytes,
      stages: stages.size,
      sleeping: clock.sleeping,
    }
  }
  await run(1_000)
  const before = await measure()
  const growths: number[] = []
  let last = before
  for (let part = 0; part < PARTS; part++) {
    await run(9_000 / PARTS)
    const after = await measure()
    growths.push(after.heapBytes - last.heapBytes)
    last = after
  }
  const { heapBytes: _, ...flat } = last
  // The length of `word-N` differs.
  expect(flat).toEqual({ ...flat, blocks: before.blocks, stages: before.stages, sleeping: before.sleeping })
  expect(last.bytes).toBeLessThan(before.bytes + 1_000)
  expect(last.blocks).toBeLessThan(20)
  // A leak grows in every part; code that V8 compiles, and what it learns on the way, in one or the other.
  expect(Math.min(...growths)).toBeLessThan((2 * 2 ** 20) / PARTS)
  await ssc.stop()
  expect(clock.sleeping).toBe(0)
}, 600_000)
