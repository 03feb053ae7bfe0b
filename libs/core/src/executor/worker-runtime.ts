/** A worker thread: loads the app's module for its functions, then runs one task after another. Shares no memory. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { MessagePort } from 'node:worker_threads'
import { SluiceError } from '../errors.js'
import { StageCache } from '../rdd/compile.js'
import { becomeWorker, type TaskScope, type WorkerHost } from '../rdd/worker-mode.js'
import { encodeChunks } from '../storage/chunks.js'
import { decodeRecords, encodeRecords } from '../storage/codec.js'
import { systemClock } from '../time/system-clock.js'
import { runTask } from './local-executor.js'
import { LoopPacer } from './pacer.js'
import { describeError, restoreError, type ErrorData } from './task-codec-errors.js'
import { decodeHeader, TaskRestorer } from './task-codec.js'
import { fingerprint } from './worker-fingerprint.js'
import type {
  Block,
  BroadcastMessage,
  Bytes,
  DoneMessage,
  StoredMessage,
  TaskMessage,
  ToDriver,
  ToWorker,
  WorkerStart,
} from './worker-protocol.js'
import { WorkerDisk, WorkerTask } from './worker-task.js'

/** Makes this thread a worker, loads the app and waits for tasks. */
export function runWorker(start: WorkerStart): void {
  const runtime = new WorkerRuntime(start)
  becomeWorker(runtime)
  void runtime.load(start.app)
}

class WorkerRuntime implements WorkerHost {
  readonly '~sluice' = 'worker-host/1'
  readonly task = new AsyncLocalStorage<TaskScope>()
  readonly shared = new Map<string, number>()
  readonly #port: MessagePort
  readonly #broadcasts = new Map<string, { bytes: Uint8Array | ErrorData } | { value: unknown }>()
  readonly #stages: StageCache
  readonly #restorer = new TaskRestorer()
  readonly #pacer = new LoopPacer(systemClock)
  readonly #disk: WorkerDisk
  readonly #puts = new Map<number, { resolve(): void; reject(error: unknown): void }>()
  #nextPut = 0
  #isReady = false

  constructor({ port, stages, folder, broadcasts }: WorkerStart) {
    this.#port = port
    this.#stages = new StageCache(stages)
    this.#disk = new WorkerDisk(systemClock, folder)
    for (const message of broadcasts) this.#receiveBroadcast(message)
    port.on('message', (message: ToWorker) => {
      this.#receive(message)
    })
  }

  /** Loads the app. An app that waits for ever, as at `await ssc.start()`, is ready when it has come there. */
  async load(app: string): Promise<void> {
    try {
      await import(app)
      this.#ready()
    } catch (error) {
      // Too late to refuse: what the module does after `start()` has failed, and ends the thread.
      if (this.#isReady) throw error
      this.#post({ kind: 'refused', error: describeError(error) })
    }
  }

  parked(): void {
    // The module may go on after an action that it does not await: what it registers then is wanted too.
    void systemClock.yield().then(() => {
      this.#ready()
    })
  }

  #ready(): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#post({ kind: 'ready', functions: fingerprint() })
  }

  broadcast(name: string): unknown {
    const entry = this.#broadcasts.get(name)
    if (entry === undefined) throw unknownBroadcast(name)
    if ('value' in entry) return entry.value
    if (!(entry.bytes instanceof Uint8Array)) throw restoreError(entry.bytes)
    const [value] = decodeRecords(entry.bytes)
    this.#broadcasts.set(name, { value })
    return value
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case 'broadcast':
        this.#receiveBroadcast(message)
        return
      case 'stored':
        this.#stored(message)
        return
      case 'task':
        void this.#runTask(message)
        return
    }
  }

  #receiveBroadcast({ name, bytes }: BroadcastMessage): void {
    this.#broadcasts.set(name, { bytes })
  }

  #stored({ put, error }: StoredMessage): void {
    const waiting = this.#puts.get(put)
    this.#puts.delete(put)
    if (error === undefined) waiting?.resolve()
    else waiting?.reject(restoreError(error))
  }

  async #runTask(message: TaskMessage): Promise<void> {
    const { task } = message
    try {
      const done = await this.#perform(message)
      this.#post(done, transferOf(done))
    } catch (error) {
      this.#post({ kind: 'failed', task, error: describeError(error) })
    }
  }

  async #perform({ task: number, header: bytes, chunks }: TaskMessage): Promise<DoneMessage> {
    const header = decodeHeader(bytes)
    const own = new WorkerTask(header, chunks, this.#disk, (block) => this.#put(number, block))
    const task = this.#restorer.task(header.task, (input) => own.records(input))
    const scope: TaskScope = { added: [] }
    const result = await this.task.run(scope, () => runTask(task, own, this.#stages, this.#pacer))
    await own.settle()
    const many = Array.isArray(result)
    return {
      kind: 'done',
      task: number,
      many,
      result: many ? [...encodeChunks(result)] : [encodeRecords([result]) as Bytes],
      kept: own.kept,
      added: [...encodeChunks(scope.added)],
    }
  }

  #put(task: number, block: Block): Promise<void> {
    const put = this.#nextPut++
    return new Promise((resolve, reject) => {
      this.#puts.set(put, { resolve, reject })
      this.#post(
        { kind: 'put', task, put, block },
        block.chunks.map((chunk) => chunk.buffer),
      )
    })
  }

  #post(message: ToDriver, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer)
  }
}

function transferOf({ result, kept, added }: DoneMessage): ArrayBuffer[] {
  return [...result, ...added, ...kept.flatMap(({ chunks }) => chunks)].map((chunk) => chunk.buffer)
}

function unknownBroadcast(name: string): SluiceError {
  return new SluiceError({
    code: 'TASK_NOT_REGISTERED',
    component: 'broadcast',
    message: `the driver has no broadcast named '${name}'; make it while the app's module loads, with the same name in both`,
  })
}
