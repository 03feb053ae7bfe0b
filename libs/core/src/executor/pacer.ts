/** Keeps long tasks polite: at most 5 ms of work, then timers, sockets and other tasks have their turn. */
import type { Pacer } from '../rdd/pipeline.js'
import type { Clock } from '../time/clock.js'

/** Milliseconds of work after which a task yields; the rest up to 5 ms is for the slice that goes over. */
const TURN_MS = 3
const SLICE_MS = 1
const LEAST_SLICE = 32
const MOST_SLICE = 1 << 16

/** A pacer for one executor: its tasks share the event loop, so they share the turn. */
export class LoopPacer implements Pacer {
  slice = LEAST_SLICE
  readonly #clock: Clock
  #sliceStart: number
  #turnStart: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#turnStart = this.#sliceStart = clock.monotonic()
  }

  /** A new task begins: other code ran since the last slice. */
  begin(): void {
    this.#sliceStart = this.#clock.monotonic()
  }

  ran(records: number): boolean {
    const now = this.#clock.monotonic()
    const took = now - this.#sliceStart
    this.#sliceStart = now
    // Only a whole slice tells how long one takes.
    if (took > SLICE_MS) this.slice = Math.max(LEAST_SLICE, this.slice >>> 1)
    else if (took < SLICE_MS / 2 && records >= this.slice) this.slice = Math.min(MOST_SLICE, this.slice << 1)
    return now - this.#turnStart >= TURN_MS
  }

  async yield(): Promise<void> {
    await this.#clock.yield()
    this.#turnStart = this.#sliceStart = this.#clock.monotonic()
  }
}
