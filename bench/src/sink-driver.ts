/** Drives a sink as the engine does, batch after batch, without one. */
import type { Sink } from '@sluice/core'
import { SinkDrive } from '@sluice/testkit'

/** Records of a partition, and of a chunk of it. */
export interface Cut {
  readonly partition: number
  readonly chunk: number
}

/** Opens the sink, for an application of its own; what it gives writes a batch, partition after partition, in chunks. */
export async function sinkDriver<T>(sink: Sink<T>, cut: Cut): Promise<(records: readonly T[]) => Promise<void>> {
  const drive = new SinkDrive()
  await drive.open(sink, { lastPlanned: undefined })
  let batchTime = 0
  return async (records) => {
    batchTime += 1_000
    const parts = [...slices(records, cut.partition)]
    for (const [partition, part] of parts.entries()) {
      const id = { batchTime, partition, partitions: parts.length }
      await drive.write(sink, part, { id, size: cut.chunk })
    }
  }
}

function* slices<T>(records: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < records.length; at += size) yield records.slice(at, at + size)
}
