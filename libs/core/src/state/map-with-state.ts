/** mapWithState: only keys with records, and those whose idle time is over, are passed to the function. */
import { SluiceError } from '../errors.js'
import { handOut, keepSafe } from '../rdd/freeze.js'
import { asPair, refusePromise } from '../rdd/out.js'
import type { Chunks, TaskEnv } from '../rdd/pipeline.js'
import type { BatchTime } from '../time/duration.js'
import { explainUserError } from './explain.js'
import type { Results } from './state-operator.js'
import { AHEAD, type Cell, type StatePartition } from './state-partition.js'

/** The state of the key at hand. It is good during the call only. */
export interface State<S> {
  exists(): boolean
  /** Throws `STATE_INVALID` when there is none. */
  get(): Readonly<S>
  getOption(): Readonly<S> | undefined
  /** Sets the state. Throws `STATE_INVALID` after `remove`, and while the key times out. */
  update(state: S): void
  /** Removes the key. Throws `STATE_INVALID` when it is removed already, or while it times out. */
  remove(): void
  /** True in the last call for a key whose idle time is over: it is removed afterwards. */
  isTimingOut(): boolean
}

export type StateFunction = (key: unknown, value: unknown, state: State<unknown>) => unknown

export interface StateSpec {
  readonly f: StateFunction
  readonly operator: string
  /** Milliseconds; undefined: keys never time out. */
  readonly timeoutMs: number | undefined
}

/** Runs the pairs of one batch through the function; gives what it returned, except undefined. */
export async function mapWithState(
  partition: StatePartition,
  pairs: Chunks,
  spec: StateSpec,
  time: BatchTime,
  env: TaskEnv,
): Promise<Results> {
  const run = new StateRun(partition, spec, env)
  for await (const chunk of pairs) {
    for (let from = 0; from < chunk.length;) {
      const to = Math.min(chunk.length, from + Math.min(env.pacer.slice, AHEAD))
      const cells = partition.ahead(chunk, from, to)
      for (let i = from; i < to; i++) run.record(chunk[i], cells[i - from])
      if (env.pacer.ran(to - from)) await env.pacer.yield()
      from = to
    }
  }
  if (spec.timeoutMs !== undefined) {
    // A key with data in this very batch is not timed out: the batch has touched it.
    const idle = partition.idleSince(time - spec.timeoutMs)
    for (let from = 0; from < idle.length;) {
      const to = Math.min(idle.length, from + env.pacer.slice)
      for (let i = from; i < to; i++) run.timeOut(idle[i] as Cell)
      if (env.pacer.ran(to - from)) await env.pacer.yield()
      from = to
    }
  }
  // Several outputs may read them.
  keepSafe(run.out)
  return () => [handOut(run.out)]
}

class StateRun implements State<unknown> {
  readonly out: unknown[] = []
  readonly #partition: StatePartition
  readonly #spec: StateSpec
  readonly #env: TaskEnv
  #cell: Cell | undefined
  #removed = false
  #updated = false
  #timingOut = false

  constructor(partition: StatePartition, spec: StateSpec, env: TaskEnv) {
    this.#partition = partition
    this.#spec = spec
    this.#env = env
  }

  /** `known`: the cell of the record's key, where it has been found already. */
  record(record: unknown, known: Cell | undefined): void {
    // By index: taken apart as an iterable it would cost more.
    const pair = asPair(record, this.#spec.operator)
    const cell = known ?? this.#partition.cell(pair[0])
    this.#call(cell, pair[1], false)
    // Reading refreshes the idle time only where one is set, as in Spark.
    const refreshes = this.#spec.timeoutMs !== undefined && !this.#updated && !this.#removed
    if (refreshes && !cell.touched && cell.v !== undefined) this.#partition.touch(cell)
  }

  timeOut(cell: Cell): void {
    this.#call(cell, undefined, true)
    this.#partition.write(cell, undefined)
  }

  #call(cell: Cell, value: unknown, timingOut: boolean): void {
    const { f, operator } = this.#spec
    this.#cell = cell
    this.#removed = false
    this.#updated = false
    this.#timingOut = timingOut
    let result: unknown
    try {
      result = refusePromise(f(this.#partition.key(cell), value, this), operator)
    } catch (error) {
      throw explainUserError(error, operator, this.#env, [cell.k, value])
    } finally {
      this.#cell = undefined
    }
    if (result !== undefined) this.out.push(result)
  }

  exists(): boolean {
    return this.getOption() !== undefined
  }

  get(): Readonly<unknown> {
    const state = this.getOption()
    if (state === undefined) throw this.#invalid('the key has no state; ask exists() first, or use getOption()')
    return state
  }

  getOption(): Readonly<unknown> | undefined {
    return this.#partition.read(this.#current()) as Readonly<unknown> | undefined
  }

  update(state: unknown): void {
    const cell = this.#current()
    if (this.#removed) throw this.#invalid('the state was removed in this call and cannot be updated')
    if (this.#timingOut) throw this.#invalid('the key times out and cannot be updated')
    if (state === undefined) throw this.#invalid('undefined cannot be a state; use remove()')
    this.#updated = true
    this.#partition.write(cell, state)
  }

  remove(): void {
    const cell = this.#current()
    if (this.#removed) throw this.#invalid('the state was removed in this call already')
    if (this.#timingOut) throw this.#invalid('the key times out and is removed by itself')
    this.#removed = true
    this.#partition.write(cell, undefined)
  }

  isTimingOut(): boolean {
    return this.#timingOut
  }

  toString(): string {
    const state = this.getOption()
    return state === undefined ? '<state not set>' : String(state)
  }

  #current(): Cell {
    if (this.#cell === undefined)
      throw this.#invalid('the state was used after its call; keep its value, not the State')
    return this.#cell
  }

  #invalid(message: string): SluiceError {
    return new SluiceError({ code: 'STATE_INVALID', component: this.#spec.operator, message })
  }
}
