/** Runs one planned batch: makes its RDDs, runs its outputs, commits. */
import { digestOf, type BatchLog, type PlanRecord } from '../checkpoint/batch-log.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { OutputStream } from '../dstream/output.js'
import type { JobContext } from '../executor/job-runner.js'
import { inSlots } from '../executor/pool.js'
import type { InputStream } from '../input/input-stream.js'
import type { BatchInfo, ListenerBus, OutputInfo } from '../observe/listener.js'
import type { RddNode } from '../rdd/lineage.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { BatchFunctions } from './batch-functions.js'
import { BatchScope, type ScopeHost } from './batch-scope.js'
import { OutputWriter } from './output-writer.js'
import { retrying, type RetryPolicy } from './retry.js'

export interface PlannedBatch {
  readonly plan: PlanRecord
  readonly info: BatchInfo
  /** Monotonic time: delays are measured by it, as the wall clock may jump. */
  readonly plannedAt: number
}

/** A batch that runs, with the monotonic times of its steps. */
interface Run {
  readonly info: BatchInfo
  readonly plannedAt: number
  readonly startedAt: number
}

export interface BatchRunnerParts {
  readonly graph: StreamGraph
  readonly inputs: readonly InputStream[]
  readonly log: BatchLog
  readonly host: ScopeHost
  readonly clock: Clock
  readonly bus: ListenerBus
  /** Outputs of one batch that run at the same time (E2). */
  readonly concurrentJobs: number
  /** How often the unfinished outputs of a batch are tried again. */
  readonly outputRetry: RetryPolicy
  /** Releases what RDDs hold that no later batch can ask for. */
  release(nodes: readonly RddNode[]): void
}

/** An output that has an RDD in this batch. */
interface Job {
  readonly output: OutputStream
  readonly index: number
  readonly node: RddNode
}

export class BatchRunner {
  readonly #parts: BatchRunnerParts
  readonly #writers = new Map<string, OutputWriter>()

  constructor(parts: BatchRunnerParts) {
    this.#parts = parts
  }

  /** Resolves when the batch is committed; rejects when an output failed, with the state as it was before. */
  async run(batch: PlannedBatch, signal: AbortSignal): Promise<void> {
    const { clock, bus } = this.#parts
    const { plannedAt } = batch
    const startedAt = clock.monotonic()
    const info = { ...batch.info, startedMs: clock.now(), schedulingDelayMs: Math.round(startedAt - plannedAt) }
    const run: Run = { info, plannedAt, startedAt }
    bus.post('onBatchStarted', info)
    const outputs: OutputInfo[] = []
    try {
      await this.#runOutputs(batch.plan, outputs, signal)
      signal.throwIfAborted()
      await this.#commit(batch.plan)
    } catch (error) {
      for (const stream of this.#parts.graph.states) stream.rollback()
      bus.post('onBatchFailed', { ...this.#ended(run, outputs), error })
      throw error
    }
    bus.post('onBatchCompleted', this.#ended(run, outputs))
  }

  #ended({ info, plannedAt, startedAt }: Run, outputs: readonly OutputInfo[]): BatchInfo {
    const { clock } = this.#parts
    const endedAt = clock.monotonic()
    return {
      ...info,
      endedMs: clock.now(),
      outputs,
      processingDelayMs: Math.round(endedAt - startedAt),
      totalDelayMs: Math.round(endedAt - plannedAt),
    }
  }

  async #runOutputs(plan: PlanRecord, infos: OutputInfo[], signal: AbortSignal): Promise<void> {
    const { graph, log, host } = this.#parts
    const scopes = new BatchFunctions(host, log.app, plan.time, signal)
    graph.running = scopes.scope('slice')
    try {
      const jobs = await this.#jobs(plan.time, scopes)
      const partitions = Object.fromEntries(jobs.map(({ output, node }) => [output.id, node.partitions]))
      await log.start({ time: plan.time, partitions, sideData: scopes.sideDataRead })
      let digest: string | undefined
      // Only sinks ask for it.
      const planDigest = (): string => (digest ??= digestOf(plan))
      await this.#runUnfinished(jobs, (job) => this.#runOutput(job, plan, planDigest, infos, signal), signal)
      await this.#evaluateStates(plan.time, signal)
    } finally {
      graph.running = undefined
      await scopes.end()
    }
  }

  /** Outputs that failed are run again; those that are done are not (E13). */
  async #runUnfinished(jobs: readonly Job[], run: (job: Job) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, concurrentJobs, outputRetry } = this.#parts
    const done = new Set<Job>()
    const runOnce = async (): Promise<void> => {
      const unfinished = jobs.filter((job) => !done.has(job))
      await inSlots(unfinished, concurrentJobs, async (job) => {
        signal.throwIfAborted()
        await run(job)
        done.add(job)
      })
    }
    await retrying(runOnce, outputRetry, clock, signal)
  }

  /** Makes the RDDs of the outputs. Users' functions of `transform` are called here (E3). */
  async #jobs(time: BatchTime, scopes: BatchFunctions): Promise<Job[]> {
    const { graph } = this.#parts
    await graph.prepare(time, scopes)
    const jobs: Job[] = []
    for (const [index, output] of graph.outputs.entries()) {
      const node = output.parent.at(time)
      if (node !== undefined) jobs.push({ output, index, node })
    }
    return jobs
  }

  /** State advances in every batch, also where no output has read it. */
  async #evaluateStates(time: BatchTime, signal: AbortSignal): Promise<void> {
    const { graph, host, log } = this.#parts
    for (const stream of graph.states) {
      if (!stream.isValidTime(time) || stream.isEvaluated(time)) continue
      const node = stream.at(time)
      const job: JobContext = { app: log.app, output: stream.id, batchTime: time, signal }
      if (node !== undefined) await host.runner.run(node, { kind: 'count' }, stream.id, job)
    }
  }

  async #runOutput(
    job: Job,
    plan: PlanRecord,
    planDigest: () => string,
    infos: OutputInfo[],
    signal: AbortSignal,
  ): Promise<void> {
    const { bus, clock, log, host } = this.#parts
    const { output, index, node } = job
    const context: JobContext = { app: log.app, output: output.id, batchTime: plan.time, signal }
    const scope = new BatchScope(host, output.id, context)
    const started: OutputInfo = {
      batchTime: plan.time,
      index,
      id: output.id,
      startedMs: clock.now(),
      endedMs: undefined,
      error: undefined,
    }
    bus.post('onOutputStarted', started)
    let error: unknown
    try {
      await runAndEnd(scope, () =>
        output.run(node, {
          time: plan.time,
          scope,
          write: (rdd, sink, options) => {
            const shared = { app: log.app, output: output.id, batchTime: plan.time }
            const id = { ...shared, planDigest: planDigest(), epoch: log.epoch }
            let writer = this.#writers.get(output.id)
            if (writer === undefined)
              this.#writers.set(output.id, (writer = new OutputWriter(sink, options, host.runner, clock)))
            return writer.write(rdd, { id, offsets: plan.inputs, job: context })
          },
        }),
      )
    } catch (caught) {
      error = caught
      throw caught
    } finally {
      const ended = { ...started, endedMs: clock.now(), error }
      infos.push(ended)
      bus.post('onOutputCompleted', ended)
    }
  }

  async #commit({ time }: PlanRecord): Promise<void> {
    const { graph, inputs, log, release } = this.#parts
    await log.commit(time)
    for (const stream of graph.states) stream.commit(time)
    for (const input of inputs) await input.commit(time)
    release(graph.clearBefore(time))
  }
}

/** The function's own error counts before that of an action it did not await. */
async function runAndEnd(scope: BatchScope, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    await scope.end().catch(() => undefined)
    throw error
  }
  await scope.end()
}
