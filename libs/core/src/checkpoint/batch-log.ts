/** The batch log: what was planned, started and committed. A batch runs only after its plan is in the log. */
import { createHash } from 'node:crypto'
import { jsonOf } from '../observe/format.js'
import type { BatchTime } from '../time/duration.js'
import { newIdentity } from '../time/random.js'

/** What a batch covers, by id of its inputs. */
export interface PlanRecord {
  readonly time: BatchTime
  readonly inputs: Readonly<Record<string, unknown>>
}

/** What was fixed when the batch first started: it must be the same whenever the batch is run. */
interface StartRecord {
  readonly time: BatchTime
  /** Partitions of each output, by its id. */
  readonly partitions: Readonly<Record<string, number>>
  /** Side data of `transform`, by operator: a batch that is run again sees the same (E10). */
  readonly sideData: Readonly<Record<string, unknown>>
}

export interface BatchLog {
  /** Identity of the application (E1). */
  readonly app: string
  readonly epoch: number
  /** Time of the last batch planned before this run. */
  readonly lastPlanned: BatchTime | undefined
  /** Each resolves when the entry is durable. */
  plan(record: PlanRecord): Promise<void>
  start(record: StartRecord): Promise<void>
  commit(time: BatchTime): Promise<void>
  close(): Promise<void>
}

/** A log for applications without a checkpoint: nothing outlives the process, so nothing is written. */
export function volatileLog(): BatchLog {
  const written = Promise.resolve()
  return {
    app: newIdentity(),
    epoch: 0,
    lastPlanned: undefined,
    plan: () => written,
    start: () => written,
    commit: () => written,
    close: () => written,
  }
}

/** Digest of what a batch covers. */
export function digestOf(plan: PlanRecord): string {
  return createHash('sha256').update(jsonOf(plan)).digest('hex').slice(0, 32)
}
