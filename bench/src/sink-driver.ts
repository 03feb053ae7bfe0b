/** Drives a sink as the engine does, batch after batch, without one. */
import { systemClock, type Sink } from '@sluice/core'

/** Records of a partition, and of a chunk of it. */
export interface Cut {
  readonly partition: number
  readonly chunk: number
}

let apps = 0

const quiet = (): void => undefined

/** Opens the sink, for an application of its own; what it gives writes a batch, partition after partition, in chunks. */
export async function sinkDriver<T>(sink: Sink<T>, cut: Cut): Promise<(records: readonly T[]) => Promise<void>> {
  const app = `bench-${String(++apps)}`
  const { signal } = new AbortController()
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  await sink.open?.({ app, output: 'bench', epoch: 1, lastPlanned: undefined, logger, clock: systemClock, signal })
  let batchTime = 0
  return async (records) => {
    batchTime += 1_000
    const batch = { app, output: 'bench', batchTime, planDigest: 'plan', epoch: 1, attempt: 0 }
    const parts = [...slices(records, cut.partition)]
    for (const [partition, part] of parts.entries()) {
      await sink.writePartition({ ...batch, partition, partitions: parts.length }, chunksOf(part, cut.chunk), {
        signal,
        reject: (_, error) => {
          throw error
        },
        settleRejects: () => Promise.resolve(),
      })
    }
  }
}

async function* chunksOf<T>(records: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (const chunk of slices(records, size)) yield await Promise.resolve(chunk)
}

function* slices<T>(records: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < records.length; at += size) yield records.slice(at, at + size)
}
