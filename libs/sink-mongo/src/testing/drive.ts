/** Drives a sink as the engine does, one call at a time. */
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

let apps = 0

/** An application of its own: in a server that others use, its ledger meets no other. */
export class Drive {
  readonly app = `drive-${String(process.pid)}-${String(++apps)}`

  async open(sink: Sink<never>, more: Partial<SinkContext> = {}): Promise<void> {
    const signal = new AbortController().signal
    const context = { output: 'to-0', epoch: 1, lastPlanned: 1e12, logger: silent, clock: systemClock, signal, ...more }
    await sink.open?.({ app: this.app, ...context })
  }

  id(more: Partial<BatchPartitionId> = {}): BatchPartitionId {
    const batch = { batchTime: 1_000, partition: 0, partitions: 1, planDigest: 'plan', epoch: 1, attempt: 0 }
    return { app: this.app, output: 'to-0', ...batch, ...more }
  }

  async write<T>(
    sink: Sink<T>,
    records: readonly T[],
    { size = 1_000, id, ...context }: { size?: number; id?: Partial<BatchPartitionId> } & Partial<WriteContext> = {},
  ): Promise<void> {
    async function* chunks(): AsyncGenerator<readonly T[]> {
      for (let at = 0; at < records.length; at += size) yield await Promise.resolve(records.slice(at, at + size))
    }
    await sink.writePartition(this.id(id), chunks(), {
      signal: new AbortController().signal,
      reject: (index, error) => {
        throw new Error(`record ${String(index)} was rejected: ${error.message}`)
      },
      settleRejects: () => Promise.resolve(),
      ...context,
    })
  }
}
