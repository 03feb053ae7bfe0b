/** A whole application as users write it, its own worker module: `node stream-app.mjs` prints what it has done as JSON. */
import { isMainThread } from 'node:worker_threads'
import { SluiceContext, StreamingContext, milliseconds, task, workerExecutor } from '../../../dist/index.js'

const executor = workerExecutor({ app: import.meta.url, threads: 2 })
const context = new SluiceContext({ executor, log: 'error' })
const factor = context.broadcast(isMainThread ? 10 : -1)
const seen = context.accumulator('seen', 0, (a, b) => a + b)
const ssc = new StreamingContext({ context, batchInterval: milliseconds(20), signals: false, log: 'error' })
const opened = []
const written = []
const sink = {
  '~sluice': 'sink/1',
  name: 'memory',
  target: 'test',
  guarantee: { level: 'at-least-once', condition: 'for a test' },
  open: async () => void opened.push(isMainThread),
  writePartition: async (_id, chunks) => {
    for await (const chunk of chunks) written.push(...chunk)
  },
}
const scale = task('scale', (x) => {
  seen.add(1)
  return [isMainThread ? 'driver' : 'worker', x * factor.value]
})
const stream = ssc.queueStream([[1, 2, 3], [4]])
stream.to(sink)
const collected = []
stream.foreachRDD(async (rdd) => {
  // What reads the queue runs in the driver; behind a shuffle, tasks go to workers.
  collected.push(...(await rdd.repartition(2).map(scale).collect()))
  if (collected.length === 4) void ssc.stop()
})
await ssc.start()
if (!isMainThread) throw new Error('start() has returned in a worker')
await ssc.awaitTermination()
const { inWorkers, inDriver } = executor.stats()
console.log(JSON.stringify({ collected, opened, written, seen: seen.value, inWorkers, inDriver }))
// The context is not stopped: idle workers do not keep the process alive.
