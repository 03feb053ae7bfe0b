/** What a process asks of the world. */
import type { Random } from '@sluice/core'
import type { EventLabel } from './event-queue.js'
import type { OperationFault } from './faults.js'

/** How an operation behaves, besides what it does. */
export interface OperationOptions {
  /** Most milliseconds that it takes. Default: half a millisecond. */
  readonly latencyMs?: number | undefined
  /** Milliseconds that pass before it begins. Default: 0. */
  readonly delayMs?: number | undefined
  /** Done instead where the process dies in the middle. */
  readonly tear?: (() => unknown) | undefined
  /** Changes what it does by the fault that came upon it. */
  readonly faulty?: ((fault: OperationFault, random: Random) => FaultyOperation) | undefined
}

/** An operation that goes wrong. Left out: as without the fault. */
export interface FaultyOperation {
  readonly effect?: (() => unknown) | undefined
  readonly delayMs?: number | undefined
  /** Nobody is told, ever. */
  readonly isSilent?: boolean | undefined
}

/** Asks the world for something; resolves or rejects at a later event, or never. */
export type Operate = <T>(label: EventLabel, effect: () => T | Promise<T>, options?: OperationOptions) => Promise<T>
