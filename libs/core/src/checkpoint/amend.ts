/**
 * Drops an input from a planned batch that cannot be run any more, because what it covers is gone (E15). The plan keeps its
 * digest: see {@link AmendRecord}.
 */
import { SluiceError } from '../errors.js'
import type { Logger } from '../observe/logger.js'
import type { FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import type { ProcessTable } from '../storage/process-table.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { digestOf } from './batch-log.js'
import { encodeEntry, type AmendRecord } from './entries.js'
import type { LoggedBatch, LogImage } from './log-image.js'
import { ImageReader } from './look.js'
import { openEntryLog } from './open-log.js'
import { inspectOwnership, takeOwnership, type Ownership } from './ownership.js'
import { readSnapshotBase } from './snapshots.js'

export interface AmendOptions {
  readonly fileSystem: FileSystem
  readonly folder: string
  readonly time: BatchTime
  /** Ids of the inputs that count as empty. */
  readonly drop: readonly string[]
  readonly clock: Clock
  readonly logger: Logger
  readonly processes?: ProcessTable | undefined
}

/** An output of the batch, and what its ledger may hold. */
interface AmendedOutput {
  readonly output: string
  readonly partitions: number
  /** All of it was written before. Else: partitions that the ledger of its sink holds were. */
  readonly isDone: boolean
}

export interface Amended extends AmendRecord {
  readonly app: string
  readonly isCommitted: boolean
  /** Empty where the batch has never started: nothing of it was written. */
  readonly outputs: readonly AmendedOutput[]
}

/**
 * Takes the checkpoint over, writes the amendment, and gives the checkpoint back. Rejects with `CHECKPOINT_OWNED` while its
 * owner lives, with `ARGUMENT_INVALID` where there is no such batch or input; nothing is written then.
 */
export async function amendCheckpoint(options: AmendOptions): Promise<Amended> {
  const { fileSystem, folder, clock, logger, processes } = options
  const { appName } = await inspectOwnership(fileSystem, folder, processes)
  const ownership = await takeOwnership({ fileSystem, folder, appName, clock, logger, processes })
  try {
    return await amend(ownership, options)
  } finally {
    await ownership.release()
  }
}

async function amend(ownership: Ownership, { fileSystem, logger, time, drop }: AmendOptions): Promise<Amended> {
  const { app, epoch, folder } = ownership
  const snapshots = { fileSystem, folder: joinPath(folder, 'snapshots') }
  const hasSnapshots = (await fileSystem.stat(snapshots.folder)) !== undefined
  const reader = new ImageReader(hasSnapshots ? await readSnapshotBase(snapshots) : undefined)
  const log = await openEntryLog({ fileSystem, folder: joinPath(folder, 'batches'), epoch, logger }, (entry) => {
    reader.add(entry)
  })
  try {
    const batch = batchToAmend(reader.image, time, drop)
    const record: AmendRecord = { time, dropped: drop, digest: digestOf(batch.plan) }
    const { type, payload } = encodeEntry({ type: 'amend', ...record })
    await log.append(type, payload)
    await ownership.confirm()
    return { app, ...record, isCommitted: batch.isCommitted, outputs: outputsOf(batch) }
  } finally {
    await log.close()
  }
}

function batchToAmend(image: LogImage, time: BatchTime, drop: readonly string[]): LoggedBatch {
  const batch = image.batch(time)
  const times = image.uncommitted.map(({ plan }) => String(plan.time))
  const planned = times.length === 0 ? 'there is none' : `there are ${times.join(', ')}`
  if (batch === undefined) throw refused(`there is no planned batch ${String(time)}; of those not committed ${planned}`)
  for (const input of drop) {
    if (input in batch.plan.inputs) continue
    const inputs = Object.keys(batch.plan.inputs).join(', ')
    throw refused(`batch ${String(time)} has no input ${input}; it has ${inputs}`)
  }
  const inverse = image.graph?.states.find(({ kind }) => kind.startsWith('reduceByKeyAndWindow'))
  if (batch.isCommitted && inverse !== undefined) {
    throw refused(
      `batch ${String(time)} is committed, and ${inverse.id} holds what it gave: it could never subtract it again; bring the input back`,
    )
  }
  return batch
}

function outputsOf({ start, outputs, done, isCommitted }: LoggedBatch): AmendedOutput[] {
  return Object.entries({ ...start?.partitions, ...outputs }).map(([output, partitions]) => {
    return { output, partitions, isDone: isCommitted || done.includes(output) }
  })
}

function refused(message: string): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: 'sluice-checkpoint', message })
}
