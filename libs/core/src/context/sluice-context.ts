/** The entry to RDDs without streams: Spark's SparkContext. */
import { requireArgument, SluiceError } from '../errors.js'
import type { Executor } from '../executor/executor.js'
import { localExecutor } from '../executor/local-executor.js'
import { consoleLogger, type Logger, type LogLevel } from '../observe/logger.js'
import type { Accumulator } from '../rdd/accumulator.js'
import type { Broadcast } from '../rdd/broadcast.js'
import { textOfBytes } from '../rdd/engine-functions.js'
import { LazySourceNode, NarrowNode, SourceNode, type RddNode } from '../rdd/lineage.js'
import { bareId } from '../rdd/op.js'
import { requirePartitions } from '../rdd/partitioner.js'
import type { Rdd } from '../rdd/rdd.js'
import { RddImpl, self } from '../rdd/rdd-impl.js'
import type { RddScope } from '../rdd/scope.js'
import { unionOf } from '../rdd/union.js'
import { parkedInWorker } from '../rdd/worker-mode.js'
import type { OpOptions, Pair } from '../rdd/types.js'
import type { Work } from '../rdd/work.js'
import type { Sink } from '../sink/sink.js'
import { FileSystems, type SchemeFileSystem } from '../storage/paths.js'
import type { FileSystem } from '../storage/file-system.js'
import { systemHost, type Host } from '../storage/host.js'
import type { Clock } from '../time/clock.js'
import { systemClock } from '../time/system-clock.js'
import { Engine } from './engine.js'
import { textSources, wholeFileSources } from './text-sources.js'

export interface SluiceContextOptions {
  /** A label for logs. Default: `sluice`. */
  readonly appName?: string | undefined
  /** Where tasks run. Default: in this process. */
  readonly executor?: Executor | undefined
  /** Default number of partitions. Default: the executor's. */
  readonly parallelism?: number | undefined
  /** What blocks in memory may take, estimated, in bytes. Default: 512 MiB. */
  readonly memoryBudgetBytes?: number | undefined
  /** Keys, records or grouped values that one operator holds in a task before it spills. Default: one for each 512 bytes of the budget. */
  readonly spillRecords?: number | undefined
  /** Tries of a task before its job fails. Default: 4. */
  readonly taskMaxFailures?: number | undefined
  /** Folder for blocks that do not fit in memory. Default: the system's temporary folder. */
  readonly localDirectory?: string | undefined
  /** File systems for URL schemes, e.g. of `@sluice/sink-hdfs`. */
  readonly fileSystems?: readonly SchemeFileSystem[] | undefined
  /** What paths without a scheme name. Default: the local disk. */
  readonly localFileSystem?: FileSystem | undefined
  readonly clock?: Clock | undefined
  /** The machine: for simulations, in which several processes are one. Default: the machine that this process runs on. */
  readonly host?: Host | undefined
  /** Least level of what is logged to stderr. Default: `info`. */
  readonly log?: LogLevel | undefined
  /** Instead of stderr. */
  readonly logger?: Logger | undefined
}

const DEFAULT_BUDGET_BYTES = 512 * 2 ** 20
const BYTES_PER_SPILL_RECORD = 512

export class SluiceContext implements RddScope {
  readonly '~sluice' = 'context/1'
  readonly appName: string
  readonly outlivesBatches = true
  /** Of the engine's inside; not for applications. */
  readonly engine: Engine
  readonly #parallelism: number | undefined
  readonly #counters = new Map<string, number>()
  #stopped = false

  constructor(options: SluiceContextOptions = {}) {
    this.appName = options.appName ?? 'sluice'
    if (options.parallelism !== undefined) requirePartitions(options.parallelism, 'parallelism')
    this.#parallelism = options.parallelism
    const memoryBudgetBytes = options.memoryBudgetBytes ?? DEFAULT_BUDGET_BYTES
    const spillRecords = options.spillRecords ?? Math.max(1_000, Math.floor(memoryBudgetBytes / BYTES_PER_SPILL_RECORD))
    requireArgument(spillRecords >= 1, 'context', `spillRecords must be at least 1, not ${String(spillRecords)}`)
    this.engine = new Engine({
      executor: options.executor ?? localExecutor(),
      clock: options.clock ?? systemClock,
      host: options.host ?? systemHost(),
      logger: options.logger ?? consoleLogger(options.log),
      fileSystems: new FileSystems({ fileSystems: options.fileSystems, local: options.localFileSystem }),
      memoryBudgetBytes,
      spillRecords,
      taskMaxFailures: options.taskMaxFailures ?? 4,
      localDirectory: options.localDirectory,
    })
  }

  /** Default number of partitions. */
  get parallelism(): number {
    return this.#parallelism ?? this.engine.parallelism
  }

  /** An RDD of records at hand, cut into `partitions` parts of like size. The array must not be changed afterwards. */
  parallelize<T>(records: readonly T[], partitions = this.parallelism): Rdd<T> {
    requirePartitions(partitions, 'parallelize')
    const cut = (i: number): number => Math.floor((i * records.length) / partitions)
    const parts =
      partitions === 1 ? [records] : Array.from({ length: partitions }, (_, i) => records.slice(cut(i), cut(i + 1)))
    return this.rdd(new SourceNode(parts.map((part) => ({ kind: 'records', records: part }))))
  }

  /** The numbers `start`, `start + step`, … below `end` (above, for a negative step). */
  range(
    start: number,
    end: number,
    options: { readonly step?: number | undefined; readonly partitions?: number | undefined } = {},
  ): Rdd<number> {
    const { step = 1, partitions = this.parallelism } = options
    requirePartitions(partitions, 'range')
    requireArgument(
      step !== 0 && [start, end, step].every(Number.isFinite),
      'range',
      'start, end and step must be finite, and step not 0',
    )
    const count = Math.max(0, Math.ceil((end - start) / step))
    const cut = (i: number): number => Math.floor((i * count) / partitions)
    const sources = Array.from({ length: partitions }, (_, i) => {
      return { kind: 'range' as const, start: start + cut(i) * step, step, count: cut(i + 1) - cut(i) }
    })
    return this.rdd(new SourceNode(sources))
  }

  /** The lines of a text file, or of all files of a folder in the order of their names; `.gz` is unpacked. */
  textFile(path: string, partitions = this.parallelism): Rdd<string> {
    requirePartitions(partitions, 'textFile')
    return this.rdd(new LazySourceNode(partitions, () => textSources(this.engine.fileSystems, path, partitions)))
  }

  /** Pairs of path and text, one for each file of a folder. */
  wholeTextFiles(path: string, partitions = this.parallelism): Rdd<Pair<string, string>> {
    requirePartitions(partitions, 'wholeTextFiles')
    const files = new LazySourceNode(partitions, () => wholeFileSources(this.engine.fileSystems, path, partitions))
    return this.rdd<Pair<string, Uint8Array>>(files).mapValues(textOfBytes)
  }

  /** The records of object files (`saveAsObjectFiles`), of one file or of all files of a folder. */
  objectFile<T>(path: string, partitions = this.parallelism): Rdd<T> {
    requirePartitions(partitions, 'objectFile')
    const files = new LazySourceNode(partitions, () => wholeFileSources(this.engine.fileSystems, path, partitions))
    const fn = { builtin: 'objects', args: [] }
    return this.rdd(new NarrowNode(files, { kind: 'flatMap', id: this.opId('objectFile'), fn }))
  }

  /** The records of several RDDs, one after another. */
  union<T>(first: Rdd<T>, ...others: readonly Rdd<T>[]): Rdd<T> {
    return this.rdd(unionOf([first, ...others].map((rdd) => self(rdd).node)))
  }

  /**
   * A value that tasks read, wherever they run: large or costly ones are sent to each worker thread once, not with every
   * task. Nobody may change it.
   *
   * Worker threads know it by its name: make it while the app's module loads, and have functions read `value` from the
   * handle. There, as after a restart, the module makes the handle again, which has the value of the driver that runs
   * now; no singleton is needed. Default name: by its number in the context. Two of one name are `ARGUMENT_INVALID`.
   */
  broadcast<T>(value: T, options: { readonly name?: string | undefined } = {}): Broadcast<T> {
    return this.engine.broadcasts.broadcast(value, options.name)
  }

  /**
   * A variable that tasks only add to; what a failed attempt added does not count. Worker threads know it by its name,
   * unique in the context: make it while the app's module loads.
   */
  accumulator<A, V = A>(name: string, zero: A, add: (acc: A, value: V) => A): Accumulator<A, V> {
    return this.engine.accumulators.accumulator(name, zero, add)
  }

  /** Ends the executor and releases memory and disk. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.engine.close()
  }

  rdd<T>(node: RddNode): Rdd<T> {
    return new RddImpl<T>(node, this)
  }

  opId(kind: string, options?: OpOptions): string {
    if (options?.name !== undefined) return bareId(options.name)
    const number = this.#counters.get(kind) ?? 0
    this.#counters.set(kind, number + 1)
    return bareId(`${kind}-${String(number)}`)
  }

  async run(node: RddNode, work: Work, operator: string, partitions?: readonly number[]): Promise<unknown[]> {
    const job = this.#job(operator)
    await (parkedInWorker(operator) ?? this.engine.start())
    return this.engine.runner.run(node, work, operator, job, partitions)
  }

  async runInline(records: readonly unknown[], work: Work, operator: string): Promise<unknown> {
    const job = this.#job(operator)
    await (parkedInWorker(operator) ?? this.engine.start())
    return this.engine.runner.runInline(records, work, operator, job)
  }

  dropBlocks(node: RddNode): void {
    this.engine.dropBlocks(node)
  }

  async saveAsTextFile(node: RddNode, path: string): Promise<void> {
    const job = this.#job('saveAsTextFile')
    await (parkedInWorker('saveAsTextFile') ?? this.engine.start())
    await this.engine.saveAsTextFile(node, path, job)
  }

  async writeTo(node: RddNode, sink: Sink<unknown>, name: string | undefined): Promise<void> {
    const output = name ?? `${sink.name} ${sink.target}`
    const job = this.#job('writeTo')
    await (parkedInWorker('writeTo') ?? this.engine.start())
    await this.engine.writeTo(node, sink, output, job)
  }

  #job(output: string): { app: string; output: string; batchTime: undefined } {
    if (this.#stopped) {
      throw new SluiceError({
        code: 'STOPPED',
        component: output,
        message: 'the context has been stopped; make a new one',
      })
    }
    return { app: this.engine.runId, output, batchTime: undefined }
  }
}
