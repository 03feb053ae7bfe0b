/** How a simulation tells that it has found something. */
import { SluiceError } from '@sluice/core'
import type { InjectedFault } from './faults.js'
import { traceText, type Failing } from './trace.js'

/** What a program wrote is wrong, or it hangs, or it ended by itself. */
export class SimulationFailure extends SluiceError {
  readonly seed: number
  /** Fewest batches and faults found that still show it. */
  readonly batches: number
  readonly trace: readonly InjectedFault[]
  /** The trace as text, for `simulate`. */
  readonly traceText: string
  /** What is wrong. */
  readonly problem: string

  constructor(seed: number, { batches, trace, problem }: Failing, replay: (trace: string) => string) {
    const faults = trace.map(({ event, kind, when = '', at = '' }) => `  event ${String(event)}: ${kind} ${when} ${at}`)
    const lines = [
      `seed ${String(seed)}: ${problem}`,
      `${String(batches)} batches and ${String(trace.length)} faults show it:`,
      ...faults.map((line) => line.replace(/ +/g, ' ')),
      `again: ${replay(traceText(trace))}`,
    ]
    super({ code: 'SIMULATION_FAILED', component: 'simulate', message: lines.join('\n') })
    this.seed = seed
    this.batches = batches
    this.trace = trace
    this.traceText = traceText(trace)
    this.problem = problem
  }
}
