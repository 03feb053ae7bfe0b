/** The way back from packed chunks to records. */
import type { CodecOptions } from '../codecs/codecs.js'
import { codecsOf } from '../codecs/codecs.js'
import { readChunk } from './packed-chunks.js'
import { recordChunk } from './record-chunk.js'
import type { RecordChunk } from '../record.js'

/**
 * The chunks of which `bytes` are made, one `pack()` after the other. `codecs` as those of the client that read them. Throws
 * `DATA_CORRUPT` where they are none.
 */
export function* unpackChunks(bytes: Uint8Array, codecs?: CodecOptions): Generator<RecordChunk, void, undefined> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const known = codecsOf(codecs)
  for (let at = 0; at < all.length;) {
    const { topic, partition, position, batches, end } = readChunk(all, at)
    const range = { topic, partition, from: batches[0]?.base ?? position, to: position }
    yield recordChunk({ range, batches, position, sizeBytes: end - at, codecs: known })
    at = end
  }
}
