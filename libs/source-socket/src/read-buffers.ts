/** The buffers that one connection reads into, used again when nobody reads them any more: what is new is the collector's work. */
import type { Clock } from '@sluice/core'

// Larger reads make larger pieces, whose texts V8 keeps among its large objects, at twice the cost.
export const READ_BYTES = 64 * 1024
/** How many wait at most to be used again: 128 MiB, which is what a stream holds before it waits. */
const MOST_FREE = 2_048
/** What was not needed for so long goes. */
const TRIM_MS = 60_000

export class ReadBuffers {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  /** The one given back last is used first, so that what is not needed stays at the front. */
  readonly #free: Buffer[] = []
  /** After a `take`, since the last trim. */
  #leastFree = Infinity
  #isTrimming = false

  /** Nothing is kept when `signal` is aborted. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
  }

  get free(): number {
    return this.#free.length
  }

  take(): Buffer {
    const buffer = this.#free.pop()
    this.#leastFree = Math.min(this.#leastFree, this.#free.length)
    return buffer ?? Buffer.allocUnsafeSlow(READ_BYTES)
  }

  /** Nobody must read or write it from now on. */
  give(buffer: Buffer): void {
    if (this.#signal.aborted || this.#free.length >= MOST_FREE) return
    this.#free.push(buffer)
    if (!this.#isTrimming) void this.#trim()
  }

  // Runs only while there is something to drop: an idle connection costs nothing.
  async #trim(): Promise<void> {
    this.#isTrimming = true
    while (this.#free.length > 0 && !this.#signal.aborted) {
      this.#leastFree = Infinity
      await this.#clock.sleep(TRIM_MS, this.#signal).catch(() => undefined)
      this.#free.splice(0, this.#signal.aborted ? Infinity : this.#leastFree)
    }
    this.#isTrimming = false
  }
}
