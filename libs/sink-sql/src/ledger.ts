/**
 * What decides whether a batch partition is applied (E1, E8). Every database keeps two tables for it, in the same transaction as
 * the rows: the ledger, one row for each app, output and partition, and the fence, one row for each app and output.
 */
import type { BatchId, BatchPartitionId, SinkContext } from '@sluice/core'
import { sqlError } from './errors.js'

export const LEDGER = 'sluice_ledger'
export const FENCE = 'sluice_fence'

/** What the ledger says of a partition. */
export interface LedgerEntry {
  readonly batchTime: number
  readonly partitions: number
  readonly planDigest: string
  readonly epoch: number
}

/**
 * Whether to apply a partition: `own` is its entry, `newest` the one with the latest time of all partitions of the output. The
 * latter counts because batches never overlap (E2), and because entries of partitions that later batches have no more are removed.
 * Throws `FENCED` or `IDENTITY_CONFLICT`.
 */
export function decide(
  id: BatchPartitionId,
  own: LedgerEntry | undefined,
  newest: LedgerEntry | undefined,
): 'apply' | 'applied' {
  for (const entry of [own, newest]) if (entry !== undefined && entry.epoch > id.epoch) throw fenced(id, entry.epoch)
  if (own !== undefined && isSameBatch(own, id)) return 'applied'
  for (const entry of [own, newest]) {
    if (entry === undefined || entry.batchTime < id.batchTime || isSameBatch(entry, id)) continue
    throw conflict(id, entry)
  }
  return 'apply'
}

export function isSameBatch(entry: LedgerEntry, id: BatchId): boolean {
  return entry.batchTime === id.batchTime && entry.planDigest === id.planDigest && entry.partitions === id.partitions
}

/** Every partition of a batch must be there when it is committed. */
export function requireAll({ output, batchTime, partitions }: BatchId, applied: number): void {
  if (applied >= partitions) return
  const message = `of batch ${String(batchTime)} of output ${output} ${String(applied)} of ${String(partitions)} partitions are written; write all before it is committed`
  throw sqlError('OUTPUT_FAILED', message, { retryable: true })
}

/** The fence must be this run's: a higher epoch is a new owner's, a lower or none means that the tables were put back. */
export function requireFence(id: Pick<BatchPartitionId, 'output' | 'epoch'>, epoch: number | undefined): void {
  if (epoch === id.epoch) return
  if (epoch !== undefined && epoch > id.epoch) throw fenced(id, epoch)
  throw sqlError(
    'FENCED',
    `the fence of output ${id.output} is gone or older than this run: the database was restored or cleaned; start the application again`,
  )
}

/** Throws `FENCED` when a newer owner has been there, and `LOG_BEHIND_SINK` when the ledger is ahead of the log. */
export function checkOpen(
  { output, epoch, lastPlanned }: Pick<SinkContext, 'output' | 'epoch' | 'lastPlanned'>,
  fenceEpoch: number | undefined,
  newest: LedgerEntry | undefined,
): void {
  if (fenceEpoch !== undefined && fenceEpoch > epoch) throw fenced({ output, epoch }, fenceEpoch)
  if (newest === undefined || (lastPlanned !== undefined && newest.batchTime <= lastPlanned)) return
  const last = lastPlanned === undefined ? 'has no batch' : `ends with batch ${String(lastPlanned)}`
  throw sqlError(
    'LOG_BEHIND_SINK',
    `output ${output} has written batch ${String(newest.batchTime)}, and the log ${last}; restore the log that belongs to this database, or write to another one`,
  )
}

function fenced({ output, epoch }: Pick<BatchPartitionId, 'output' | 'epoch'>, other: number) {
  return sqlError(
    'FENCED',
    `output ${output} belongs to epoch ${String(other)}, and this run is epoch ${String(epoch)}; another process has taken over and goes on`,
  )
}

function conflict({ output, batchTime, partition }: BatchPartitionId, entry: LedgerEntry) {
  const what =
    entry.batchTime === batchTime ? 'with another plan or partition count' : `and now ${String(batchTime)} comes`
  return sqlError(
    'IDENTITY_CONFLICT',
    `output ${output} has written batch ${String(entry.batchTime)}, ${what} (partition ${String(partition)}); was the clock set back, or a backup restored?`,
  )
}
