/** Runs a pipeline: chunk by chunk, in slices short enough to stay polite. */
import { isSluiceError, messageOf, SluiceError } from '../errors.js'
import { StageFailure, type StageFunction } from './closures.js'
import type { Stage } from './compile.js'
import { builtinFunction } from './builtins.js'
import { isFrozenWrite } from './freeze.js'
import type { AnyFunction } from './functions.js'
import type { Op, TaskInfo } from './op.js'
import { CollectOut, CountOut, type Out } from './out.js'
import type { Chunks, Pacer, Pipeline, Source, TaskEnv } from './pipeline.js'

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

/** How many records the pipeline gives; where the source knows, none of them is made. */
export async function countPipeline(pipeline: Pipeline, operator: string, env: TaskEnv): Promise<number> {
  const known = pipeline.ops.length === 0 ? await knownCount(pipeline.source) : undefined
  if (known !== undefined) return known
  const out = new CountOut(operator)
  await runPipeline(pipeline, out, env)
  return out.count
}

function knownCount(source: Source): number | Promise<number> | undefined {
  if (source.kind === 'unpack') return source.records
  return source.kind === 'driver' ? source.count?.() : undefined
}

/** The records of the pipeline, chunk by chunk. */
export function pipelineChunks(pipeline: Pipeline, env: TaskEnv): Chunks {
  const chunks = env.open(pipeline.source)
  return pipeline.ops.length === 0 ? chunks : mappedChunks(pipeline.ops, chunks, env)
}

/** Input records that are mapped to one chunk: what comes of a large chunk is never held all at once. */
const MAPPED_RECORDS = 8_192

async function* mappedChunks(ops: readonly Op[], chunks: Chunks, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  const out = new CollectOut(env.info.operator)
  const runner = new StageRunner(ops, out, env)
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; from += MAPPED_RECORDS) {
      const rest = runner.run(chunk, from, Math.min(chunk.length, from + MAPPED_RECORDS))
      if (rest !== undefined) await rest
      const { records } = out
      out.records = []
      if (records.length > 0) yield records
    }
  }
}

/** Records handed out at once to a loop that looks at each of them. */
const POLITE_RECORDS = 1_024

/** The records of the pipeline in short chunks; between them the event loop has its turn when it is due. */
export async function* politeChunks(pipeline: Pipeline, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  for await (const chunk of pipelineChunks(pipeline, env)) {
    for (let from = 0; from < chunk.length; from += POLITE_RECORDS) {
      yield chunk.length <= POLITE_RECORDS ? chunk : chunk.slice(from, from + POLITE_RECORDS)
      if (env.pacer.ran(POLITE_RECORDS)) await env.pacer.yield()
    }
  }
}

/** All records of the pipeline in one array. It may be one that others hold: do not change it. */
export async function pipelineRecords(pipeline: Pipeline, env: TaskEnv): Promise<readonly unknown[]> {
  if (pipeline.ops.length > 0) {
    const out = new CollectOut(env.info.operator)
    await runPipeline(pipeline, out, env)
    return out.records
  }
  const chunks: (readonly unknown[])[] = []
  for await (const chunk of env.open(pipeline.source)) chunks.push(chunk)
  return chunks.length === 1 ? (chunks[0] as readonly unknown[]) : concatenated(chunks)
}

/** All records of the pipeline in an array that nobody else holds: for users, who may change it (E6). */
export async function ownRecords(pipeline: Pipeline, env: TaskEnv): Promise<readonly unknown[]> {
  const records = await pipelineRecords(pipeline, env)
  return pipeline.ops.length > 0 ? records : records.slice()
}

/** Many arrays as one. */
export function concatenated<T>(parts: readonly (readonly T[])[]): T[] {
  const all: T[] = []
  for (const part of parts) for (const record of part) all.push(record)
  return all
}

function isSync(chunks: Chunks): chunks is Iterable<readonly unknown[]> {
  return Symbol.iterator in chunks
}

/** Records for which the closures do before code is generated that checks all. */
const CLOSURE_RECORDS = 256

class StageRunner {
  readonly #stage: Stage
  readonly #out: Out
  readonly #env: TaskEnv
  readonly #pacer: Pacer
  readonly #ops: readonly Op[]
  #run: StageFunction
  #checked = 0

  constructor(ops: readonly Op[], out: Out, env: TaskEnv) {
    this.#ops = ops
    this.#out = out
    this.#env = env
    this.#pacer = env.pacer.forLoop()
    this.#stage = env.stages.stage(
      ops,
      ops.map((op) => functionOf(op, env.info)),
      out,
    )
    this.#run = this.#stage.checked
  }

  /** Runs a chunk or a part of it; a promise only when the rest of it has to wait for its turn or for the disk. */
  run(chunk: readonly unknown[], from = 0, to = chunk.length): Promise<void> | undefined {
    if (from === to) return undefined
    this.#pacer.begin()
    return this.#continue(chunk, from, to)
  }

  #continue(chunk: readonly unknown[], start: number, end: number): Promise<void> | undefined {
    const out = this.#out
    let from = start
    while (from < end && out.full !== true) {
      const to = Math.min(end, from + this.#pacer.slice)
      this.#slice(chunk, from, to)
      if (this.#run !== this.#stage.run) this.#promote(to - from)
      const due = this.#pacer.ran(to - from)
      from = to
      if (due || out.pending === true) return this.#pause(chunk, from, end)
    }
    return undefined
  }

  async #pause(chunk: readonly unknown[], from: number, end: number): Promise<void> {
    if (this.#out.pending === true) await this.#out.settle?.()
    else await this.#pacer.yield()
    this.#pacer.begin()
    await this.#continue(chunk, from, end)
  }

  /** From the checked forms to the fast one, once a record has come through. */
  #promote(records: number): void {
    this.#checked += records
    if (this.#out.reached) this.#run = this.#stage.run
    else if (this.#run === this.#stage.checked && this.#checked >= CLOSURE_RECORDS) this.#run = this.#stage.watched()
  }

  #slice(chunk: readonly unknown[], from: number, to: number): void {
    try {
      this.#run(chunk, from, to, this.#out)
    } catch (error) {
      throw error instanceof StageFailure ? this.#explain(error, chunk) : error
    }
  }

  #explain(failure: StageFailure, chunk: readonly unknown[]): unknown {
    const { error } = failure
    if (isSluiceError(error)) return error
    const record = chunk[failure.index]
    const operator =
      failure.operator ?? this.#stage.operatorOf(error) ?? this.#operatorByTrial(record) ?? this.#stageName()
    return userFunctionFailed(error, operator, this.#env.info, { record })
  }

  /** The stack does not tell (the stage lies too deep in it, or what was thrown has none): the record is tried step by step. */
  #operatorByTrial(record: unknown): string | undefined {
    // What a sampler or counter answers depends on the records before.
    if (this.#ops.some((op) => typeof op.fn === 'object')) return undefined
    const { operator } = this.#out
    try {
      this.#stage.checked([record], 0, 1, {
        kind: 'count',
        functions: {},
        operator,
        reached: false,
        emit: () => undefined,
      })
      return operator
    } catch (error) {
      return error instanceof StageFailure ? error.operator : undefined
    }
  }

  #stageName(): string {
    return [...this.#ops.map((op) => op.id), this.#out.operator].join(' → ')
  }
}

/** The function of an operator for one task. */
function functionOf(op: Op, info: TaskInfo): AnyFunction | undefined {
  if (op.fn === undefined || typeof op.fn === 'function') return op.fn
  return builtinFunction(op.fn, op.id, info)
}

/** What a user's function threw, with operator, batch, partition and, where there is one, record. */
export function userFunctionFailed(
  error: unknown,
  operator: string,
  info: TaskInfo,
  at?: { readonly record: unknown },
): SluiceError {
  const batch = info.batchTime === undefined ? '' : ` of batch ${String(info.batchTime)}`
  const of = at === undefined ? '' : `, record ${excerpt(at.record)}`
  return functionFailed(error, operator, `partition ${String(info.partition)}${batch}${of}`)
}

/** What a function threw that is called once per batch, in the driver; an error of the engine as it is. */
export function batchFunctionFailed(error: unknown, operator: string, batchTime: number): unknown {
  return isSluiceError(error) ? error : functionFailed(error, operator, `batch ${String(batchTime)}`)
}

function functionFailed(error: unknown, operator: string, where: string): SluiceError {
  if (isFrozenWrite(error)) return frozenWrite(error, operator, where)
  return new SluiceError({
    code: 'USER_FUNCTION_FAILED',
    component: operator,
    message: `the function threw in ${where}: ${messageOf(error)}; see the cause's stack`,
    cause: error,
  })
}

// Trying again cannot help, so it has a code of its own.
function frozenWrite(error: TypeError, operator: string, where: string): SluiceError {
  return new SluiceError({
    code: 'FROZEN_VALUE',
    component: operator,
    message: `the function changed a kept value in place in ${where} (${error.message}); return a new value instead, e.g. { ...state, count }`,
    cause: error,
  })
}

/** The same, unless it is an error of the engine. */
export function explained(error: unknown, operator: string, info: TaskInfo): unknown {
  return isSluiceError(error) ? error : userFunctionFailed(error, operator, info)
}

const EXCERPT_LENGTH = 120

/** A record as text, cut short. Never throws. */
export function excerpt(record: unknown): string {
  let text: string
  try {
    text = typeof record === 'number' ? String(record) : (JSON.stringify(record, plainNumbers) ?? String(record))
  } catch {
    text = Object.prototype.toString.call(record)
  }
  return text.length <= EXCERPT_LENGTH ? text : `${text.slice(0, EXCERPT_LENGTH)}… (${String(text.length)} characters)`
}

// What JSON would refuse or make null of.
function plainNumbers(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value
}
