/** What a simulated cluster needs of the simulator: of the world that it stands in, and of the process that calls it. */
import type { Clock, Random } from '@sluice/core'

/** `OutsideWorld` of `@sluice/testkit`. */
export interface SimulatedWorld {
  readonly nowMs: number
  readonly intervalMs: number
  readonly intervals: number
  readonly lastFaultMs: number
  randomFor(...purpose: readonly (string | number)[]): Random
  after(delayMs: number, what: string, effect: () => void): void
}

/** What is used of `Simulation` of `@sluice/testkit`. */
export interface SimulatedProcess {
  readonly options: { readonly clock?: Clock | undefined }
  readonly call: Call
}

/** `CallModel` of `@sluice/testkit`. */
export type Call = <T>(what: string, on: string, effect: () => T) => Promise<T>
