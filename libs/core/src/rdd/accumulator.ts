/**
 * Accumulators: variables that tasks only add to. What a task adds counts once, when the task has succeeded: attempts that
 * failed leave nothing.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/** A variable that tasks add to and the driver reads. */
export interface Accumulator<in out A, in V = A> {
  readonly name: string
  /** What has been added by tasks that succeeded. */
  readonly value: A
  add(value: V): void
  reset(): void
}

interface Pending {
  readonly accumulator: AccumulatorImpl<unknown, unknown>
  readonly value: unknown
}

export class AccumulatorRegistry {
  readonly #task = new AsyncLocalStorage<Pending[]>()
  #used = false

  accumulator<A, V>(name: string, zero: A, add: (acc: A, value: V) => A): Accumulator<A, V> {
    this.#used = true
    return new AccumulatorImpl(name, zero, add, () => this.#task.getStore())
  }

  /** Runs one task attempt; adds what it collected when it succeeds. */
  async collecting<R>(attempt: () => Promise<R>): Promise<R> {
    // Without accumulators tasks pay nothing.
    if (!this.#used) return attempt()
    const pending: Pending[] = []
    const result = await this.#task.run(pending, attempt)
    for (const { accumulator, value } of pending) accumulator.apply(value)
    return result
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
    this.#value = zero
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
    this.#value = this.#zero
  }
}
