/** Limits how many records a stream takes per second: a token bucket that holds up to one second's worth. */
import type { Clock } from '../time/clock.js'

/** Part of a record that is not waited for: sums of fractions are not exact. */
const NEGLIGIBLE = 0.001

export class RateLimiter {
  readonly #clock: Clock
  readonly #maxRate: number
  #rate: number
  /** Records taken, in all. */
  #taken = 0
  /** Records that might have been taken by now; at most one second's worth more than have been, perhaps fewer. */
  #granted = 0
  #filledAt: number
  /** Aborted when the rate changes: who waits must see by when its time comes now. */
  #changed = new AbortController()

  /** `rate` and `maxRate` in records per second; `maxRate` bounds every rate set later. Infinity: no limit. */
  constructor(clock: Clock, rate: number, maxRate = Infinity) {
    this.#clock = clock
    this.#maxRate = maxRate
    this.#rate = Math.min(rate, maxRate)
    this.#filledAt = clock.monotonic()
  }

  /** Records per second. */
  get rate(): number {
    return this.#rate
  }

  /**
   * Sets another rate, never above the maximum; it counts from now on, also for those who wait. Rates that are not above 0
   * are ignored.
   */
  setRate(rate: number): void {
    if (!(rate > 0)) return
    this.#fill()
    const next = Math.min(rate, this.#maxRate)
    const debt = this.#taken - this.#granted
    // What came under a higher rate is not made to wait longer for it.
    if (debt > 0) this.#granted = this.#taken - debt * Math.min(1, next / this.#rate)
    this.#rate = next
    this.#changed.abort()
    this.#changed = new AbortController()
  }

  /**
   * Counts `records` that have been taken; a promise when the next ones must wait, resolved when it is their time, or when the
   * signal is aborted.
   */
  take(records: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#rate === Infinity) return undefined
    this.#fill()
    this.#taken += records
    return this.#taken <= this.#granted ? undefined : this.#wait(this.#taken, signal)
  }

  async #wait(ticket: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const missing = ticket - this.#granted
      if (missing <= NEGLIGIBLE || this.#rate === Infinity) return
      await this.#sleep((missing / this.#rate) * 1_000, signal)
      this.#fill()
    }
  }

  /** Ends early when the rate changes. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController()
    const end = (): void => {
      timer.abort()
    }
    const changed = this.#changed.signal
    for (const each of [signal, changed]) each.addEventListener('abort', end, { once: true })
    await this.#clock.sleep(ms, timer.signal).catch(() => undefined)
    for (const each of [signal, changed]) each.removeEventListener('abort', end)
  }

  #fill(): void {
    const now = this.#clock.monotonic()
    const since = (now - this.#filledAt) / 1_000
    this.#filledAt = now
    if (this.#rate === Infinity) this.#granted = this.#taken
    else this.#granted = Math.min(this.#taken + this.#rate, this.#granted + since * this.#rate)
  }
}
