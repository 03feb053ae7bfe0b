/** A job whose worker runs out of memory once, in a process of its own: V8 may end that, and not the worker. Prints what came of it. */
import { SluiceContext, workerExecutor } from '../../../dist/index.js'
import * as app from './worker-app.mjs'

const executor = workerExecutor({
  app: new URL('./worker-app.mjs', import.meta.url),
  threads: 2,
  heapBytes: 48 * 2 ** 20,
})
const context = new SluiceContext({ executor, log: 'error' })
const numbers = await context.parallelize([0, 1, 2, 3, 4, 5, 6, 7], 4).mapPartitions(app.outOfMemoryOnce).collect()
const { inWorkers } = executor.stats()
// And the fresh one goes on working.
const sum = await context.parallelize(numbers, 4).map(app.double).sum()
await context.stop()
console.log(JSON.stringify({ numbers, inWorkers, sum }))
