/** Chunks of records as bytes of our own, e.g. for a write-ahead log: batches as they came, compressed, and what of them is meant. */
import { corrupt } from '../errors.js'
import type { Batch } from './record-batches.js'

// The length of the whole chunk, the partition, the position, how many batches, and the length of the topic's name before that.
const HEAD_BYTES = 4 + 4 + 8 + 4 + 2
const BATCH_BYTES = 8 + 4 * 4 + 1 + 8 + 8 + 4

export interface ChunkContent {
  readonly topic: string
  readonly partition: number
  readonly position: bigint
  readonly batches: readonly Batch[]
}

export function packChunk({ topic, partition, position, batches }: ChunkContent): Buffer {
  const name = Buffer.from(topic)
  const size = batches.reduce((sum, { body }) => sum + BATCH_BYTES + body.length, HEAD_BYTES + name.length)
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = bytes.writeUInt32BE(size, 0)
  at = bytes.writeUInt32BE(partition, at)
  at = bytes.writeBigInt64BE(position, at)
  at = bytes.writeUInt32BE(batches.length, at)
  at = bytes.writeUInt16BE(name.length, at)
  at += name.copy(bytes, at)
  for (const batch of batches) at = writeBatch(bytes, at, batch)
  return bytes
}

function writeBatch(bytes: Buffer, from: number, batch: Batch): number {
  const { base, lastDelta, count, fromDelta, toDelta, codec, firstTimestampMs, appendTimestampMs, body } = batch
  let at = bytes.writeBigInt64BE(base, from)
  for (const field of [lastDelta, count, fromDelta, toDelta]) at = bytes.writeInt32BE(field, at)
  at = bytes.writeUInt8(codec, at)
  at = bytes.writeDoubleBE(firstTimestampMs, at)
  at = bytes.writeDoubleBE(appendTimestampMs ?? NaN, at)
  at = bytes.writeUInt32BE(body.length, at)
  return at + body.copy(bytes, at)
}

/** The chunk whose bytes begin at `from`, and where they end. Throws `DATA_CORRUPT`. */
export function readChunk(bytes: Buffer, from: number): ChunkContent & { readonly end: number } {
  try {
    const end = from + bytes.readUInt32BE(from)
    const partition = bytes.readUInt32BE(from + 4)
    const position = bytes.readBigInt64BE(from + 8)
    const count = bytes.readUInt32BE(from + 16)
    let at = from + HEAD_BYTES + bytes.readUInt16BE(from + 20)
    const topic = bytes.toString('utf8', from + HEAD_BYTES, at)
    const batches: Batch[] = []
    for (let i = 0; i < count; i++) {
      const batch = readBatch(bytes, at)
      batches.push(batch)
      at += BATCH_BYTES + batch.body.length
    }
    if (at !== end) throw new RangeError('it ends elsewhere')
    return { topic, partition, position, batches, end }
  } catch (error) {
    throw error instanceof RangeError ? corrupt('bytes that should hold packed records do not') : error
  }
}

function readBatch(bytes: Buffer, at: number): Batch {
  const appendTimestampMs = bytes.readDoubleBE(at + 33)
  const bodyAt = at + BATCH_BYTES
  const bodyEnd = bodyAt + bytes.readUInt32BE(at + 41)
  if (bodyEnd > bytes.length) throw new RangeError('it is cut off')
  return {
    base: bytes.readBigInt64BE(at),
    lastDelta: bytes.readInt32BE(at + 8),
    count: bytes.readInt32BE(at + 12),
    fromDelta: bytes.readInt32BE(at + 16),
    toDelta: bytes.readInt32BE(at + 20),
    codec: bytes.readUInt8(at + 24),
    firstTimestampMs: bytes.readDoubleBE(at + 25),
    appendTimestampMs: Number.isNaN(appendTimestampMs) ? undefined : appendTimestampMs,
    body: bytes.subarray(bodyAt, bodyEnd),
  }
}
