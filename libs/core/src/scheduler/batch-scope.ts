/** What a batch's `foreachRDD` or `transform` works with: its operators have stable ids, its actions belong to the batch (E25). */
import { isSluiceError, SluiceError } from '../errors.js'
import type { JobContext, JobRunner } from '../executor/job-runner.js'
import type { RddNode } from '../rdd/lineage.js'
import type { RddScope } from '../rdd/scope.js'
import type { OpOptions } from '../rdd/types.js'
import type { Work } from '../rdd/work.js'
import type { Sink } from '../sink/sink.js'
import type { Clock } from '../time/clock.js'

/** What scopes need of the context. */
export interface ScopeHost {
  readonly parallelism: number
  readonly runner: JobRunner
  readonly clock: Clock
  dropBlocks(node: RddNode): void
  /** Releases what these RDDs, and those they are made of, keep. */
  release(nodes: readonly RddNode[]): void
  saveAsTextFile(node: RddNode, path: string, job: JobContext): Promise<void>
  /** Writes to a sink that belongs to an output of this batch. */
  writeTo(node: RddNode, sink: Sink<unknown>, output: string, job: JobContext): Promise<void>
}

/** Called before an output that `writeTo` makes is written for the first time. */
export type BeforeOutput = (output: string, partitions: number) => Promise<void>

export class BatchScope implements RddScope {
  readonly #host: ScopeHost
  readonly #owner: string
  readonly #job: JobContext
  readonly #counters = new Map<string, number>()
  readonly #actions = new Set<Promise<unknown>>()
  /** RDDs of the batch only: they end with it. */
  readonly #own = new Set<RddNode>()
  /** Outputs that `writeTo` has made. */
  readonly #outputs = new Set<string>()
  readonly #beforeOutput: BeforeOutput | undefined
  #failure: { readonly error: unknown } | undefined
  #ended = false

  constructor(host: ScopeHost, owner: string, job: JobContext, beforeOutput?: BeforeOutput) {
    this.#beforeOutput = beforeOutput
    this.#host = host
    this.#owner = owner
    this.#job = job
  }

  get parallelism(): number {
    return this.#host.parallelism
  }

  opId(kind: string, options?: OpOptions): string {
    if (options?.name !== undefined) return `${this.#owner}/${options.name}`
    const number = this.#counters.get(kind) ?? 0
    this.#counters.set(kind, number + 1)
    return `${this.#owner}/${kind}-${String(number)}`
  }

  run(node: RddNode, work: Work, operator: string, partitions?: readonly number[]): Promise<unknown[]> {
    if (!node.isOwned) this.#own.add(node)
    return this.#track(operator, () => this.#host.runner.run(node, work, this.#label(operator), this.#job, partitions))
  }

  runInline(records: readonly unknown[], work: Work, operator: string): Promise<unknown> {
    return this.#track(operator, () => this.#host.runner.runInline(records, work, this.#label(operator), this.#job))
  }

  dropBlocks(node: RddNode): void {
    this.#host.dropBlocks(node)
  }

  saveAsTextFile(node: RddNode, path: string): Promise<void> {
    return this.#track('saveAsTextFile', () => this.#host.saveAsTextFile(node, path, this.#job))
  }

  writeTo(node: RddNode, sink: Sink<unknown>, name: string | undefined): Promise<void> {
    const output = `${this.#owner}/${name ?? sink.name}`
    if (this.#outputs.has(output)) return Promise.reject(namedTwice(output))
    this.#outputs.add(output)
    return this.#track('writeTo', async () => {
      await this.#beforeOutput?.(output, node.partitions)
      await this.#host.writeTo(node, sink, output, this.#job)
    })
  }

  /** The whole of an action, which may be several jobs: it belongs to the batch, awaited by the user or not. */
  track<R>(action: Promise<R>): Promise<R> {
    if (!this.#ended) void this.#watch(action)
    return action
  }

  /** Resolves when no action runs any more; rejects when one failed, awaited by the user or not. */
  async end(): Promise<void> {
    while (this.#actions.size > 0) {
      await Promise.allSettled(this.#actions)
      // One that follows on another, without being awaited either, begins now.
      await this.#host.clock.yield()
    }
    this.#ended = true
    this.#host.release([...this.#own])
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #label(operator: string): string {
    return `${this.#owner}/${operator}`
  }

  #track<R>(operator: string, start: () => Promise<R>): Promise<R> {
    if (this.#ended) return Promise.reject(this.#late(operator))
    return this.#watch(start())
  }

  #watch<R>(action: Promise<R>): Promise<R> {
    const settled = action.then(
      () => {
        this.#actions.delete(settled)
      },
      (error: unknown) => {
        this.#actions.delete(settled)
        // That there is no record is an answer, which the caller may well expect; not a failure.
        if (!isSluiceError(error, 'EMPTY_COLLECTION')) this.#failure ??= { error }
      },
    )
    this.#actions.add(settled)
    return action
  }

  #late(operator: string): SluiceError {
    return new SluiceError({
      code: 'ACTION_OUTSIDE_BATCH',
      component: `${this.#owner}/${operator}`,
      message: `batch ${String(this.#job.batchTime)} has ended; run actions on its RDDs inside the function, or keep their results`,
    })
  }
}

// Both writes would have one identity, and the second would count as applied (E1).
function namedTwice(output: string): SluiceError {
  return new SluiceError({
    code: 'NAME_REQUIRED',
    component: output,
    message: 'writeTo wrote to this output already in this batch; give each call its own name: writeTo(sink, { name })',
  })
}
