/** The worker threads of an executor: lends them out one task at a time, and replaces those that die. */
import { SluiceError } from '../errors.js'
import { formatDuration, type Duration } from '../time/duration.js'
import type { ExecutorServices } from './executor.js'
import { fingerprint, fingerprintError } from './worker-fingerprint.js'
import type { Fingerprint } from './worker-protocol.js'
import { workerFailed, WorkerThread, type WorkerThreadOptions } from './worker-thread.js'

export interface WorkerPoolOptions extends WorkerThreadOptions {
  readonly threads: number
  /** How long an app may load. */
  readonly startTimeout: Duration
}

interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #services: ExecutorServices
  /** What the driver had registered when the pool started; every worker must have it. */
  readonly #driver: Fingerprint = fingerprint()
  readonly #all = new Set<WorkerThread>()
  readonly #idle: WorkerThread[] = []
  readonly #waiting: Waiting[] = []
  #free: number
  #functions: ReadonlyMap<string, string> = new Map()
  #closed = false

  constructor(options: WorkerPoolOptions, services: ExecutorServices) {
    this.#options = options
    this.#services = services
    this.#free = options.threads
  }

  /** Functions that workers have, and the hashes of their sources. */
  get functions(): ReadonlyMap<string, string> {
    return this.#functions
  }

  /** Starts all threads. When one cannot, none is left. */
  async start(): Promise<void> {
    const starts = Array.from({ length: this.#options.threads }, () => this.#startThread())
    const ended = await Promise.allSettled(starts)
    for (const each of ended) if (each.status === 'fulfilled') this.#rest(each.value)
    for (const each of ended) {
      if (each.status === 'fulfilled') continue
      await this.close()
      throw each.reason
    }
  }

  /** A thread of one's own, until it is released. Rejects with `STOPPED` once the pool is closed. */
  async acquire(): Promise<WorkerThread> {
    await this.#permit()
    for (let thread = this.#idle.pop(); thread !== undefined; thread = this.#idle.pop()) {
      if (!thread.dead) return thread
    }
    try {
      return await this.#startThread()
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  release(thread: WorkerThread): void {
    if (!thread.dead) this.#rest(thread)
    this.#leave()
  }

  #rest(thread: WorkerThread): void {
    thread.idle()
    this.#idle.push(thread)
  }

  async #permit(): Promise<void> {
    if (this.#closed) throw stopped()
    if (this.#free > 0) {
      this.#free--
      return
    }
    await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next.resolve()
  }

  async #startThread(): Promise<WorkerThread> {
    if (this.#closed) throw stopped()
    const thread = new WorkerThread(this.#options, this.#services)
    this.#all.add(thread)
    const forget = (): void => void this.#all.delete(thread)
    thread.gone.then(forget, forget)
    const functions = await this.#loaded(thread)
    const differs = fingerprintError(this.#driver, functions, this.#options.app)
    if (differs !== undefined) {
      await thread.close(differs)
      throw differs
    }
    this.#functions = new Map(functions)
    return thread
  }

  async #loaded(thread: WorkerThread): Promise<Fingerprint> {
    const { clock } = this.#services
    const timer = new AbortController()
    const late = clock.sleep(this.#options.startTimeout, timer.signal).then(
      () => undefined,
      () => undefined,
    )
    const functions = await Promise.race([thread.loaded, late]).finally(() => {
      timer.abort()
    })
    if (functions !== undefined) return functions
    const within = formatDuration(this.#options.startTimeout)
    const message = `${this.#options.app} has not loaded within ${within}; let it not wait while it loads, or raise startTimeout`
    const error = workerFailed(message, undefined, true)
    await thread.close(error)
    throw error
  }

  /** Ends all threads; what runs or waits is rejected with `STOPPED`. Resolves when they have ended. */
  async close(): Promise<void> {
    this.#closed = true
    for (const waiting of this.#waiting.splice(0)) waiting.reject(stopped())
    const ended = await Promise.allSettled(Array.from(this.#all, (thread) => thread.close(stopped())))
    for (const each of ended) if (each.status === 'rejected') throw each.reason
  }
}

export function stopped(): SluiceError {
  const message = 'the executor is closed, and its tasks end with it; make another'
  return new SluiceError({ code: 'STOPPED', component: 'workers', message })
}
