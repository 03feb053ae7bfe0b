/** The machine as a process sees it, clock and disks apart: who runs on it, and names that nobody else has. */
import { newIdentity } from '../time/random.js'
import { systemProcesses, type ProcessTable } from './process-table.js'

export interface Host {
  readonly processes: ProcessTable
  /** A new identity that nobody else has (E1). */
  newIdentity(): string
}

/** The machine that this process runs on. */
export function systemHost(): Host {
  return { processes: systemProcesses(), newIdentity }
}
