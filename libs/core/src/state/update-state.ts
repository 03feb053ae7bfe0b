/** updateStateByKey: every key that has state or values is passed to the function, in every batch. */
import { refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import { explainUserError } from './explain.js'
import type { Results } from './state-operator.js'
import type { Cell, StatePartition } from './state-partition.js'

export type UpdateFunction = (values: readonly unknown[], state: unknown) => unknown

const noValues: readonly unknown[] = Object.freeze([])

/** Takes groups `[key, values]` of one batch; gives `[key, state]` of every key that has state afterwards. */
export async function updateState(
  state: StatePartition,
  groups: Chunks,
  update: UpdateFunction,
  operator: string,
  env: TaskEnv,
): Promise<Results> {
  for await (const chunk of groups) {
    for (const group of chunk) {
      const [key, values] = group as readonly [unknown, readonly unknown[]]
      const cell = state.cell(key)
      if (!cell.touched) state.touch(cell)
      cell.arrived = values
    }
    if (env.pacer.ran(chunk.length)) await env.pacer.yield()
  }
  let since = 0
  for (const cell of state.cells()) {
    updateKey(state, cell, update, operator, env)
    if (++since < env.pacer.slice) continue
    if (env.pacer.ran(since)) await env.pacer.yield()
    since = 0
  }
  return () => state.pairs()
}

function updateKey(state: StatePartition, cell: Cell, update: UpdateFunction, operator: string, env: TaskEnv): void {
  const arrived = cell.arrived ?? noValues
  try {
    state.write(cell, refusePromise(update(arrived, state.readCommitted(cell)), operator))
  } catch (error) {
    throw explainUserError(error, operator, env, [cell.k, arrived])
  }
}
