/** What a worker thread of `workerExecutor` runs first. */
import { workerData } from 'node:worker_threads'
import { runWorker } from './worker-runtime.js'
import type { WorkerStart } from './worker-protocol.js'

runWorker(workerData as WorkerStart)
