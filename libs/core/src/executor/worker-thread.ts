/** One worker thread as the driver sees it, from its start to its end. */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { isSluiceError, messageOf, SluiceError } from '../errors.js'
import type { StageMode } from '../rdd/compile.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { joinPath } from '../storage/paths.js'
import { newIdentity } from '../time/random.js'
import type { ExecutorServices } from './executor.js'
import { describeError, restoreError } from './task-codec-errors.js'
import type {
  Block,
  BroadcastMessage,
  Bytes,
  DoneMessage,
  Fingerprint,
  PutMessage,
  ToDriver,
  ToWorker,
  WorkerStart,
} from './worker-protocol.js'

export interface WorkerThreadOptions {
  /** URL of the app's module. */
  readonly app: string
  readonly stages: StageMode | undefined
  readonly heapBytes: number | undefined
}

/** A task on its way: what its thread calls. */
interface Running {
  readonly task: number
  /** Puts a block into the store. */
  put(block: Block): Promise<void> | undefined
  resolve(done: DoneMessage): void
  reject(error: unknown): void
}

/** A task's head and data, and which of its chunks nobody else holds. */
export interface TaskBytes {
  readonly header: Bytes
  readonly chunks: readonly Uint8Array[]
  readonly transfer: readonly ArrayBuffer[]
}

const MEBIBYTE = 2 ** 20

export class WorkerThread {
  /** Resolves with what the app has registered there; rejects when it cannot be loaded. */
  readonly loaded: Promise<Fingerprint>
  /** Resolves when the thread has ended and its folder is gone. */
  readonly gone: Promise<void>
  readonly #services: ExecutorServices
  readonly #app: string
  readonly #port: MessagePort
  readonly #worker: Worker
  #settleLoaded: { resolve(functions: Fingerprint): void; reject(error: unknown): void } = nobody
  #running: Running | undefined
  #nextTask = 0
  #sentBroadcasts: number
  /** Why it ended or ends. */
  #reason: SluiceError | undefined
  #uncaught: unknown
  #ended = false
  #isLoaded = false

  constructor(options: WorkerThreadOptions, services: ExecutorServices) {
    this.#services = services
    this.#app = options.app
    this.#sentBroadcasts = services.broadcasts.count
    const folder = joinPath(services.localDirectory, `sluice-worker-${newIdentity()}`)
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.loaded = new Promise((resolve, reject) => {
      this.#settleLoaded = { resolve, reject }
    })
    // Whoever waits for it learns of the failure; nobody may.
    this.loaded.catch(() => undefined)
    this.#worker = startThread(options, {
      '~sluice': 'worker-start/1',
      port: port2,
      app: options.app,
      stages: options.stages,
      folder,
      broadcasts: Array.from({ length: this.#sentBroadcasts }, (_, i) => broadcastMessage(services, i)),
    })
    this.gone = this.#watch().then(() => nodeFileSystem().removeTree(folder))
    this.gone.catch(() => undefined)
    port1.on('message', (message: ToDriver) => {
      this.#receive(message)
    })
  }

  /** Whether it has ended, or is about to. */
  get dead(): boolean {
    return this.#ended || this.#reason !== undefined || this.#uncaught !== undefined
  }

  /** Runs one task; the thread takes one at a time. */
  run({ header, chunks, transfer }: TaskBytes, put: Running['put']): Promise<DoneMessage> {
    if (this.dead) return Promise.reject(this.#endError(undefined))
    const task = this.#nextTask++
    return new Promise((resolve, reject) => {
      this.#running = { task, put, resolve, reject }
      this.#ref(true)
      this.#sendBroadcasts()
      this.#post({ kind: 'task', task, header, chunks }, transfer)
    })
  }

  /** Ends the thread at once; its task and its start fail with `reason`. */
  async close(reason: SluiceError): Promise<void> {
    this.#reason ??= reason
    await this.#worker.terminate()
    await this.gone
  }

  /** An idle thread does not keep the process alive. */
  idle(): void {
    this.#ref(false)
  }

  #ref(busy: boolean): void {
    if (busy) {
      this.#worker.ref()
      this.#port.ref()
    } else {
      this.#worker.unref()
      this.#port.unref()
    }
  }

  #watch(): Promise<void> {
    this.#worker.on('error', (error: unknown) => {
      this.#uncaught ??= error ?? new Error('undefined was thrown')
    })
    return new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#end(code)
        resolve()
      })
    })
  }

  #end(code: number): void {
    this.#ended = true
    this.#port.close()
    const error = this.#endError(code)
    // With no task to fail, what ended it would pass unseen.
    if (this.#running === undefined && this.#isLoaded && this.#reason === undefined) process.emitWarning(error)
    this.#settleLoaded.reject(error)
    this.#running?.reject(error)
    this.#running = undefined
  }

  #endError(code: number | undefined): SluiceError {
    if (this.#reason !== undefined) return this.#reason
    const cause = this.#uncaught
    const why =
      cause === undefined
        ? `it ended with code ${String(code ?? 'unknown')}, as by process.exit(); let functions throw instead`
        : `${messageOf(cause)}; see the cause`
    return workerFailed(`the worker thread of ${this.#app} died: ${why}`, cause, true)
  }

  #sendBroadcasts(): void {
    while (this.#sentBroadcasts < this.#services.broadcasts.count) {
      this.#post(broadcastMessage(this.#services, this.#sentBroadcasts++))
    }
  }

  #receive(message: ToDriver): void {
    switch (message.kind) {
      case 'ready':
        this.#isLoaded = true
        this.#settleLoaded.resolve(message.functions)
        return
      case 'refused': {
        const cause = restoreError(message.error)
        const why = `a worker cannot load ${this.#app}: ${messageOf(cause)}; see the cause`
        this.#reason = workerFailed(why, cause, false)
        this.#settleLoaded.reject(this.#reason)
        void this.#worker.terminate()
        return
      }
      case 'put':
        void this.#put(message)
        return
      case 'done':
        this.#take(message.task)?.resolve(message)
        return
      case 'failed':
        this.#take(message.task)?.reject(restoreError(message.error))
        return
    }
  }

  #take(task: number): Running | undefined {
    const running = this.#running?.task === task ? this.#running : undefined
    if (running !== undefined) this.#running = undefined
    return running
  }

  async #put({ task, put, block }: PutMessage): Promise<void> {
    const running = this.#running
    if (running?.task !== task) return
    try {
      await running.put(block)
      this.#post({ kind: 'stored', put })
    } catch (error) {
      this.#post({ kind: 'stored', put, error: describeError(error) })
    }
  }

  #post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer)
  }
}

const nobody = { resolve: (): void => undefined, reject: (): void => undefined }

function startThread({ heapBytes }: WorkerThreadOptions, start: WorkerStart): Worker {
  try {
    return new Worker(bootstrapUrl(), {
      name: 'sluice-worker',
      workerData: start,
      transferList: [start.port],
      ...(heapBytes === undefined
        ? {}
        : { resourceLimits: { maxOldGenerationSizeMb: Math.max(1, Math.ceil(heapBytes / MEBIBYTE)) } }),
    })
  } catch (cause) {
    throw workerFailed(`a worker thread cannot be started: ${messageOf(cause)}; see the cause`, cause, false)
  }
}

/** The compiled bootstrap stands beside this file. Node 20 runs no TypeScript: from sources, that of the last build is taken. */
function bootstrapUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('../../dist/executor/worker-main.js', import.meta.url)
    : new URL('./worker-main.js', import.meta.url)
}

function broadcastMessage(services: ExecutorServices, index: number): BroadcastMessage {
  const { name, bytes } = services.broadcasts.encoded(index)
  return { kind: 'broadcast', name, bytes: isSluiceError(bytes) ? describeError(bytes) : bytes }
}

export function workerFailed(message: string, cause: unknown, retryable: boolean): SluiceError {
  return new SluiceError({ code: 'WORKER_FAILED', component: 'workers', message, cause, retryable })
}
