/**
 * Tasks in worker threads. A worker loads the app's module again, which registers the same functions (`task`), and takes
 * tasks as bytes: nothing is shared, and no closure is ever serialised (E24).
 */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { requireArgument } from '../errors.js'
import { StageCache, type StageMode } from '../rdd/compile.js'
import { functionByName, isEngineName } from '../rdd/functions.js'
import { requirePartitions } from '../rdd/partitioner.js'
import type { Task } from '../rdd/work.js'
import { decodeChunks, encodeChunks } from '../storage/chunks.js'
import { decodeRecords } from '../storage/codec.js'
import { schemeOf } from '../storage/paths.js'
import type { StoredBlock } from '../storage/block-store.js'
import { seconds, type Duration } from '../time/duration.js'
import type { Executor, ExecutorServices } from './executor.js'
import { runTask } from './local-executor.js'
import { LoopPacer } from './pacer.js'
import { describeTask, encodeHeader, type ChunkRange, type DescribeHost, type Described } from './task-codec.js'
import { sourceHash } from './worker-fingerprint.js'
import { stopped, WorkerPool } from './worker-pool.js'
import type { Block, DoneMessage } from './worker-protocol.js'
import type { TaskBytes } from './worker-thread.js'

export interface WorkerExecutorOptions {
  /**
   * The app's module: a URL or a path of JavaScript that Node can import. Each worker imports it. There contexts can be
   * made and streams declared, `start()` never returns and actions never resolve; what the module does besides, every
   * worker does too. Often `import.meta.url`.
   */
  readonly app: URL | string
  /** Worker threads. Default: as many as the machine runs at the same time. */
  readonly threads?: number | undefined
  /** Default number of partitions. Default: `threads`. */
  readonly parallelism?: number | undefined
  /** How long the app's module may take to load. Default: 60 s. */
  readonly startTimeout?: Duration | undefined
  /**
   * What a worker's heap may take in bytes; a worker that needs more dies and fails its task. A help, no guarantee: now and then V8
   * ends the process, and not the thread. Default: as Node decides.
   */
  readonly heapBytes?: number | undefined
  /** `'closures'` runs stages without generated code. Default: `'fused'`. */
  readonly stages?: StageMode | undefined
}

/** Where tasks ran, attempts counted each. */
export interface WorkerExecutorStats {
  readonly inWorkers: number
  readonly inDriver: number
  /** Why tasks ran in the driver, and how many. */
  readonly reasons: ReadonlyMap<string, number>
}

export interface WorkerExecutor extends Executor {
  stats(): WorkerExecutorStats
}

/**
 * Runs tasks in worker threads of this process. It belongs to one context, which starts it before its first action.
 *
 * A task goes to a worker when all its functions are registered by `task(name, fn)` while the app's module loads, and what
 * it reads is plain data or on this machine's disk; all others run in the driver ({@link WorkerExecutor.stats} says which
 * and why). Records that cross must be plain data (`UNSERIALIZABLE` otherwise). A worker that dies fails its task with
 * `WORKER_FAILED`, which is tried again on a fresh one.
 *
 * Starting rejects with `WORKER_FAILED` when the app cannot be loaded in a worker, or registers other functions there.
 */
export function workerExecutor(options: WorkerExecutorOptions): WorkerExecutor {
  const { threads = availableParallelism() } = options
  requireArgument(
    Number.isSafeInteger(threads) && threads >= 1,
    'workerExecutor',
    `threads must be a whole number of at least 1, not ${String(threads)}`,
  )
  requirePartitions(options.parallelism ?? 1, 'workerExecutor')
  return new ThreadExecutor({ ...options, threads })
}

const DEFAULT_START_TIMEOUT = seconds(60)
/** Tasks being prepared or taken home while others compute, beyond one for each thread. */
const EXTRA_SLOTS = 1

class ThreadExecutor implements WorkerExecutor {
  readonly '~sluice' = 'executor/1'
  readonly name = 'workers'
  readonly parallelism: number
  readonly slots: number
  readonly #options: WorkerExecutorOptions & { readonly threads: number }
  readonly #stages: StageCache
  readonly #reasons = new Map<string, number>()
  readonly #sameFunctions = new Map<string, boolean>()
  #pool: WorkerPool | undefined
  #starting: Promise<void> | undefined
  #services: ExecutorServices | undefined
  #pacer: LoopPacer | undefined
  #inWorkers = 0
  #inDriver = 0
  #closed = false

  constructor(options: WorkerExecutorOptions & { readonly threads: number }) {
    this.#options = options
    this.parallelism = options.parallelism ?? options.threads
    this.slots = options.threads + EXTRA_SLOTS
    this.#stages = new StageCache(options.stages)
  }

  stats(): WorkerExecutorStats {
    return { inWorkers: this.#inWorkers, inDriver: this.#inDriver, reasons: new Map(this.#reasons) }
  }

  async start(services: ExecutorServices): Promise<void> {
    if (this.#closed) throw stopped()
    requireArgument(
      (this.#services ??= services) === services,
      'workerExecutor',
      'an executor belongs to one context; make one for each',
    )
    this.#starting ??= this.#start(services).catch((error: unknown) => {
      this.#starting = undefined
      throw error
    })
    await this.#starting
  }

  async #start(services: ExecutorServices): Promise<void> {
    const { app, threads, stages, heapBytes, startTimeout = DEFAULT_START_TIMEOUT } = this.#options
    this.#pacer = new LoopPacer(services.clock)
    this.#pool = new WorkerPool({ app: moduleUrl(app), threads, stages, heapBytes, startTimeout }, services)
    await this.#pool.start()
  }

  async run(task: Task, services: ExecutorServices): Promise<unknown> {
    await this.start(services)
    const described = describeTask(task, this.#host(services))
    if (described.driverOnly !== undefined) return this.#runInDriver(task, described.driverOnly, services)
    this.#inWorkers++
    return this.#runInWorker(described, services)
  }

  #runInDriver(task: Task, reason: string, services: ExecutorServices): Promise<unknown> {
    this.#inDriver++
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1)
    return runTask(task, services, this.#stages, this.#pacer as LoopPacer)
  }

  async #runInWorker(
    described: Exclude<Described, { driverOnly: string }>,
    services: ExecutorServices,
  ): Promise<unknown> {
    const bytes = await this.#encode(described, services)
    const done = await this.#runOnThread(bytes, services)
    for (const block of done.kept) await putBlock(block, services)
    services.addToAccumulators(decodeChunks(done.added) as [string, unknown][])
    return this.#result(done)
  }

  async #runOnThread(bytes: TaskBytes, services: ExecutorServices): Promise<DoneMessage> {
    const pool = this.#pool as WorkerPool
    const thread = await pool.acquire()
    try {
      return await thread.run(bytes, (block) => putBlock(block, services))
    } finally {
      pool.release(thread)
    }
  }

  async #encode(
    { data, inputs }: Exclude<Described, { driverOnly: string }>,
    services: ExecutorServices,
  ): Promise<TaskBytes> {
    const chunks = new ChunkList(this.#pacer as LoopPacer)
    const records: ChunkRange[] = []
    const blocks: [string, ChunkRange][] = []
    const shuffles: [string, ChunkRange][] = []
    for (const each of inputs.records) records.push(await chunks.add([{ packed: false, records: each }]))
    for (const [id, block] of inputs.blocks) blocks.push([id, await chunks.add([block])])
    for (const [key, parts] of inputs.shuffles) shuffles.push([key, await chunks.add(parts)])
    const { spillRecords } = services
    const header = encodeHeader({ task: data, inputs: { records, blocks, shuffles }, spillRecords })
    return { header, chunks: chunks.all, transfer: [header.buffer, ...chunks.own] }
  }

  async #result({ result, many }: DoneMessage): Promise<unknown> {
    if (!many) return decodeRecords(result[0] as Uint8Array)[0]
    const all: unknown[] = []
    for (const chunk of result) {
      for (const record of decodeRecords(chunk)) all.push(record)
      await this.#breathe()
    }
    return all
  }

  async #breathe(): Promise<void> {
    const pacer = this.#pacer as LoopPacer
    if (pacer.ran(0)) await pacer.yield()
  }

  #host(services: ExecutorServices): DescribeHost {
    return {
      knows: (name) => isEngineName(name) || this.#isSameFunction(name),
      isOnDisk: (path) => services.isOnDisk(path),
      storedBlock: (id) => services.storedBlock(id),
      storedShuffleBlocks: (shuffle, partition) => services.storedShuffleBlocks(shuffle, partition),
    }
  }

  /** One registered after the workers started may be unknown there, or another. */
  #isSameFunction(name: string): boolean {
    let same = this.#sameFunctions.get(name)
    if (same === undefined) {
      same = this.#pool?.functions.get(name) === sourceHash(functionByName(name))
      this.#sameFunctions.set(name, same)
    }
    return same
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#pool?.close()
  }
}

/** Chunks that go with a task, encoded in turns. */
class ChunkList {
  readonly all: Uint8Array[] = []
  /** Buffers that nobody else holds. */
  readonly own: ArrayBuffer[] = []
  readonly #pacer: LoopPacer

  constructor(pacer: LoopPacer) {
    this.#pacer = pacer
    pacer.begin()
  }

  async add(blocks: readonly StoredBlock[]): Promise<ChunkRange> {
    const from = this.all.length
    for (const { packed, records } of blocks) {
      const held = records instanceof Promise ? await records : records
      if (packed) for (const chunk of held as readonly Uint8Array[]) this.#addPacked(chunk)
      else await this.#addRecords(held)
    }
    return [from, this.all.length]
  }

  // The store keeps these bytes: they are copied into the message. One of a larger buffer would take all of that along.
  #addPacked(chunk: Uint8Array): void {
    this.all.push(chunk.byteLength === chunk.buffer.byteLength ? chunk : new Uint8Array(chunk))
  }

  async #addRecords(records: readonly unknown[]): Promise<void> {
    for (const chunk of encodeChunks(records)) {
      this.all.push(chunk)
      this.own.push(chunk.buffer)
      if (this.#pacer.ran(0)) await this.#pacer.yield()
    }
  }
}

function putBlock({ id, chunks, level }: Block, services: ExecutorServices): Promise<void> | undefined {
  return services.putPacked(id, chunks, level)
}

function moduleUrl(app: URL | string): string {
  if (typeof app !== 'string') return app.href
  return schemeOf(app) === undefined ? pathToFileURL(resolve(app)).href : app
}
