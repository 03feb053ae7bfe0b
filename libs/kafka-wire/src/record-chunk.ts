/** The records of one fetch that lie in the range asked for, decoded while one goes through them. */
import type { Codecs } from './codecs/codecs.js'
import { packChunk } from './packed-chunks.js'
import type { Batch, OffsetRange } from './record-batches.js'
import type { RecordChunk, RecordCursor } from './record.js'
import { BatchCursor } from './record-cursor.js'

export interface ChunkParts {
  readonly range: OffsetRange
  readonly batches: readonly Batch[]
  readonly position: bigint
  readonly sizeBytes: number
  readonly codecs: Codecs
}

export function recordChunk({ range, batches, position, sizeBytes, codecs }: ChunkParts): RecordChunk {
  const { topic, partition } = range
  const cursorOver = (some: readonly Batch[]): RecordCursor =>
    new BatchCursor({ topic, partition, batches: some, codecs })
  return {
    topic,
    partition,
    position,
    sizeBytes,
    records: () => cursorOver(batches),
    pack: () => packChunk({ topic, partition, position, batches }),
    count() {
      let count = 0
      for (const batch of batches) count += isWhole(batch) ? batch.count : recordsOf(cursorOver([batch]))
      return count
    },
  }
}

function isWhole({ fromDelta, toDelta, lastDelta }: Batch): boolean {
  return fromDelta === 0 && toDelta === lastDelta + 1
}

function recordsOf(cursor: RecordCursor): number {
  let count = 0
  while (cursor.next()) count++
  return count
}
