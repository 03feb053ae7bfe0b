/** Records as encoded chunks of like size: how blocks cross from thread to thread, and how such blocks are kept. */
import { decodeRecords, encodeRecords } from './codec.js'
import { estimateBytes } from './size-estimate.js'

// What the records of a chunk take in memory, estimated; encoded they take about half of it. Much larger chunks cost
// memory on both sides, smaller ones a message's overhead each.
const CHUNK_BYTES = 256 * 1024

/** Encodes records chunk by chunk. The bytes are the caller's own. Throws `UNSERIALIZABLE`. */
export function* encodeChunks(records: readonly unknown[]): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  const recordBytes = estimateBytes(records) / Math.max(1, records.length)
  const step = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, recordBytes)))
  for (let from = 0; from < records.length; from += step) {
    yield encodeRecords(records.length <= step ? records : records.slice(from, from + step)) as Uint8Array<ArrayBuffer>
  }
}

/** All records of some chunks, in order. */
export function decodeChunks(chunks: readonly Uint8Array[]): unknown[] {
  const [first] = chunks
  if (first === undefined) return []
  const records = decodeRecords(first)
  for (let i = 1; i < chunks.length; i++)
    for (const record of decodeRecords(chunks[i] as Uint8Array)) records.push(record)
  return records
}
