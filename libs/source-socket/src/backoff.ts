/** How long to wait before connecting again. */
import { seededRandom, seedOf } from '@sluice/core'
import type { Clock, Random } from '@sluice/core'

export interface BackoffOptions {
  readonly minDelayMs: number
  readonly maxDelayMs: number
}

/**
 * Exponential with jitter: the delays lie in 1..2, 2..4, 4..8 … times `minDelayMs`, at last in the upper half below
 * `maxDelayMs`. The jitter keeps the clients of a server that came back from coming back all at once.
 */
export class Backoff {
  readonly #options: BackoffOptions
  readonly #random: Random
  #failures = 0

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options
    this.#random = random
  }

  nextDelayMs(): number {
    const { minDelayMs, maxDelayMs } = this.#options
    const ceiling = Math.min(maxDelayMs, minDelayMs * 2 ** ++this.#failures)
    const floor = Math.max(minDelayMs, ceiling / 2)
    return Math.round(floor + this.#random.next() * (ceiling - floor))
  }

  reset(): void {
    this.#failures = 0
  }
}

/** Differs between processes that run the same program (by when they started), and is the same in a replayed simulation. */
export function jitterSource(clock: Clock, ...names: readonly (string | number)[]): Random {
  return seededRandom(seedOf(...names, clock.now(), clock.monotonic()))
}
