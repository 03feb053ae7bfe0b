/** Runs batches of a stream one at a time, when a benchmark says so. */
import { milliseconds, StreamingContext, type DStream, type StreamingContextOptions } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'

const INTERVAL_MS = 1_000

export interface StreamDriver<T, R> {
  /** Runs one batch of these records; what the stream made of it. */
  batch(records: readonly T[]): Promise<readonly R[]>
  stop(): Promise<void>
}

/** A stream on a clock of its own, so that a batch begins when its records are there. */
export async function streamDriver<T, R>(
  graph: (stream: DStream<T>) => DStream<R>,
  options: Partial<StreamingContextOptions> = {},
  startMs = 0,
): Promise<StreamDriver<T, R>> {
  const clock = new ManualClock(startMs)
  const queue: (readonly T[])[] = []
  const ssc = new StreamingContext({
    batchInterval: milliseconds(INTERVAL_MS),
    log: 'error',
    signals: false,
    memoryBudgetBytes: 8 * 2 ** 30,
    ...options,
    clock,
  })
  let onDone: (results: readonly R[]) => void = () => undefined
  let onFailed: (error: unknown) => void = () => undefined
  graph(ssc.queueStream(queue)).foreachRDD(async (rdd) => {
    const results: (readonly R[])[] = []
    await rdd.foreachPartition((records) => void results.push(records))
    last = results.length === 1 ? (results[0] as readonly R[]) : results.flat(1)
  })
  let last: readonly R[] = []
  ssc.addListener({
    onBatchCompleted: () => {
      onDone(last)
    },
  })
  await ssc.start()
  ssc.awaitTermination().catch((error: unknown) => {
    onFailed(error)
  })
  return {
    batch: async (records) => {
      queue.push(records)
      const done = new Promise<readonly R[]>((resolve, reject) => {
        onDone = resolve
        onFailed = reject
      })
      await clock.advance(INTERVAL_MS)
      const results = await done
      // The source looks back at none: a queue that kept them all would fill the heap for the collector to walk.
      queue[queue.length - 1] = []
      return results
    },
    stop: () => ssc.stop({ graceful: false }),
  }
}
