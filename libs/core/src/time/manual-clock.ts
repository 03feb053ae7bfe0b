/** A clock that stands still until it is told to move, for tests and simulations. */
import { abortReason } from './abort.js'
import type { Clock } from './clock.js'

interface Sleeper {
  readonly due: number
  readonly order: number
  wake(): void
}

/**
 * Time moves only by {@link ManualClock.advance}. Sleepers wake in the order of their due times, equal ones in the
 * order in which they went to sleep; between two of them everything that was set going runs to its next wait.
 */
export class ManualClock implements Clock {
  readonly '~sluice' = 'clock/1'
  #wall: number
  #monotonic = 0
  #order = 0
  #sleepers: Sleeper[] = []

  /** Starts at `startMs` milliseconds since the epoch (default 0). */
  constructor(startMs = 0) {
    this.#wall = startMs
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  /** How many `sleep` calls are waiting. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  /** Milliseconds until the next sleeper is due; undefined when nobody sleeps. */
  get nextDueMs(): number | undefined {
    const next = this.#next()
    return next === undefined ? undefined : Math.max(0, next.due - this.#monotonic)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortReason(signal))
        return
      }
      const onAbort = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        reject(abortReason(signal))
      }
      const sleeper: Sleeper = {
        due: this.#monotonic + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#sleepers.push(sleeper)
    })
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Moves both clocks forward by `ms`, waking sleepers on the way. Resolves when what they set going has come to rest. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    await this.settle()
    for (let next = this.#next(); next !== undefined && next.due <= end; next = this.#next()) {
      this.#moveTo(next.due)
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next)
      next.wake()
      await this.settle()
    }
    this.#moveTo(end)
  }

  /** Sets the wall clock to `wallMs`, forward or back, as an administrator or NTP would. Monotonic time stays. */
  jumpTo(wallMs: number): void {
    this.#wall = wallMs
  }

  /** Lets pending promises and immediates run. */
  async settle(turns = 4): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await this.yield()
  }

  #moveTo(monotonic: number): void {
    if (monotonic <= this.#monotonic) return
    this.#wall += monotonic - this.#monotonic
    this.#monotonic = monotonic
  }

  #next(): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of this.#sleepers) {
      if (
        first === undefined ||
        sleeper.due < first.due ||
        (sleeper.due === first.due && sleeper.order < first.order)
      ) {
        first = sleeper
      }
    }
    return first
  }
}
