/** How long to wait before a receiver is started again. */
import { requireArgument } from '../errors.js'

export interface RestartDelays {
  readonly leastMs: number
  readonly mostMs: number
}

const DEFAULT_LEAST_MS = 2_000
const DEFAULT_MOST_MS = 60_000

/** Throws `ARGUMENT_INVALID`. */
export function requireDelays(
  component: string,
  leastMs = DEFAULT_LEAST_MS,
  mostMs = Math.max(DEFAULT_MOST_MS, leastMs),
): RestartDelays {
  requireArgument(leastMs >= 0, component, `restartDelay must be at least 0, not ${String(leastMs)}`)
  requireArgument(
    mostMs >= leastMs,
    component,
    `maxRestartDelay must be at least restartDelay (${String(leastMs)} ms), not ${String(mostMs)}`,
  )
  return { leastMs, mostMs }
}

/**
 * Doubles from the least to the most. It starts over after a run that went well: one that stored something and lasted at least
 * as long as the pause before it, or one that lasted for the longest pause. So a source that fails by what it delivers is not
 * tried again and again at once.
 */
export class Backoff {
  readonly #delays: RestartDelays
  #lastMs: number | undefined

  constructor(delays: RestartDelays) {
    this.#delays = delays
  }

  next(): number {
    const { leastMs, mostMs } = this.#delays
    this.#lastMs = this.#lastMs === undefined ? leastMs : Math.min(mostMs, 2 * this.#lastMs)
    return this.#lastMs
  }

  /** Tells how a run went: how long it received, and whether it stored anything. */
  ran(receivingMs: number, hasStored: boolean): void {
    const last = this.#lastMs ?? 0
    if (receivingMs >= this.#delays.mostMs || (hasStored && receivingMs >= last)) this.#lastMs = undefined
  }
}
