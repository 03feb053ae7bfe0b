/** Models that others bring along, e.g. of a server: they stand outside of all processes, which call them over a network that fails. */
import { SluiceError, type Random } from '@sluice/core'
import type { OperationFault } from './faults.js'
import type { FaultyOperation, Operate } from './operation.js'

/** What a model sees of the simulated world. */
export interface OutsideWorld {
  /** Simulated milliseconds since the beginning. */
  readonly nowMs: number
  /** Milliseconds between batches. */
  readonly intervalMs: number
  /** Intervals, from the beginning, in which records come. */
  readonly intervals: number
  /** Simulated milliseconds at which something last went wrong. */
  readonly lastFaultMs: number
  /** The same numbers for the same purpose in each run of a seed. */
  randomFor(...purpose: readonly (string | number)[]): Random
  /** Lets something happen later, also after the end of all processes: it must come to an end by itself. */
  after(delayMs: number, what: string, effect: () => void): void
}

/** All rows of a table of the simulator. */
export type RowsOf = (table: string) => readonly unknown[]

/** What the simulator asks of a model. */
export interface OutsideModel {
  /** Whether all that comes from it has come through; until then the run goes on. Default: always. */
  isThrough?(rowsOf: RowsOf): boolean
  /** What is wrong in the end, or where a run does not come to its end. Default: nothing. */
  problem?(rowsOf: RowsOf): string | undefined
}

/**
 * Asks a model for something: `effect` happens at a later event, and what it gives or throws is told at once then. `what` and `on`
 * stand in traces, e.g. `Produce` and `broker 1`.
 */
export type CallModel = <T>(what: string, on: string, effect: () => T) => Promise<T>

const CALL_LATENCY_MS = 5
const LEAST_LATE_MS = 1_000
const MOST_LATE_MS = 120_000

export function callModel(operate: Operate): CallModel {
  return (what, on, effect) =>
    operate({ kind: 'call', what, on }, effect, {
      latencyMs: CALL_LATENCY_MS,
      faulty: (fault, random) => faultyCall(fault, random, effect),
    })
}

function faultyCall(fault: OperationFault, random: Random, effect: () => unknown): FaultyOperation {
  switch (fault) {
    case 'callFails':
      return { effect: () => connectionBroke() }
    case 'answerIsLost':
      return {
        effect: () => {
          effect()
          connectionBroke()
        },
      }
    case 'callHangs':
      return { effect: () => undefined, isSilent: true }
    case 'lateCall':
      return { delayMs: LEAST_LATE_MS + random.next() * (MOST_LATE_MS - LEAST_LATE_MS), isSilent: true }
    default:
      return {}
  }
}

function connectionBroke(): never {
  throw new SluiceError({
    code: 'CONNECTION_FAILED',
    component: 'simulated-network',
    message: 'the connection broke; try again',
    retryable: true,
  })
}
