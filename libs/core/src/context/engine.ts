/** What runs jobs: executor, block store, shuffles, file systems. One per context; RDDs and streams share it. */
import { tmpdir } from 'node:os'
import { messageOf, SluiceError } from '../errors.js'
import type { Executor, ExecutorServices } from '../executor/executor.js'
import { JobRunner, type JobContext } from '../executor/job-runner.js'
import type { Logger } from '../observe/logger.js'
import { AccumulatorRegistry } from '../rdd/accumulator.js'
import { BroadcastRegistry } from '../rdd/broadcast.js'
import { ShuffleNode, type RddNode } from '../rdd/lineage.js'
import type { BlockRecords, Spill } from '../rdd/pipeline.js'
import type { ShuffleOutput } from '../rdd/shuffle-writer.js'
import { OutputWriter } from '../scheduler/output-writer.js'
import type { ScopeHost } from '../scheduler/batch-scope.js'
import type { Sink, SinkContext } from '../sink/sink.js'
import { textFolderSink } from '../sink/text-file-sink.js'
import { BlockStore, type StoredBlock } from '../storage/block-store.js'
import { isNodeFileSystem, nodeFileSystem } from '../storage/node-file-system.js'
import type { Host } from '../storage/host.js'
import type { FileSystems } from '../storage/paths.js'
import { readLines } from '../storage/text.js'
import type { Clock } from '../time/clock.js'

export interface EngineOptions {
  readonly executor: Executor
  readonly clock: Clock
  readonly host: Host
  readonly logger: Logger
  readonly fileSystems: FileSystems
  readonly memoryBudgetBytes: number
  readonly spillRecords: number
  readonly taskMaxFailures: number
  /** Folder for blocks that do not fit in memory. */
  readonly localDirectory: string | undefined
}

/** For whom a sink is opened. */
type SinkJob = Pick<JobContext, 'app' | 'signal' | 'epoch'> & Partial<Pick<SinkContext, 'lastPlanned' | 'replaced'>>

interface OpenSink {
  readonly sink: Sink<unknown>
  readonly opened: Promise<void>
  /** Writes under way. */
  users: number
  /** Set when another sink has come for the output: closed when nobody writes to it any more. */
  replaced: boolean
}

export class Engine implements ScopeHost {
  readonly runId: string
  readonly clock: Clock
  readonly host: Host
  readonly logger: Logger
  readonly fileSystems: FileSystems
  readonly blocks: BlockStore
  readonly runner: JobRunner
  readonly accumulators = new AccumulatorRegistry()
  readonly broadcasts = new BroadcastRegistry()
  readonly #executor: Executor
  readonly #services: ExecutorServices
  readonly #shuffles = new Map<string, readonly ShuffleOutput[]>()
  /** Open sinks by their output. */
  readonly #sinks = new Map<string, OpenSink>()
  readonly #openSinks = new Set<Sink<unknown>>()
  readonly #forgotten: FinalizationRegistry<string>
  #started: Promise<void> | undefined
  #nextSpill = 0
  #lastTime = 0
  #closed = false

  constructor(options: EngineOptions) {
    this.clock = options.clock
    this.host = options.host
    this.runId = options.host.newIdentity()
    this.logger = options.logger
    this.fileSystems = options.fileSystems
    this.#executor = options.executor
    this.blocks = new BlockStore({
      fileSystem: nodeFileSystem(),
      directory: options.localDirectory ?? tmpdir(),
      memoryBudgetBytes: options.memoryBudgetBytes,
      instance: options.host.newIdentity(),
    })
    this.#forgotten = new FinalizationRegistry((id) => {
      this.#dropShuffle(id)
    })
    this.#services = this.#servicesOf(options)
    this.runner = new JobRunner(options.executor, this.#services, this.#shuffles, this.accumulators, {
      taskMaxFailures: options.taskMaxFailures,
      onShuffle: (node) => {
        this.#forgotten.register(node, node.id)
      },
    })
  }

  get parallelism(): number {
    return this.#executor.parallelism
  }

  #servicesOf({ clock, spillRecords, localDirectory = tmpdir() }: EngineOptions): ExecutorServices {
    return {
      clock,
      spillRecords,
      localDirectory,
      shuffleBlocks: (shuffle, partition) => this.#shuffleBlocks(shuffle, partition, (id) => this.blocks.get(id)),
      storedShuffleBlocks: (shuffle, partition) =>
        this.#shuffleBlocks(shuffle, partition, (id) => this.blocks.getStored(id)),
      block: (id) => this.blocks.get(id),
      lend: (id) => this.blocks.lend(id),
      storedBlock: (id) => this.blocks.getStored(id),
      putBlock: (id, records, level) => this.blocks.put(id, records, level, { recomputable: level === 'memory' }),
      putPacked: (id, chunks, level) =>
        this.blocks.put(id, chunks, level, { recomputable: level === 'memory', packed: true }),
      removeBlocks: (prefix) => void this.blocks.removePrefix(prefix),
      isOnDisk: (path) => isNodeFileSystem(this.fileSystems.resolve(path).fileSystem),
      broadcasts: this.broadcasts,
      addToAccumulators: (added) => {
        this.accumulators.addAll(added)
      },
      openSpill: () => Promise.resolve(this.#openSpill()),
      lines: (path, start, length) => {
        const resolved = this.fileSystems.resolve(path)
        return readLines(resolved.fileSystem, resolved.path, { start, length })
      },
      bytes: (path) => {
        const resolved = this.fileSystems.resolve(path)
        return resolved.fileSystem.read(resolved.path)
      },
    }
  }

  *#shuffleBlocks<B extends StoredBlock | BlockRecords>(
    shuffle: string,
    partition: number,
    get: (id: string) => B | undefined,
  ): Generator<B> {
    const outputs = this.#shuffles.get(shuffle)
    // Never an empty partition instead.
    if (outputs === undefined) throw droppedBlock(`${shuffle}/${String(partition)}`)
    for (const output of outputs) {
      for (const id of output.blocks[partition] ?? []) {
        const block = get(id)
        if (block === undefined) throw droppedBlock(id)
        yield block
      }
    }
  }

  #openSpill(): Spill & { remove(): Promise<void> } {
    const id = `spill-${String(this.#nextSpill++)}`
    const writer = this.blocks.openSpill(id)
    let handle: ReturnType<typeof writer.close> | undefined
    return {
      append: (records) => writer.append(records),
      read: () => readClosed(this.blocks, (handle ??= writer.close())),
      remove: async () => {
        // What could not be written is gone, too.
        await (handle ??= writer.close()).catch(() => undefined)
        await this.blocks.remove(id)
      },
    }
  }

  dropBlocks(node: RddNode): void {
    for (let index = 0; index < node.partitions; index++) void this.blocks.remove(node.blockId(index))
  }

  /** Releases what these RDDs, and those they are made of, keep. */
  release(nodes: readonly RddNode[]): void {
    const stack = [...nodes]
    const seen = new Set<RddNode>()
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (seen.has(node)) continue
      seen.add(node)
      if (node.level !== undefined) this.dropBlocks(node)
      if (node instanceof ShuffleNode) this.#dropShuffle(node.id)
      // A stream's own RDDs are among `nodes` when their time has come; those in between are known to nobody else.
      for (const parent of node.parents) if (!parent.isOwned) stack.push(parent)
    }
  }

  #dropShuffle(id: string): void {
    if (!this.#shuffles.delete(id) || this.#closed) return
    void this.blocks.removePrefix(`${id}/`)
  }

  async saveAsTextFile(node: RddNode, path: string, job: JobContext): Promise<void> {
    const { fileSystem, path: folder } = this.fileSystems.resolve(path)
    if (job.batchTime === undefined && (await fileSystem.stat(folder)) !== undefined) throw folderExists(path)
    const sink = textFolderSink<unknown>(folder, { skipEmpty: false, fileSystem })
    const time = this.#timeOf(job)
    await sink.open?.(this.#sinkContext({ ...job, lastPlanned: time }, `saveAsTextFile ${path}`))
    await this.#write(node, sink, `${job.output}/saveAsTextFile`, job, time)
  }

  async writeTo(node: RddNode, sink: Sink<unknown>, output: string, job: JobContext): Promise<void> {
    const time = this.#timeOf(job)
    const entry = this.#sinkOf(sink, output, { ...job, lastPlanned: time })
    entry.users++
    try {
      await entry.opened
      await this.#write(node, sink, output, job, time)
    } finally {
      entry.users--
      await this.#closeReplaced(entry)
    }
  }

  /** Outside of a batch no two writes have the same time: the second would count as the first one, run again. */
  #timeOf(job: JobContext): number {
    return job.batchTime ?? (this.#lastTime = Math.max(this.#lastTime + 1, this.clock.now()))
  }

  #write(node: RddNode, sink: Sink<unknown>, output: string, job: JobContext, batchTime: number): Promise<void> {
    const { app, planDigest, epoch = 0 } = job
    const id = { app, output, batchTime, planDigest: planDigest?.() ?? '', epoch }
    return new OutputWriter(sink, undefined, this.runner, this.clock).write(node, { id, offsets: {}, job })
  }

  /** Opens a sink for an output, once. */
  openSink(sink: Sink<unknown>, output: string, job: SinkJob): Promise<void> {
    return this.#sinkOf(sink, output, job).opened
  }

  // A program may make a new sink in every batch: then the one before is closed.
  #sinkOf(sink: Sink<unknown>, output: string, job: SinkJob): OpenSink {
    const before = this.#sinks.get(output)
    if (before?.sink === sink) return before
    const opened = this.#open(sink, output, job).catch((error: unknown) => {
      if (this.#sinks.get(output) === entry) this.#sinks.delete(output)
      throw error
    })
    const entry: OpenSink = { sink, opened, users: 0, replaced: false }
    this.#sinks.set(output, entry)
    if (before !== undefined) {
      before.replaced = true
      void this.#closeReplaced(before)
    }
    return entry
  }

  async #open(sink: Sink<unknown>, output: string, job: SinkJob): Promise<void> {
    try {
      await sink.open?.(this.#sinkContext(job, output))
    } catch (error) {
      // It may have connected before it failed. One that is open for another output is closed with that.
      if (!this.#openSinks.has(sink)) await this.#closeLogged(sink)
      throw error
    }
    if (this.#closed) {
      await sink.close?.()
      throw closedWhileOpening(output)
    }
    this.#openSinks.add(sink)
  }

  async #closeReplaced({ sink, users, replaced }: OpenSink): Promise<void> {
    if (!replaced || users > 0 || [...this.#sinks.values()].some((entry) => entry.sink === sink)) return
    if (this.#openSinks.delete(sink)) await this.#closeLogged(sink)
  }

  async #closeLogged(sink: Sink<unknown>): Promise<void> {
    try {
      await sink.close?.()
    } catch (error) {
      this.logger.warn(`[${sink.name}] close failed: ${messageOf(error)}`)
    }
  }

  #sinkContext(job: SinkJob, output: string): SinkContext {
    return {
      app: job.app,
      output,
      epoch: job.epoch ?? 0,
      lastPlanned: job.lastPlanned,
      replaced: job.replaced,
      logger: this.logger,
      clock: this.clock,
      signal: job.signal ?? new AbortController().signal,
    }
  }

  /** Starts the executor, once. After a failure it may be tried again. */
  start(): Promise<void> {
    this.#started ??= this.#startExecutor().catch((error: unknown) => {
      this.#started = undefined
      throw error
    })
    return this.#started
  }

  async #startExecutor(): Promise<void> {
    await this.#executor.start?.(this.#services)
  }

  /** Closes sinks, executor and store. The first error is thrown when all has been closed. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const closers = [
      ...[...this.#openSinks].map((sink) => async () => sink.close?.()),
      async () => this.#executor.close?.(),
      () => this.blocks.close(),
    ]
    let failure: { readonly error: unknown } | undefined
    for (const close of closers) {
      try {
        await close()
      } catch (error) {
        failure ??= { error }
      }
    }
    if (failure !== undefined) throw failure.error
  }
}

async function* readClosed(
  blocks: BlockStore,
  closed: ReturnType<ReturnType<BlockStore['openSpill']>['close']>,
): AsyncGenerator<unknown[]> {
  yield* blocks.readSpill(await closed)
}

function droppedBlock(id: string): SluiceError {
  return new SluiceError({
    code: 'RDD_DROPPED',
    component: 'shuffle',
    message: `block ${id} is not there any more; its batch has been cleaned up`,
  })
}

function closedWhileOpening(output: string): SluiceError {
  return new SluiceError({
    code: 'STOPPED',
    component: output,
    message: 'the context was stopped while the sink opened',
  })
}

function folderExists(path: string): SluiceError {
  return new SluiceError({
    code: 'OUTPUT_EXISTS',
    component: 'saveAsTextFile',
    message: `${path} exists already; remove it or choose another folder`,
  })
}
