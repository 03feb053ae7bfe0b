/** Drives a sink as the engine does, one call at a time: for a connector's own tests, beside the suite's. */
import {
  systemClock,
  type BatchPartitionId,
  type Logger,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'

const quiet = (): void => undefined
const silent: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
const CHUNK = 1_000

let drives = 0

export interface DriveWriteOptions extends Partial<WriteContext> {
  /** Of the batch and partition. Default: the first of `id()`. */
  readonly id?: Partial<BatchPartitionId> | undefined
  /** How many records a chunk has. Default: 1,000. */
  readonly size?: number | undefined
}

/** An application of its own: in a server that others use, its ledger meets no other. */
export class SinkDrive {
  readonly app = `drive-${String(process.pid)}-${String(++drives)}`

  /** What the engine opens a sink with; `lastPlanned` is far away, as if every batch had been planned before. */
  context(more: Partial<SinkContext> = {}): SinkContext {
    const { signal } = new AbortController()
    const context = { output: 'to-0', epoch: 1, lastPlanned: 1e12, logger: silent, clock: systemClock, signal }
    return { app: this.app, ...context, ...more }
  }

  async open<T>(sink: Sink<T>, more?: Partial<SinkContext>): Promise<void> {
    await sink.open?.(this.context(more))
  }

  /** Batch 1,000, the only partition. */
  id(more: Partial<BatchPartitionId> = {}): BatchPartitionId {
    const batch = { batchTime: 1_000, partition: 0, partitions: 1, planDigest: 'plan', epoch: 1, attempt: 0 }
    return { app: this.app, output: 'to-0', ...batch, ...more }
  }

  /** Writes a partition. A record that the sink rejects is an error, unless `reject` is given. */
  async write<T>(sink: Sink<T>, records: readonly T[], options: DriveWriteOptions = {}): Promise<void> {
    const { size = CHUNK, id, ...context } = options
    await sink.writePartition(this.id(id), chunksOf(records, size), {
      signal: new AbortController().signal,
      reject: (index, error) => {
        throw new Error(`record ${String(index)} was rejected: ${error.message}`)
      },
      settleRejects: () => Promise.resolve(),
      ...context,
    })
  }
}

async function* chunksOf<T>(records: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < records.length; at += size) yield await Promise.resolve(records.slice(at, at + size))
}
