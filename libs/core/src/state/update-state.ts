/** updateStateByKey: every key that has state or values is passed to the function, in every batch. */
import { isSluiceError } from '../errors.js'
import { refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import { userFunctionFailed } from '../rdd/run.js'
import { explainFrozen } from './freeze.js'
import type { CellBox, StatePartition } from './state-operator.js'

export type UpdateFunction = (values: readonly unknown[], state: unknown) => unknown

const noValues: readonly unknown[] = Object.freeze([])

/** Takes groups `[key, values]` of one batch; gives `[key, state]` of every key that has state afterwards. */
export async function updateState(
  state: StatePartition,
  groups: Chunks,
  update: UpdateFunction,
  operator: string,
  env: TaskEnv,
): Promise<readonly unknown[]> {
  for await (const chunk of groups) {
    for (const group of chunk) {
      const [key, values] = group as readonly [unknown, readonly unknown[]]
      state.box(key).v.arrived = values
    }
  }
  const out: unknown[] = []
  let since = 0
  for (const box of state.boxes()) {
    updateKey(state, box, update, operator, env, out)
    if (++since < env.pacer.slice) continue
    if (env.pacer.ran(since)) await env.pacer.yield()
    since = 0
  }
  return out
}

function updateKey(
  state: StatePartition,
  box: CellBox,
  update: UpdateFunction,
  operator: string,
  env: TaskEnv,
  out: unknown[],
): void {
  const { arrived } = box.v
  let next: unknown
  try {
    next = refusePromise(update(arrived.length === 0 ? noValues : arrived, state.read(box)), operator)
  } catch (error) {
    const explained = explainFrozen(error, operator)
    throw isSluiceError(explained) ? explained : userFunctionFailed(error, operator, env.info, [box.k, arrived])
  }
  const given = state.write(box, next)
  if (given !== undefined) out.push([box.k, given])
}
