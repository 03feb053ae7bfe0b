import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { RecordToProduce } from '../client.js'
import { codecsOf, codecIdOf } from '../codecs/codecs.js'
import { crc32c } from '../crc32c.js'
import { batchesOf } from '../read/record-batches.js'
import { BatchCursor } from '../read/record-cursor.js'
import { batchSizeBytes, encodeBatches, sealBatch } from './record-encoder.js'
import type { RecordBatch } from './record-encoder.js'

const NOW_MS = 1_800_000_000_000
const codecs = codecsOf()

/** What our decoder, which is checked against other clients, reads of batches that stand one after the other in a log. */
function decoded(batches: readonly RecordBatch[]) {
  let base = 0n
  const sealed = batches.map((batch) => {
    sealBatch(batch, { producerId: 7n, epoch: 3 }, Number(base))
    const bytes = Buffer.from(batch.bytes)
    bytes.writeBigInt64BE(base)
    base += BigInt(batch.count)
    return bytes
  })
  const records = Buffer.concat(sealed)
  const answer = { records, aborted: [], highWatermark: base, lastStableOffset: base, logStartOffset: 0n }
  const range = { topic: 't', partition: 0, from: 0n, to: base }
  const cursor = new BatchCursor({ topic: 't', partition: 0, codecs, batches: batchesOf(answer, range).batches })
  const rows = []
  while (cursor.next()) {
    const { offset, timestampMs, key, value, headers } = cursor
    rows.push({
      offset,
      timestampMs,
      key: key === null ? null : Buffer.from(key).toString('hex'),
      value: value === null ? null : Buffer.from(value).toString('hex'),
      headers: headers.map(({ name, value: data }) => [name, String(data?.toString('hex'))]),
    })
  }
  return rows
}

const content = fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array(), fc.constant('x'.repeat(300)))
const record: fc.Arbitrary<RecordToProduce> = fc.record(
  {
    key: fc.option(content),
    value: fc.option(content),
    headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), content), { maxLength: 3 }),
    timestampMs: fc.oneof(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.constant(NOW_MS)),
  },
  { requiredKeys: ['value'] },
)
const hex = (bytes: Uint8Array | string): string => Buffer.from(bytes as string).toString('hex')

it('what is encoded is decoded as it was, in batches of at most the size asked for', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 60 }),
      fc.constantFrom('none' as const, 'gzip' as const, 'snappy' as const, 'lz4' as const),
      fc.integer({ min: 100, max: 5_000 }),
      (records, codec, maxBytes) => {
        const compress = codec === 'none' ? undefined : codecs[codec].compress
        const options = { maxBytes, nowMs: NOW_MS, isTransactional: true, codec: codecIdOf(codec), compress }
        const batches = encodeBatches(records, options)
        expect(decoded(batches)).toEqual(
          records.map(({ key = null, value, headers = [], timestampMs = NOW_MS }, i) => ({
            offset: BigInt(i),
            timestampMs,
            key: key === null ? null : hex(key),
            value: value === null ? null : hex(value),
            headers: headers.map(([name, data]) => [Buffer.from(name).toString(), hex(data)]),
          })),
        )
        for (const { bytes, count } of batches) expect(bytes.length <= maxBytes || count === 1).toBe(true)
        if (codec === 'none')
          for (const one of records)
            expect(batchSizeBytes(one)).toBeGreaterThanOrEqual(
              (encodeBatches([one], options)[0] as RecordBatch).bytes.length,
            )
      },
    ),
  )
})

it('a batch says who sent it, and is sealed anew for another place', () => {
  const [batch] = encodeBatches([{ value: 'a' }, { value: 'b' }], {
    ...{ maxBytes: 1000, nowMs: NOW_MS, isTransactional: true, codec: 0, compress: undefined },
  }) as [RecordBatch]
  for (const sequence of [0, 2 ** 31 - 1]) {
    sealBatch(batch, { producerId: 9n, epoch: 4 }, sequence)
    const { bytes } = batch
    expect([bytes.readBigInt64BE(43), bytes.readInt16BE(51), bytes.readInt32BE(53)]).toEqual([9n, 4, sequence])
    expect([bytes.readInt16BE(21), bytes.readUInt32BE(17)]).toEqual([0x10, crc32c(bytes.subarray(21))])
  }
})
