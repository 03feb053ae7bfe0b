/** Runs a pipeline: chunk by chunk, in slices short enough to stay polite. */
import { isSluiceError, messageOf, SluiceError } from '../errors.js'
import { StageFailure } from './closures.js'
import type { Stage } from './compile.js'
import { builtinFunction } from './builtins.js'
import type { AnyFunction } from './functions.js'
import type { Op, TaskInfo } from './op.js'
import { CollectOut, type Out } from './out.js'
import type { Chunks, Pipeline, TaskEnv } from './pipeline.js'

/** Runs all records of the pipeline into `out`. Resolves early when `out` is full. */
export async function runPipeline(pipeline: Pipeline, out: Out, env: TaskEnv): Promise<void> {
  const runner = new StageRunner(pipeline.ops, out, env)
  const chunks = env.open(pipeline.source)
  if (isSync(chunks)) {
    for (const chunk of chunks) {
      const rest = runner.run(chunk)
      if (rest !== undefined) await rest
      if (out.full === true) return
    }
    return
  }
  for await (const chunk of chunks) {
    const rest = runner.run(chunk)
    if (rest !== undefined) await rest
    if (out.full === true) return
  }
}

/** The records of the pipeline, chunk by chunk. */
export function pipelineChunks(pipeline: Pipeline, env: TaskEnv): Chunks {
  const chunks = env.open(pipeline.source)
  return pipeline.ops.length === 0 ? chunks : mappedChunks(pipeline.ops, chunks, env)
}

async function* mappedChunks(ops: readonly Op[], chunks: Chunks, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  const out = new CollectOut(env.info.operator)
  const runner = new StageRunner(ops, out, env)
  for await (const chunk of chunks) {
    const rest = runner.run(chunk)
    if (rest !== undefined) await rest
    if (out.records.length > 0) yield out.records
    out.records = []
  }
}

/** All records of the pipeline in one array. It may be one that others hold: do not change it. */
export async function pipelineRecords(pipeline: Pipeline, env: TaskEnv): Promise<readonly unknown[]> {
  const all: (readonly unknown[])[] = []
  for await (const chunk of pipelineChunks(pipeline, env)) all.push(chunk)
  return all.length === 1 ? (all[0] as readonly unknown[]) : all.flat(1)
}

function isSync(chunks: Chunks): chunks is Iterable<readonly unknown[]> {
  return Symbol.iterator in chunks
}

class StageRunner {
  readonly #stage: Stage
  readonly #out: Out
  readonly #env: TaskEnv
  readonly #ops: readonly Op[]
  #first = true

  constructor(ops: readonly Op[], out: Out, env: TaskEnv) {
    this.#ops = ops
    this.#out = out
    this.#env = env
    this.#stage = env.stages.stage(
      ops,
      ops.map((op) => functionOf(op, env.info)),
      out,
    )
  }

  /** Runs one chunk; a promise only when the rest of it has to wait for its turn or for the disk. */
  run(chunk: readonly unknown[]): Promise<void> | undefined {
    if (chunk.length === 0) return undefined
    let from = 0
    if (this.#first) {
      // The first record goes through the checked form: promises and records that are no pairs fail here, and the
      // generated code needs no checks.
      this.#first = false
      this.#slice(chunk, 0, 1, this.#stage.checked)
      from = 1
    }
    return this.#continue(chunk, from)
  }

  #continue(chunk: readonly unknown[], start: number): Promise<void> | undefined {
    const { pacer } = this.#env
    let from = start
    while (from < chunk.length && this.#out.full !== true) {
      const to = Math.min(chunk.length, from + pacer.slice)
      this.#slice(chunk, from, to, this.#stage.run)
      const due = pacer.ran(to - from)
      from = to
      if (due || this.#out.pending === true) return this.#pause(chunk, from)
    }
    return this.#out.pending === true ? this.#pause(chunk, from) : undefined
  }

  async #pause(chunk: readonly unknown[], from: number): Promise<void> {
    if (this.#out.pending === true) await this.#out.settle?.()
    else await this.#env.pacer.yield()
    await this.#continue(chunk, from)
  }

  #slice(chunk: readonly unknown[], from: number, to: number, run: Stage['run']): void {
    try {
      run(chunk, from, to, this.#out)
    } catch (error) {
      throw error instanceof StageFailure ? this.#explain(error, chunk) : error
    }
  }

  #explain(failure: StageFailure, chunk: readonly unknown[]): unknown {
    const { error } = failure
    if (isSluiceError(error)) return error
    const operator = failure.operator ?? this.#stage.operatorOf(error) ?? this.#stageName()
    return userFunctionFailed(error, operator, this.#env.info, chunk[failure.index])
  }

  #stageName(): string {
    return [...this.#ops.map((op) => op.id), this.#out.operator].join(' → ')
  }
}

/** The function of an operator for one task. */
export function functionOf(op: Op, info: TaskInfo): AnyFunction | undefined {
  if (op.fn === undefined || typeof op.fn === 'function') return op.fn
  return builtinFunction(op.fn, op.id, info)
}

const noRecord = Symbol('no record')

/** What a user's function threw, with operator, batch, partition and record. */
export function userFunctionFailed(
  error: unknown,
  operator: string,
  info: TaskInfo,
  record: unknown = noRecord,
): SluiceError {
  const batch = info.batchTime === undefined ? '' : ` of batch ${String(info.batchTime)}`
  const of = record === noRecord ? '' : `, record ${excerpt(record)}`
  return new SluiceError({
    code: 'USER_FUNCTION_FAILED',
    component: operator,
    message: `the function threw in partition ${String(info.partition)}${batch}${of}: ${messageOf(error)}; see the cause's stack`,
    cause: error,
  })
}

const EXCERPT_LENGTH = 120

/** A record as text, cut short. Never throws. */
export function excerpt(record: unknown): string {
  let text: string
  try {
    text =
      typeof record === 'string' ? JSON.stringify(record) : (JSON.stringify(record, bigintAsText) ?? String(record))
  } catch {
    text = Object.prototype.toString.call(record)
  }
  return text.length <= EXCERPT_LENGTH ? text : `${text.slice(0, EXCERPT_LENGTH)}… (${String(text.length)} characters)`
}

function bigintAsText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
