/** What `sluice-checkpoint verify` tells. */
import type { CheckpointLook } from '../checkpoint/look.js'
import { bytesText, damageLines } from './text.js'

interface Checked {
  readonly entries: number
  readonly bytes: number
  /** At the end of a log: what the process that wrote it did not live to make durable. The next owner cuts it. */
  readonly tornBytes: number
}

export interface VerifyReport {
  readonly folder: string
  readonly isSound: boolean
  readonly logs: { readonly batches: Checked; readonly records: Checked }
  readonly snapshots: { readonly files: number; readonly bytes: number }
  /** Of each log the first place; behind it nothing of that log can be trusted. */
  readonly damage: CheckpointLook['damage']
}

export function verifyReport(
  folder: string,
  { batches, records, snapshotFiles, damage }: CheckpointLook,
): VerifyReport {
  return {
    folder,
    isSound: damage.length === 0,
    logs: { batches: checked(batches), records: checked(records) },
    snapshots: snapshotFiles,
    damage,
  }
}

function checked({ entries, bytes, tornBytes }: Checked): Checked {
  return { entries, bytes, tornBytes }
}

export function verifyText({ folder, isSound, logs, snapshots, damage }: VerifyReport): string {
  const lines = [
    `log of batches: ${logText(logs.batches)}`,
    `log of records: ${logText(logs.records)}`,
    `snapshots: ${String(snapshots.files)} files, ${bytesText(snapshots.bytes)}`,
    ...damageLines(damage),
    isSound ? `${folder} is sound` : `${folder} is damaged: restore a copy of it; an application would refuse to start`,
  ]
  return `${lines.join('\n')}\n`
}

function logText({ entries, bytes, tornBytes }: Checked): string {
  const torn = tornBytes === 0 ? 'no torn tail' : `torn tail of ${String(tornBytes)} bytes, which the next start cuts`
  return `${String(entries)} entries, ${bytesText(bytes)}, ${torn}`
}
