/**
 * From an action to tasks: prepares what the RDD is made of (shuffles, samples), runs its tasks on the executor, some at a
 * time and each again after a failure, and gives the results by partition.
 */
import { isSluiceError, messageOf, SluiceError } from '../errors.js'
import type { Preparer, RddNode, ShuffleNode } from '../rdd/lineage.js'
import type { Pipeline } from '../rdd/pipeline.js'
import type { ShuffleOutput } from '../rdd/shuffle-writer.js'
import type { Work } from '../rdd/work.js'
import type { ErrorCode } from '../errors.js'
import type { Executor, ExecutorServices } from './executor.js'
import { inSlots } from './pool.js'
import type { AccumulatorRegistry } from '../rdd/accumulator.js'

/** For whom a job runs; part of every task's identity. */
export interface JobContext {
  readonly app: string
  readonly output: string
  readonly batchTime: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Of a batch: what its sinks are told (E1). */
  readonly planDigest?: (() => string) | undefined
  readonly epoch?: number | undefined
  /** Tries of each task. Default: as the runner's options say. */
  readonly maxFailures?: number | undefined
}

export interface JobRunnerOptions {
  /** Tries of a task before its job fails. */
  readonly taskMaxFailures: number
  /** Told of each shuffle whose outputs are kept from now on. */
  onShuffle(node: ShuffleNode): void
}

// Trying again cannot help: the program or the data is wrong.
const finalCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARGUMENT_INVALID',
  'ASYNC_FUNCTION',
  'FROZEN_VALUE',
  'IDENTITY_CONFLICT',
  'KEY_INVALID',
  'PAIR_EXPECTED',
  'TASK_NOT_REGISTERED',
  'UNSERIALIZABLE',
  'ABORTED',
  'STOPPED',
])

export class JobRunner {
  readonly #executor: Executor
  readonly #services: ExecutorServices
  /** Map outputs of shuffles: made once, shared by all jobs that need them, and visible when all their tasks succeeded. */
  readonly #shuffles: Map<string, readonly ShuffleOutput[]>
  readonly #underWay = new Map<string, Promise<readonly ShuffleOutput[]>>()
  readonly #accumulators: AccumulatorRegistry
  readonly #options: JobRunnerOptions

  constructor(
    executor: Executor,
    services: ExecutorServices,
    shuffles: Map<string, readonly ShuffleOutput[]>,
    accumulators: AccumulatorRegistry,
    options: JobRunnerOptions,
  ) {
    this.#executor = executor
    this.#services = services
    this.#shuffles = shuffles
    this.#accumulators = accumulators
    this.#options = options
  }

  /** Runs `work` over partitions of `node`; results in the order of `indexes`. */
  async run(
    node: RddNode,
    work: Work,
    operator: string,
    job: JobContext,
    indexes: readonly number[] = allOf(node),
  ): Promise<unknown[]> {
    await this.#prepare(node, job)
    return this.#runTasks(indexes, (index) => node.pipeline(index), node.partitions, work, operator, job)
  }

  /** Runs `work` over records at hand. */
  async runInline(records: readonly unknown[], work: Work, operator: string, job: JobContext): Promise<unknown> {
    const pipeline: Pipeline = { source: { kind: 'records', records }, ops: [] }
    const [result] = await this.#runTasks([0], () => pipeline, 1, work, operator, job)
    return result
  }

  /** Makes everything ready that `node` is computed from. */
  async #prepare(node: RddNode, job: JobContext): Promise<void> {
    const preparer: Preparer = {
      runAll: (other, work, operator) => this.run(other, work, operator, job),
      runInline: (records, work, operator) => this.runInline(records, work, operator, job),
      shuffle: (shuffle) => this.#shuffle(shuffle, job),
    }
    for (const each of inOrder(node, (shuffle) => this.#shuffles.has(shuffle.id))) {
      const ready = each.prepare(preparer)
      if (ready !== undefined) await ready
    }
  }

  #shuffle(node: ShuffleNode, job: JobContext): Promise<void> {
    if (this.#shuffles.has(node.id)) return Promise.resolve()
    let underWay = this.#underWay.get(node.id)
    if (underWay === undefined) {
      underWay = this.#writeShuffle(node, job).finally(() => this.#underWay.delete(node.id))
      this.#underWay.set(node.id, underWay)
    }
    return underWay.then(() => undefined)
  }

  async #writeShuffle(node: ShuffleNode, job: JobContext): Promise<readonly ShuffleOutput[]> {
    const { id, partitioner, aggregator, operator } = node
    const work: Work = { kind: 'shuffle', shuffle: id, partitioner, aggregator }
    let outputs: ShuffleOutput[]
    try {
      outputs = (await this.run(node.parents[0], work, operator, job)) as ShuffleOutput[]
    } catch (error) {
      // What some of its tasks have written nobody will read.
      this.#services.removeBlocks(`${id}/`)
      throw error
    }
    this.#shuffles.set(id, outputs)
    this.#options.onShuffle(node)
    return outputs
  }

  async #runTasks(
    indexes: readonly number[],
    pipelineOf: (index: number) => Pipeline,
    partitions: number,
    work: Work,
    operator: string,
    job: JobContext,
  ): Promise<unknown[]> {
    const results = new Array<unknown>(indexes.length)
    // A job has ended when none of its tasks runs any more, also when it failed.
    await inSlots(indexes, this.#executor.slots, async (partition, at) => {
      results[at] = await this.#attempts(pipelineOf(partition), partition, partitions, work, operator, job)
    })
    return results
  }

  async #attempts(
    pipeline: Pipeline,
    partition: number,
    partitions: number,
    work: Work,
    operator: string,
    job: JobContext,
  ): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      job.signal?.throwIfAborted()
      const info = {
        app: job.app,
        output: job.output,
        batchTime: job.batchTime,
        partition,
        partitions,
        attempt,
        operator,
      }
      try {
        return await this.#accumulators.collecting(() => this.#executor.run({ pipeline, work, info }, this.#services))
      } catch (error) {
        if (work.kind === 'shuffle') {
          this.#services.removeBlocks(`${work.shuffle}/${String(partition)}/${String(attempt)}/`)
        }
        if (attempt + 1 >= (job.maxFailures ?? this.#options.taskMaxFailures) || isFinal(error))
          throw taskFailed(error, operator, partition)
      }
    }
  }
}

function isFinal(error: unknown): boolean {
  return isSluiceError(error) && finalCodes.has(error.code)
}

function taskFailed(error: unknown, operator: string, partition: number): SluiceError {
  if (isSluiceError(error)) return error
  return new SluiceError({
    code: 'TASK_FAILED',
    component: operator,
    message: `partition ${String(partition)} failed: ${messageOf(error)}; see the cause`,
    cause: error,
  })
}

function allOf(node: RddNode): number[] {
  return Array.from({ length: node.partitions }, (_, i) => i)
}

/** Nodes to prepare, parents first. What lies behind a finished shuffle is not needed any more. */
function inOrder(root: RddNode, isDone: (shuffle: ShuffleNode) => boolean): RddNode[] {
  const order: RddNode[] = []
  const seen = new Set<RddNode>()
  const stack: { node: RddNode; parentsDone: boolean }[] = [{ node: root, parentsDone: false }]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.parentsDone) {
      order.push(top.node)
      continue
    }
    if (seen.has(top.node)) continue
    seen.add(top.node)
    if ('aggregator' in top.node && isDone(top.node as ShuffleNode)) continue
    stack.push({ node: top.node, parentsDone: true })
    for (const parent of top.node.parents) stack.push({ node: parent, parentsDone: false })
  }
  return order
}
