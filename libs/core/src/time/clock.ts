/** The clock port: where all time of the engine comes from, so that it can run in simulated time. */

export interface Clock {
  readonly '~sluice': 'clock/1'
  /** Wall-clock time in milliseconds since the Unix epoch. It may jump. */
  now(): number
  /** Milliseconds since an arbitrary origin, fractions included. It never goes back and does not jump. */
  monotonic(): number
  /**
   * Resolves after at least `ms` milliseconds of monotonic time. Rejects with the signal's reason once `signal` is
   * aborted, also if it is already; then nothing keeps running.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Lets timers and I/O that are due run first: how a long computation stays polite. */
  yield(): Promise<void>
}
