/**
 * Accumulators: variables that tasks only add to. What a task adds counts once, when the task has succeeded: attempts that
 * failed leave nothing. Tasks in other threads add by name, and what they added comes back with their results.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { requireArgument, SluiceError } from '../errors.js'
import { deepCopy } from './copy.js'
import { declareShared, workerHost, type WorkerHost } from './worker-mode.js'

/** A variable that tasks add to and the driver reads. */
export interface Accumulator<in out A, in V = A> {
  /** Unique in its context. */
  readonly name: string
  /** What has been added by tasks that succeeded. Only the driver has it: in a task of a worker thread it throws. */
  readonly value: A
  add(value: V): void
  reset(): void
}

interface Pending {
  readonly accumulator: AccumulatorImpl<unknown, unknown>
  readonly value: unknown
}

/** The accumulators of one context. */
export class AccumulatorRegistry {
  readonly #task = new AsyncLocalStorage<Pending[]>()
  readonly #byName = new Map<string, AccumulatorImpl<unknown, unknown>>()

  /** Throws `ARGUMENT_INVALID` when the name is taken. */
  accumulator<A, V>(name: string, zero: A, add: (acc: A, value: V) => A): Accumulator<A, V> {
    const taken = `the name '${name}' is taken; give each accumulator its own, as worker threads know them by name`
    requireArgument(!this.#byName.has(name), 'accumulator', taken)
    const host = workerHost()
    const accumulator = new AccumulatorImpl(name, zero, add, () => this.#task.getStore())
    this.#byName.set(name, accumulator as unknown as AccumulatorImpl<unknown, unknown>)
    return host === undefined ? accumulator : workerAccumulator(name, zero, host)
  }

  /** Runs one task attempt; adds what it collected when it succeeds. */
  async collecting<R>(attempt: () => Promise<R>): Promise<R> {
    // Without accumulators tasks pay nothing.
    if (this.#byName.size === 0) return attempt()
    const pending: Pending[] = []
    const result = await this.#task.run(pending, attempt)
    for (const { accumulator, value } of pending) accumulator.apply(value)
    return result
  }

  /** Adds what a task in another thread added. Throws `TASK_NOT_REGISTERED` for an unknown name, and then adds nothing. */
  addAll(added: readonly (readonly [name: string, value: unknown])[]): void {
    const found = added.map(([name, value]) => ({ accumulator: this.#find(name), value }))
    for (const { accumulator, value } of found) accumulator.add(value)
  }

  #find(name: string): AccumulatorImpl<unknown, unknown> {
    const accumulator = this.#byName.get(name)
    if (accumulator !== undefined) return accumulator
    throw new SluiceError({
      code: 'TASK_NOT_REGISTERED',
      component: 'accumulator',
      message: `a task added to '${name}', which this context does not have; make it while the app's module loads, also in the driver`,
    })
  }
}

class AccumulatorImpl<A, V> implements Accumulator<A, V> {
  readonly name: string
  readonly #zero: A
  readonly #add: (acc: A, value: V) => A
  readonly #pending: () => Pending[] | undefined
  #value: A

  constructor(name: string, zero: A, add: (acc: A, value: V) => A, pending: () => Pending[] | undefined) {
    this.name = name
    this.#zero = zero
    // `add` may change it in place.
    this.#value = deepCopy(zero)
    this.#add = add
    this.#pending = pending
  }

  get value(): A {
    return this.#value
  }

  add(value: V): void {
    const pending = this.#pending()
    // Outside a task there is nothing to undo.
    if (pending === undefined) this.apply(value)
    else pending.push({ accumulator: this as AccumulatorImpl<unknown, unknown>, value })
  }

  apply(value: V): void {
    this.#value = this.#add(this.#value, value)
  }

  reset(): void {
    this.#value = deepCopy(this.#zero)
  }
}

/** In a worker: what tasks add goes back with their results; what the module adds while it loads, the driver adds itself. */
function workerAccumulator<A, V>(name: string, zero: A, host: WorkerHost): Accumulator<A, V> {
  const requireOne = declareShared(host, 'accumulator', name)
  return {
    name,
    get value() {
      if (host.task.getStore() === undefined) return zero
      throw new SluiceError({
        code: 'ARGUMENT_INVALID',
        component: 'accumulator',
        message: `a task in a worker thread cannot read '${name}', whose value is in the driver; read it after the action`,
      })
    },
    add: (value) => {
      requireOne()
      host.task.getStore()?.added.push([name, value])
    },
    reset: () => undefined,
  }
}
