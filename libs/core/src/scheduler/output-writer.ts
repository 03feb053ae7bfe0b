/** Drives a sink for one batch of one output: partitions, time-outs, retries, commit. */
import { isSluiceError, messageOf, SluiceError } from '../errors.js'
import type { JobContext, JobRunner } from '../executor/job-runner.js'
import { inSlots } from '../executor/pool.js'
import type { RddNode } from '../rdd/lineage.js'
import type { TaskInfo } from '../rdd/op.js'
import type { Chunks } from '../rdd/pipeline.js'
import {
  deadLetterOf,
  type BatchId,
  type BatchPartitionId,
  type OutputOptions,
  type PlannedOffsets,
  type Sink,
} from '../sink/sink.js'
import type { Clock } from '../time/clock.js'
import { DeadLetters, failOnReject } from './rejects.js'
import { retrying, retryPolicy, type RetryPolicy } from './retry.js'

const DEFAULT_BATCH_SIZE = 1_000
const DEFAULT_TIMEOUT_MS = 60_000
const DEFAULT_RETRIES = 3

/** One batch to be written. */
export interface OutputBatch {
  readonly id: Omit<BatchId, 'attempt' | 'partitions'>
  readonly offsets: PlannedOffsets
  readonly job: JobContext
}

interface Policy {
  readonly batchSize: number
  readonly maxInFlight: number
  readonly timeoutMs: number
  readonly retry: RetryPolicy
}

export class OutputWriter {
  readonly #sink: Sink<unknown>
  readonly #runner: JobRunner
  readonly #clock: Clock
  readonly #policy: Policy
  readonly #deadLetters: DeadLetters | undefined

  constructor(sink: Sink<unknown>, options: OutputOptions<never> | undefined, runner: JobRunner, clock: Clock) {
    this.#sink = sink
    this.#runner = runner
    this.#clock = clock
    this.#policy = policyOf(options)
    const deadLetter = deadLetterOf(options)
    this.#deadLetters = deadLetter === undefined ? undefined : new DeadLetters(deadLetter)
  }

  /** Resolves when all partitions are durable and committed. */
  async write(node: RddNode, batch: OutputBatch): Promise<void> {
    if (this.#sink.unit === 'batch') {
      await this.#retrying((attempt) => this.#writeBatch(node, batch, attempt), batch)
      return
    }
    const partitions = Array.from({ length: node.partitions }, (_, partition) => partition)
    await inSlots(partitions, this.#policy.maxInFlight, (partition) =>
      this.#retrying((attempt) => this.#writePartition(node, partition, batch, attempt), batch),
    )
    await this.#retrying((attempt) => this.#commit(node, batch, attempt), batch)
  }

  /** All partitions in turn, and the commit: nothing is durable before it, so a failure begins anew. */
  async #writeBatch(node: RddNode, batch: OutputBatch, attempt: number): Promise<void> {
    for (let partition = 0; partition < node.partitions; partition++) {
      await this.#writePartition(node, partition, batch, attempt)
    }
    await this.#commit(node, batch, attempt)
  }

  async #writePartition(node: RddNode, partition: number, batch: OutputBatch, attempt: number): Promise<void> {
    const id: BatchPartitionId = { ...batch.id, partition, partitions: node.partitions, attempt }
    const run = (chunks: Chunks, info: TaskInfo): Promise<void> => this.#callSink(id, chunks, info, batch)
    await this.#runner.run(node, { kind: 'driver', run }, batch.id.output, { ...batch.job, maxFailures: 1 }, [
      partition,
    ])
  }

  async #callSink(id: BatchPartitionId, chunks: Chunks, info: TaskInfo, batch: OutputBatch): Promise<void> {
    await this.#timed('writePartition', batch.job.signal, async (signal) => {
      const run = (await this.#deadLetters?.begin(id, chunks, info, signal)) ?? failOnReject(chunks, info, signal)
      const { context } = run
      await this.#sink.writePartition(id, rechunked(run.chunks, this.#policy.batchSize, signal), context)
      // A sink that marks a record and forgets to settle it must not have it dropped in silence.
      await context.settleRejects()
    })
  }

  async #commit(node: RddNode, batch: OutputBatch, attempt: number): Promise<void> {
    if (this.#sink.commitBatch === undefined && this.#deadLetters === undefined) return
    const id: BatchId = { ...batch.id, partitions: node.partitions, attempt }
    const { offsets } = batch
    await this.#timed('commitBatch', batch.job.signal, async (signal) => {
      await this.#deadLetters?.commit(id, offsets, signal)
      await this.#sink.commitBatch?.(id, { offsets, signal })
    })
  }

  /** Fails after the time-out; the signal then tells the sink that its outcome is unknown (E9). */
  async #timed(
    what: string,
    outer: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    outer?.throwIfAborted()
    const { timeoutMs } = this.#policy
    const controller = new AbortController()
    const timer = new AbortController()
    const onStop = (): void => {
      controller.abort(outer?.reason)
    }
    outer?.addEventListener('abort', onStop, { once: true })
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener(
        'abort',
        () => {
          reject(controller.signal.reason as Error)
        },
        { once: true },
      )
    })
    this.#clock.sleep(timeoutMs, timer.signal).then(
      () => {
        controller.abort(this.#timeout(what))
      },
      () => undefined,
    )
    try {
      await Promise.race([call(controller.signal), aborted])
    } finally {
      timer.abort()
      outer?.removeEventListener('abort', onStop)
    }
  }

  #timeout(what: string): SluiceError {
    return new SluiceError({
      code: 'TIMEOUT',
      component: this.#sink.name,
      message: `${what} has not ended within ${String(this.#policy.timeoutMs)} ms; is the server up? Else raise the output's timeoutMs`,
      retryable: true,
    })
  }

  async #retrying(work: (attempt: number) => Promise<void>, { id, job }: OutputBatch): Promise<void> {
    try {
      await retrying(work, this.#policy.retry, this.#clock, job.signal)
    } catch (error) {
      throw outputFailed(error, id.output)
    }
  }
}

function outputFailed(error: unknown, output: string): SluiceError {
  if (isSluiceError(error, 'TASK_FAILED')) return outputFailed(error.cause, output)
  if (isSluiceError(error)) return error
  return new SluiceError({
    code: 'OUTPUT_FAILED',
    component: output,
    message: `writing failed: ${messageOf(error)}; see the cause`,
    cause: error,
  })
}

function policyOf(options: OutputOptions<never> | undefined): Policy {
  return {
    batchSize: options?.batchSize ?? DEFAULT_BATCH_SIZE,
    maxInFlight: options?.maxInFlight ?? 1,
    timeoutMs: options?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    retry: retryPolicy(options?.retry, DEFAULT_RETRIES, 'retry'),
  }
}

async function* rechunked(chunks: Chunks, size: number, signal: AbortSignal): AsyncGenerator<readonly unknown[]> {
  let held: unknown[] = []
  for await (const chunk of chunks) {
    for (const record of chunk) {
      held.push(record)
      if (held.length < size) continue
      signal.throwIfAborted()
      yield held
      held = []
    }
  }
  signal.throwIfAborted()
  if (held.length > 0) yield held
}
