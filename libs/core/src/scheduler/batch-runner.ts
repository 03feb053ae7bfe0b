/** Runs one planned batch: makes its RDDs, runs its outputs, commits. */
import { digestOf, type BatchLog, type PlanRecord } from '../checkpoint/batch-log.js'
import { requireSamePartitions } from '../checkpoint/graph-check.js'
import type { StreamAtTimes } from '../dstream/output.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { OutputStream } from '../dstream/output.js'
import type { JobContext } from '../executor/job-runner.js'
import { inSlots } from '../executor/pool.js'
import type { InputStream } from '../input/input-stream.js'
import type { BatchInfo, ListenerBus, OutputInfo } from '../observe/listener.js'
import type { RddNode } from '../rdd/lineage.js'
import type { Work } from '../rdd/work.js'
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

/** What all jobs of a batch have in common. */
type BatchJob = Omit<JobContext, 'output'> & { readonly planDigest: () => string }

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
      await this.#parts.log.commit(batch.plan.time)
    } catch (failure) {
      for (const stream of this.#parts.graph.states) stream.rollback()
      const error = await this.#parts.log.causeOf(failure)
      bus.post('onBatchFailed', { ...this.#ended(run, outputs), error })
      throw error
    }
    await this.#committed(batch.plan)
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
    const { time } = plan
    const before = log.batch(time)
    const job = { app: log.app, batchTime: time, signal, planDigest: once(() => digestOf(plan)), epoch: log.epoch }
    const scopes = new BatchFunctions(host, job, before?.start?.sideData)
    graph.running = scopes.scope('slice')
    try {
      const jobs = await this.#jobs(time, scopes)
      const partitions = Object.fromEntries(jobs.map(({ output, node }) => [output.id, node.partitions]))
      if (before !== undefined) requireSamePartitions(before, partitions, graph.outputs)
      await log.start({ time, partitions, sideData: scopes.sideDataRead })
      await this.#keep(
        time,
        graph.streams.filter((stream) => stream.isCheckpointed),
        job,
      )
      // What an earlier run has finished need not be done again (E13).
      const unfinished = jobs.filter(({ output }) => before?.done.includes(output.id) !== true)
      await this.#runUnfinished(unfinished, (unit) => this.#runOutput(unit, plan, job, infos), signal)
      await this.#evaluateStates(time, job)
      await this.#keep(time, this.#sliced(), job)
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
  async #evaluateStates(time: BatchTime, job: BatchJob): Promise<void> {
    const { graph, host } = this.#parts
    for (const stream of graph.states) {
      if (!stream.isValidTime(time) || stream.isEvaluated(time)) continue
      const node = stream.at(time)
      if (node !== undefined) await host.runner.run(node, { kind: 'count' }, stream.id, { ...job, output: stream.id })
    }
  }

  /** Streams whose batches are asked for later, and could not be made again after a restart (E4). */
  #sliced(): readonly StreamAtTimes[] {
    if (!this.#parts.log.isDurable) return []
    return this.#parts.graph.streams.filter((stream) => {
      return (stream.isSliced || stream.isRemembered) && !stream.isRecomputable && !stream.isCheckpointed
    })
  }

  /** Makes what these streams give in this batch durable. */
  async #keep(time: BatchTime, streams: readonly StreamAtTimes[], job: BatchJob): Promise<void> {
    const { log, host } = this.#parts
    for (const stream of streams) {
      const { id } = stream
      const node = stream.at(time)
      if (node === undefined) continue
      const run: Extract<Work, { readonly kind: 'driver' }>['run'] = async (chunks, { partition }) => {
        await log.keep(id, time, partition, chunks)
      }
      await host.runner.run(node, { kind: 'driver', run }, id, { ...job, output: id })
      await log.kept(id, time, node.partitions)
    }
  }

  async #runOutput(unit: Job, plan: PlanRecord, job: BatchJob, infos: OutputInfo[]): Promise<void> {
    const { bus, clock, log, host } = this.#parts
    const { output, index, node } = unit
    const { planDigest } = job
    const context: JobContext = { ...job, output: output.id }
    const scope = new BatchScope(host, output.id, context, (id, partitions) => {
      return log.startOutput(plan.time, id, partitions)
    })
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
    log.done(plan.time, output.id)
  }

  /** The commit is durable: now memory, and those from whom the records came, may know. */
  async #committed({ time }: PlanRecord): Promise<void> {
    const { graph, inputs, log, release } = this.#parts
    for (const stream of graph.states) stream.commit(time)
    for (const input of inputs) await input.commit(time)
    release(graph.clearBefore(time))
    const longest = (kept: (input: InputStream) => number): number => Math.max(0, ...inputs.map(kept))
    log.forget(time - longest(({ rememberMs }) => rememberMs), time - longest(({ keepPlansMs }) => keepPlansMs))
  }
}

/** Only sinks ask for a digest. */
function once(make: () => string): () => string {
  let made: string | undefined
  return () => (made ??= make())
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
