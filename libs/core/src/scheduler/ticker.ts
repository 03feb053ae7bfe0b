/** Ticks of the batch interval: paced by the monotonic clock, aligned to the wall clock, in order and without a gap (E12). */
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { firstTick, lastTick } from '../time/ticks.js'

/** Where an earlier run ended. */
export interface TickerResume {
  readonly zeroTime: BatchTime
  readonly last: BatchTime
  /** Whether each tick of the down time is made up for, or the next one covers it all. */
  readonly catchUp: 'one' | 'each'
}

export class Ticker {
  readonly zeroTime: BatchTime
  readonly #clock: Clock
  readonly #intervalMs: number
  #last: BatchTime
  /** Monotonic time at which the next tick is due. */
  #due: number

  constructor(clock: Clock, intervalMs: number, resume?: TickerResume) {
    const now = clock.now()
    const first = firstTick(now, intervalMs)
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.zeroTime = resume?.zeroTime ?? first - intervalMs
    this.#last = resume?.last ?? this.zeroTime
    const next = resume?.catchUp === 'each' ? Math.min(first, this.#last + intervalMs) : first
    this.#due = clock.monotonic() + (next - now)
  }

  /** Time of the last batch. */
  get last(): BatchTime {
    return this.#last
  }

  /** Waits for the next tick; at once when it is overdue. Rejects when the signal is aborted. */
  async next(signal: AbortSignal): Promise<BatchTime> {
    const wait = this.#due - this.#clock.monotonic()
    if (wait > 0) await this.#clock.sleep(wait, signal)
    signal.throwIfAborted()
    return this.take()
  }

  /** The next batch time, without waiting: for a last batch at a graceful stop. */
  take(): BatchTime {
    const overdue = this.#clock.monotonic() - this.#due
    const now = this.#clock.now()
    const next = this.#last + this.#intervalMs
    // Overdue ticks have their own times, one after another; only the latest may follow the wall clock. It does when that
    // was set forward: a tick that is late by nearly an interval must not take the time of the one after it.
    const wasSetForward = now - (next + overdue) >= this.#intervalMs
    const time =
      wasSetForward && overdue < this.#intervalMs
        ? Math.max(next, lastTick(now, this.zeroTime, this.#intervalMs))
        : next
    this.#last = time
    this.#due += this.#intervalMs + this.#correction(time)
    return time
  }

  /** Follows a wall clock that drifts, by at most a tenth of an interval per tick; jumps are not followed. */
  #correction(time: BatchTime): number {
    const off = time + this.#intervalMs - this.#clock.now() - (this.#due + this.#intervalMs - this.#clock.monotonic())
    const most = this.#intervalMs / 10
    return Math.abs(off) > this.#intervalMs ? 0 : Math.max(-most, Math.min(most, off))
  }
}
