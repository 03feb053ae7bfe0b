import { gzipSync } from 'node:zlib'
import { array, assert, boolean, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecsOf } from '../codecs/codecs.js'
import { batchesOf } from './record-batches.js'
import { recordChunk } from './record-chunk.js'
import type { RecordChunk } from '../record.js'
import { encodeBatch } from '../testing/encode-batches.js'
import { unpackChunks } from './unpack-chunks.js'

const FAR = 2n ** 62n

/** One batch for each size, of so many records from `from` on. */
function chunkOf(partition: number, from: bigint, sizes: readonly number[], isPacked: boolean, to = FAR): RecordChunk {
  let base = 0n
  const batches = sizes.map((size) => {
    const records = Array.from({ length: size }, (_, delta) => ({
      delta,
      key: `k${String(delta)}`,
      value: delta % 2 === 0 ? `value ${String(base)}` : null,
      headers: [['h', null]] as const,
      timestampDelta: delta,
    }))
    const packing = isPacked ? { codec: 1, compress: (bytes: Buffer) => gzipSync(bytes) } : {}
    const times = size % 2 === 0 ? { firstTimestampMs: 1_000 } : { appendTimestampMs: 2_000 }
    const batch = encodeBatch({ base, records, ...packing, ...times })
    base += BigInt(size)
    return batch
  })
  const records = Buffer.concat(batches)
  const range = { topic: 'orders', partition, from, to }
  const answer = { highWatermark: FAR, lastStableOffset: FAR, logStartOffset: 0n, aborted: [], records }
  return recordChunk({ range, ...batchesOf(answer, range), sizeBytes: records.length, codecs: codecsOf() })
}

function rowsOf(chunk: RecordChunk): unknown[] {
  const rows: unknown[] = [chunk.topic, chunk.partition, chunk.position, chunk.count()]
  const cursor = chunk.records()
  while (cursor.next()) {
    const { offset, timestampMs, keyText, valueText, headers } = cursor
    rows.push([offset, timestampMs, keyText, valueText, [...headers]])
  }
  return rows
}

const chunk = record({
  partition: integer({ min: 0, max: 9 }),
  skipped: integer({ min: 0, max: 5 }),
  sizes: array(integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
  isPacked: boolean(),
  cutAt: constantFrom(FAR, 4n),
}).map(({ partition, skipped, sizes, isPacked, cutAt }) => chunkOf(partition, BigInt(skipped), sizes, isPacked, cutAt))

describe('packed chunks', () => {
  it('are the same chunks again, also one after the other', () => {
    assert(
      property(array(chunk, { maxLength: 4 }), (chunks) => {
        const bytes = Buffer.concat(chunks.map((each) => each.pack()))
        expect([...unpackChunks(bytes)].map(rowsOf)).toEqual(chunks.map(rowsOf))
      }),
    )
  })

  it('are refused where they are cut off', () => {
    const bytes = chunkOf(0, 0n, [3, 2], false).pack()
    for (let length = 1; length < bytes.length; length++) {
      expect(() => [...unpackChunks(bytes.subarray(0, length))]).toThrowError(
        expect.objectContaining({ code: 'DATA_CORRUPT' }) as Error,
      )
    }
  })
})
