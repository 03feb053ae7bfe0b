/** What the functions that make a batch's RDDs work with: their scopes, and side data that are read once. */
import type { BatchScopes } from '../dstream/output.js'
import type { RddScope } from '../rdd/scope.js'
import type { JobContext } from '../executor/job-runner.js'
import { BatchScope, type ScopeHost } from './batch-scope.js'

export class BatchFunctions implements BatchScopes {
  readonly #host: ScopeHost
  readonly #job: Omit<JobContext, 'output'>
  readonly #scopes: BatchScope[] = []
  readonly #recorded: Readonly<Record<string, unknown>>
  readonly #read: Record<string, unknown> = {}

  /** `recorded` is what a first run of the batch has read. */
  constructor(host: ScopeHost, job: Omit<JobContext, 'output'>, recorded: Readonly<Record<string, unknown>> = {}) {
    this.#host = host
    this.#job = job
    this.#recorded = recorded
  }

  /** Side data by operator, to be recorded with the batch. */
  get sideDataRead(): Readonly<Record<string, unknown>> {
    return this.#read
  }

  scope(operator: string): RddScope {
    const scope = new BatchScope(this.#host, operator, { ...this.#job, output: operator })
    this.#scopes.push(scope)
    return scope
  }

  async sideData(operator: string, read: () => unknown): Promise<unknown> {
    const data = operator in this.#recorded ? this.#recorded[operator] : await read()
    this.#read[operator] = data
    return data
  }

  /** Resolves when no action of these functions runs any more; rejects when one failed. */
  async end(): Promise<void> {
    for (const scope of this.#scopes) await scope.end()
  }
}
