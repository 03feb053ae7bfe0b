/** The records of one fetch that lie in the range asked for, decoded while one goes through them. */
import type { Codecs } from '../codecs/codecs.js'
import { chunkIsOver } from '../errors.js'
import { packChunk } from './packed-chunks.js'
import type { Batch, OffsetRange } from './record-batches.js'
import type { RecordChunk, RecordCursor } from '../record.js'
import { BatchCursor } from './record-cursor.js'

export interface ChunkParts {
  readonly range: OffsetRange
  readonly batches: readonly Batch[]
  readonly position: bigint
  readonly sizeBytes: number
  readonly codecs: Codecs
}

/** A chunk whose memory may be used again. */
export interface EndingChunk extends RecordChunk {
  /** It is read no more: from now on it throws. Answers whether nobody holds a view into its memory. */
  end(): boolean
}

export function recordChunk({ range, batches, position, sizeBytes, codecs }: ChunkParts): EndingChunk {
  const { topic, partition } = range
  const cursorOver = (some: readonly Batch[]): BatchCursor =>
    new BatchCursor({ topic, partition, batches: some, codecs })
  const cursors: BatchCursor[] = []
  let isOver = false
  const check = (): void => {
    if (isOver) throw chunkIsOver(topic, partition)
  }
  return {
    topic,
    partition,
    position,
    sizeBytes,
    records() {
      check()
      const cursor = cursorOver(batches)
      cursors.push(cursor)
      return cursor
    },
    pack() {
      check()
      return packChunk({ topic, partition, position, batches })
    },
    count() {
      check()
      let count = 0
      for (const batch of batches) count += isWhole(batch) ? batch.count : recordsOf(cursorOver([batch]))
      return count
    },
    end() {
      isOver = true
      for (const cursor of cursors) cursor.end()
      return !cursors.some(({ isViewed }) => isViewed)
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
