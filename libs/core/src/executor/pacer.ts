/** Keeps long tasks polite: at most 5 ms of work, then timers, sockets and other tasks have their turn. */
import type { Pacer } from '../rdd/pipeline.js'
import type { Clock } from '../time/clock.js'

/** Milliseconds of work after which a task yields; the rest up to 5 ms is for the slice that goes over. */
const TURN_MS = 3
const SLICE_MS = 1
/** Enough that the looking at the clock costs nothing, and few enough that records which suddenly cost more do little harm. */
const MOST_SLICE = 1 << 12

/** What all loops of one thread share: when the turn began, and when the last slice ended. */
interface Turn {
  readonly clock: Clock
  start: number
  mark: number
}

/** A pacer for one executor: its tasks share the event loop, so they share the turn. */
export class LoopPacer implements Pacer {
  slice = 1
  readonly #turn: Turn

  constructor(clock: Clock, turn?: Turn) {
    this.#turn = turn ?? { clock, start: clock.monotonic(), mark: clock.monotonic() }
  }

  begin(): void {
    this.#turn.mark = this.#turn.clock.monotonic()
  }

  ran(records: number): boolean {
    const turn = this.#turn
    const now = turn.clock.monotonic()
    const took = now - turn.mark
    turn.mark = now
    if (took > SLICE_MS) this.slice = Math.max(1, Math.floor((Math.min(records, this.slice) * SLICE_MS) / took))
    // Only a whole slice tells that a larger one will do.
    else if (took < SLICE_MS / 2 && records >= this.slice) this.slice = Math.min(MOST_SLICE, this.slice << 1)
    return now - turn.start >= TURN_MS
  }

  async yield(): Promise<void> {
    await this.#turn.clock.yield()
    this.#turn.start = this.#turn.mark = this.#turn.clock.monotonic()
  }

  forLoop(): LoopPacer {
    return new LoopPacer(this.#turn.clock, this.#turn)
  }
}
