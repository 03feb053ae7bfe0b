/**
 * A windowed reduction kept up to date: what enters is added, what leaves is taken out again. Each key counts the slices of
 * the window that hold it, and goes when there is none: so the result is that of the plain window, and a key never
 * has to be filtered out to be forgotten (Spark needs a filter, and a wrong one loses counts).
 */
import { asPair, refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import { explainUserError } from './explain.js'
import type { CellBox, StatePartition } from './state-operator.js'

export interface WindowFunctions {
  readonly operator: string
  readonly reduce: (a: unknown, b: unknown) => unknown
  readonly inverse: (a: unknown, b: unknown) => unknown
  /** Keys that are left out of the result; they stay in the window. */
  readonly keep: ((key: unknown, value: unknown) => boolean) | undefined
}

/** Value of a key over the window, and the number of slices that hold the key. */
interface Windowed {
  readonly value: unknown
  readonly slices: number
}

/** Takes reduced slices: those that left the window and those that entered it since the last result. */
export async function slideWindow(
  partition: StatePartition,
  leaving: readonly Chunks[],
  entering: readonly Chunks[],
  functions: WindowFunctions,
  env: TaskEnv,
): Promise<readonly unknown[]> {
  for (const slice of leaving)
    await eachPair(slice, functions, env, (key, value) => leave(partition, key, value, functions, env))
  for (const slice of entering)
    await eachPair(slice, functions, env, (key, value) => enter(partition, key, value, functions, env))
  return results(partition, functions, env)
}

async function eachPair(
  slice: Chunks,
  { operator }: WindowFunctions,
  env: TaskEnv,
  use: (key: unknown, value: unknown) => void,
): Promise<void> {
  for await (const chunk of slice) {
    for (const record of chunk) {
      const [key, value] = asPair(record, operator)
      use(key, value)
    }
    if (env.pacer.ran(chunk.length)) await env.pacer.yield()
  }
}

function leave(
  partition: StatePartition,
  key: unknown,
  value: unknown,
  functions: WindowFunctions,
  env: TaskEnv,
): void {
  const box = partition.box(key)
  const { value: before, slices } = partition.read(box) as Windowed
  // The last slice of a key takes it along: what the inverse would leave of it may not be exactly nothing.
  const next =
    slices === 1
      ? undefined
      : { value: call(functions.inverse, before, value, key, functions, env), slices: slices - 1 }
  partition.write(box, next)
}

function enter(
  partition: StatePartition,
  key: unknown,
  value: unknown,
  functions: WindowFunctions,
  env: TaskEnv,
): void {
  const box = partition.box(key)
  const before = partition.read(box) as Windowed | undefined
  partition.write(
    box,
    before === undefined
      ? { value, slices: 1 }
      : { value: call(functions.reduce, before.value, value, key, functions, env), slices: before.slices + 1 },
  )
}

function call(
  f: (a: unknown, b: unknown) => unknown,
  a: unknown,
  b: unknown,
  key: unknown,
  { operator }: WindowFunctions,
  env: TaskEnv,
): unknown {
  try {
    return refusePromise(f(a, b), operator)
  } catch (error) {
    throw explainUserError(error, operator, env, [key, b])
  }
}

function results(partition: StatePartition, { keep, operator }: WindowFunctions, env: TaskEnv): unknown[] {
  const out: unknown[] = []
  for (const box of partition.boxes()) {
    const windowed = partition.read(box) as Windowed | undefined
    if (windowed === undefined || !keeps(keep, box, windowed.value, operator, env)) continue
    out.push([box.k, windowed.value])
  }
  return out
}

function keeps(keep: WindowFunctions['keep'], box: CellBox, value: unknown, operator: string, env: TaskEnv): boolean {
  if (keep === undefined) return true
  try {
    return refusePromise(keep(box.k, value), operator)
  } catch (error) {
    throw explainUserError(error, operator, env, [box.k, value])
  }
}
