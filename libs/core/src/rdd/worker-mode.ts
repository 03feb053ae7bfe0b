/**
 * Worker mode: what a thread that only runs tasks has in place of a driver. There the app's module is loaded for its
 * functions; contexts are inert, actions never resolve, and shared variables come from the driver (E24).
 */
import type { AsyncLocalStorage } from 'node:async_hooks'
import { SluiceError } from '../errors.js'

/** What one task attempt leaves besides its result. */
export interface TaskScope {
  /** What was added to accumulators, by their names, in order. */
  readonly added: (readonly [name: string, value: unknown])[]
}

/** The thread's own side, made before the app's module is loaded. */
export interface WorkerHost {
  readonly '~sluice': 'worker-host/1'
  readonly task: AsyncLocalStorage<TaskScope>
  /** The driver's value; throws where there is none. */
  broadcast(name: string): unknown
  /** How many shared variables of this kind and name the app has made. */
  readonly shared: Map<string, number>
  /** The app has come to where it waits for ever. */
  parked(): void
}

// In one place for all copies of this package in the thread: the app's may not be that of the executor.
const HOST = Symbol.for('@sluice/core/worker/1')
const thread = globalThis as { [HOST]?: WorkerHost }

/** The host of a worker thread; undefined in a driver. */
export function workerHost(): WorkerHost | undefined {
  return thread[HOST]
}

/** Puts this thread in worker mode, for good. */
export function becomeWorker(host: WorkerHost): void {
  thread[HOST] = host
}

/**
 * Notes a shared variable that the app has made in a worker. What it returns throws `ARGUMENT_INVALID` where two contexts
 * have one of that name: in a worker nobody could tell which is meant.
 */
export function declareShared(host: WorkerHost, kind: 'accumulator' | 'broadcast', name: string): () => void {
  const key = `${kind} ${name}`
  host.shared.set(key, (host.shared.get(key) ?? 0) + 1)
  return () => {
    if (host.shared.get(key) === 1) return
    const message = `two contexts have ${kind}s named '${name}', which worker threads cannot tell apart; name them differently`
    throw new SluiceError({ code: 'ARGUMENT_INVALID', component: kind, message })
  }
}

/**
 * In a worker: a promise that never resolves, for an action or a `start()`; undefined in a driver. Inside a task it
 * throws `ARGUMENT_INVALID`: a task cannot wait for another job.
 */
export function parkedInWorker(what: string): Promise<never> | undefined {
  const host = workerHost()
  if (host === undefined) return undefined
  if (host.task.getStore() !== undefined) {
    const message = `${what} cannot run inside a task; run it before, and broadcast or join its result`
    return Promise.reject(new SluiceError({ code: 'ARGUMENT_INVALID', component: 'worker', message }))
  }
  host.parked()
  return new Promise<never>(() => undefined)
}
