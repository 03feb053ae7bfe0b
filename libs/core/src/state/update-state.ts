/** updateStateByKey: every key that has state or values is passed to the function, in every batch. */
import { refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import { explainUserError } from './explain.js'
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
      const box = state.box(key)
      if (!box.v.touched) state.touch(box)
      box.v.arrived = values
    }
  }
  const out: unknown[] = []
  let since = 0
  for (const box of state.boxes()) {
    const next = updateKey(state, box, update, operator, env)
    if (next !== undefined) out.push([box.k, next])
    if (++since < env.pacer.slice) continue
    if (env.pacer.ran(since)) await env.pacer.yield()
    since = 0
  }
  return out
}

/** The new state as outputs may have it: frozen, or a copy, so that none can change what will be committed. */
function updateKey(
  state: StatePartition,
  box: CellBox,
  update: UpdateFunction,
  operator: string,
  env: TaskEnv,
): unknown {
  const arrived = box.v.arrived ?? noValues
  try {
    state.write(box, refusePromise(update(arrived, state.readCommitted(box)), operator))
  } catch (error) {
    throw explainUserError(error, operator, env, [box.k, arrived])
  }
  return state.read(box)
}
