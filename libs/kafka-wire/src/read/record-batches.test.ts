import { gunzipSync, gzipSync } from 'node:zlib'
import { array, assert, bigInt, boolean, constantFrom, integer, oneof, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FetchAnswer, Isolation } from '../client.js'
import { codecsOf } from '../codecs/codecs.js'
import { compressLz4 } from '../codecs/lz4.js'
import { compressSnappy } from '../codecs/snappy.js'
import { batchesOf } from './record-batches.js'
import { recordChunk } from './record-chunk.js'
import type { RecordChunk } from '../record.js'
import { encodeBatch, encodeMarker, resealed } from '../testing/encode-batches.js'
import type { PlainBatch } from '../testing/encode-batches.js'
import { FakeLog } from '../testing/fake-log.js'
import type { LogEvent } from '../testing/fake-log.js'

const FAR = 2n ** 62n
const codecs = codecsOf()
const CORRUPT = expect.objectContaining({ code: 'DATA_CORRUPT' }) as Error

function answerOf(records: Buffer, aborted: FetchAnswer['aborted'] = []): FetchAnswer {
  return { highWatermark: FAR, lastStableOffset: FAR, logStartOffset: 0n, aborted, records }
}

function chunkOf(answer: FetchAnswer, from = 0n, to = FAR): RecordChunk {
  const range = { topic: 'orders', partition: 3, from, to }
  return recordChunk({ range, ...batchesOf(answer, range), sizeBytes: answer.records.byteLength, codecs })
}

function rowsOf(chunk: RecordChunk): [bigint, string | null][] {
  const rows: [bigint, string | null][] = []
  const cursor = chunk.records()
  while (cursor.next()) rows.push([cursor.offset, cursor.valueText])
  return rows
}

/** As `readRange` does, without its waiting. */
function readAll(log: FakeLog, from: bigint, to: bigint, isolation: Isolation, maxBytes: number) {
  const rows: [bigint, string | null][] = []
  let count = 0
  for (let position = from; position < to;) {
    const answer = log.fetch(position, isolation, maxBytes)
    const chunk = chunkOf(answer, position, to)
    if (chunk.position === position) break
    position = chunk.position
    rows.push(...rowsOf(chunk))
    count += chunk.count()
  }
  return { rows, count }
}

const producer = constantFrom(1n, 2n, 3n)
const codec = constantFrom(
  { id: 0, compress: (bytes: Buffer) => bytes },
  { id: 1, compress: (bytes: Buffer) => gzipSync(bytes) },
  { id: 2, compress: compressSnappy },
  { id: 3, compress: compressLz4 },
)
const gaps = array(constantFrom(1, 1, 1, 2, 7), { minLength: 1, maxLength: 6 })
const event = oneof(
  record({ type: constantFrom('write' as const), records: gaps, codec }),
  record({ type: constantFrom('write' as const), records: gaps, producer, codec }),
  record({ type: constantFrom('end' as const), producer, how: constantFrom('abort' as const, 'commit' as const) }),
  record({ type: constantFrom('emptied' as const), size: integer({ min: 1, max: 5 }) }),
  record({ type: constantFrom('gap' as const), size: integer({ min: 1, max: 5 }) }),
)
const start = oneof(bigInt({ min: 0n, max: 3n }), bigInt({ min: 2n ** 53n - 20n, max: 2n ** 53n + 3n }))

describe('a log of any history', () => {
  it('E22: gives exactly the committed records of any range, and counts them from headers', () => {
    assert(
      property(
        start,
        array(event, { maxLength: 25 }),
        integer({ min: 0, max: 60 }),
        integer({ min: 0, max: 60 }),
        integer({ min: 1, max: 900 }),
        boolean(),
        (first, events, skip, size, maxBytes, isCommitted) => {
          const log = new FakeLog(first, events)
          const isolation = isCommitted ? 'committed' : 'uncommitted'
          const from = first + BigInt(skip)
          const to = from + BigInt(size)
          const expected = log.visible(from, to, isolation).map(({ offset, value }) => [offset, value])
          expect(readAll(log, from, to, isolation, maxBytes)).toEqual({ rows: expected, count: expected.length })
        },
      ),
      { numRuns: 1000 },
    )
  })

  const write = (by: bigint | undefined, count = 1): LogEvent => ({
    type: 'write',
    records: Array.from({ length: count }, () => 1),
    ...(by === undefined ? {} : { producer: by }),
  })
  const end = (by: bigint, how: 'abort' | 'commit'): LogEvent => ({ type: 'end', producer: by, how })
  const committed = (log: FakeLog, from: bigint) =>
    readAll(log, from, log.end, 'committed', 1 << 20).rows.map(([o]) => o)

  it('hides interleaved aborted transactions, also with the key of an abort marker', () => {
    const log = new FakeLog(0n, [
      write(1n),
      write(2n, 2),
      write(undefined),
      write(1n),
      end(1n, 'abort'),
      write(2n),
      end(2n, 'commit'),
    ])
    expect(committed(log, 0n)).toEqual([1n, 2n, 3n, 6n])
  })

  it('hides aborted records where reading starts inside two open transactions', () => {
    const log = new FakeLog(0n, [
      write(1n),
      write(2n),
      write(2n),
      write(1n),
      end(1n, 'abort'),
      end(2n, 'abort'),
      write(undefined),
    ])
    expect(committed(log, 2n)).toEqual([6n])
  })

  it('tells two transactions of one producer apart', () => {
    const log = new FakeLog(0n, [
      write(1n),
      end(1n, 'abort'),
      write(1n),
      end(1n, 'commit'),
      write(1n),
      end(1n, 'abort'),
    ])
    expect(committed(log, 0n)).toEqual([2n])
  })

  it('goes on behind emptied batches', () => {
    const chunk = chunkOf(answerOf(encodeBatch({ base: 5n, records: [], lastDelta: 9 })), 7n)
    expect([chunk.position, chunk.count(), rowsOf(chunk)]).toEqual([15n, 0, []])
  })
})

describe('a record', () => {
  const one = (batch: Partial<PlainBatch>) => {
    const cursor = chunkOf(answerOf(encodeBatch({ base: 1n, records: [], ...batch }))).records()
    expect(cursor.next()).toBe(true)
    return cursor
  }

  it('has null and empty keys and values', () => {
    const nulls = one({ records: [{ delta: 0, key: null, value: null }] })
    expect([nulls.key, nulls.value, nulls.keyText, nulls.valueText]).toEqual([null, null, null, null])
    const empty = one({ records: [{ delta: 0, key: '', value: '' }] })
    expect([empty.key, empty.value, empty.keyText, empty.valueText]).toEqual([Buffer.alloc(0), Buffer.alloc(0), '', ''])
  })

  it('has repeated and binary headers in their order, whenever they are read', () => {
    const headers = [
      ['a', Buffer.of(0, 255)],
      ['b', null],
      ['a', Buffer.alloc(0)],
    ] as const
    const cursor = chunkOf(
      answerOf(
        encodeBatch({
          base: 1n,
          records: [
            { delta: 0, headers },
            { delta: 1, value: 'next' },
          ],
        }),
      ),
    ).records()
    cursor.next()
    expect(cursor.headers).toEqual(headers.map(([name, value]) => ({ name, value })))
    expect(cursor.headers).toHaveLength(3)
    expect([cursor.next(), cursor.valueText, cursor.headers]).toEqual([true, 'next', []])
  })

  it('has its own time, before and after the first of its batch, or that of the broker', () => {
    const records = [{ delta: 0, timestampDelta: -86_400_000 }]
    expect(one({ firstTimestampMs: 1.8e12, records }).timestampMs).toBe(1.8e12 - 86_400_000)
    expect(one({ firstTimestampMs: 0, records: [{ delta: 0, timestampDelta: 2 ** 45 }] }).timestampMs).toBe(2 ** 45)
    expect(one({ firstTimestampMs: 5, appendTimestampMs: 1.9e12, records }).timestampMs).toBe(1.9e12)
  })

  it('has its offset above 2^53', () => {
    expect(one({ base: 2n ** 60n + 1n, records: [{ delta: 2 }] }).offset).toBe(2n ** 60n + 3n)
  })

  it('is there 300,000 times in one batch, and 1 MiB large', () => {
    const records = Array.from({ length: 300_000 }, (_, delta) => ({ delta, value: 'x' }))
    const chunk = chunkOf(answerOf(encodeBatch({ base: 0n, records, codec: 3, compress: compressLz4 })), 10n, 299_999n)
    expect([chunk.count(), rowsOf(chunk).length]).toEqual([299_989, 299_989])
    expect(one({ records: [{ delta: 0, value: Buffer.alloc(1 << 20, 7) }] }).value?.length).toBe(1 << 20)
  })

  it('keeps nothing of the packet in memory by its text', () => {
    const cursor = one({ records: [{ delta: 0, value: 'grüße' }] })
    expect([cursor.valueText, cursor.value?.toString()]).toEqual(['grüße', 'grüße'])
  })
})

describe('damage', () => {
  const log = new FakeLog(1000n, [
    { type: 'write', records: [1, 1, 1] },
    { type: 'write', records: [1, 2], producer: 9n, codec: { id: 3, compress: compressLz4 } },
    { type: 'write', records: [1], codec: { id: 1, compress: (bytes) => gzipSync(bytes) } },
    { type: 'end', producer: 9n, how: 'abort' },
    { type: 'write', records: [1, 1], codec: { id: 2, compress: compressSnappy } },
  ])
  const answer = log.fetch(1000n, 'committed', 1 << 20)
  const whole = Buffer.from(answer.records)
  const right = rowsOf(chunkOf(answer, 1000n))

  /** What the broker writes into a batch, outside its checksum: eight bytes of offset, and four of the leader's epoch. */
  const isUnguarded = (at: number): 'offset' | 'epoch' | undefined => {
    let from = 0
    for (const { bytes } of log.batches) {
      if (at < from + bytes.length)
        return at < from + 8 ? 'offset' : at >= from + 12 && at < from + 16 ? 'epoch' : undefined
      from += bytes.length
    }
    return undefined
  }

  const attempt = (records: Buffer) => {
    try {
      return rowsOf(chunkOf({ ...answer, records }, 1000n))
    } catch (error) {
      expect(error).toEqual(CORRUPT)
      return undefined
    }
  }

  it('of any one bit ends in an error, or in none of the records behind it', () => {
    let errors = 0
    for (let bit = 0; bit < whole.length * 8; bit++) {
      if (isUnguarded(bit >>> 3) === 'offset') continue
      const flipped = Buffer.from(whole)
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
      const rows = attempt(flipped)
      if (rows === undefined) errors++
      // A length that reaches beyond the answer looks like a batch that is cut off: it is fetched again.
      else expect(rows).toEqual(right.slice(0, rows.length))
    }
    expect(errors).toBeGreaterThan(whole.length * 6)
  })

  it('by a cut ends in an error, or in the whole batches before it', () => {
    for (let length = 1; length < whole.length; length++) {
      const rows = attempt(whole.subarray(0, length))
      if (rows === undefined) expect(length).toBeLessThan((log.batches[0] as { bytes: Buffer }).bytes.length)
      else expect(rows).toEqual(right.slice(0, rows.length))
    }
  })

  it('of records under a right checksum ends in an error, or in records that are whole', () => {
    assert(
      property(integer({ min: 61, max: 1 << 20 }), integer({ min: 1, max: 255 }), (at, flip) => {
        const records = [
          { delta: 0, key: 'k', value: 'some value', headers: [['h', Buffer.from('v')]] as const },
          { delta: 3 },
        ]
        const batch = encodeBatch({ base: 0n, records })
        const place = 61 + (at % (batch.length - 61))
        batch[place] = (batch[place] as number) ^ flip
        try {
          const cursor = chunkOf(answerOf(resealed(batch))).records()
          while (cursor.next()) void [cursor.offset, cursor.key, cursor.valueText, cursor.timestampMs, cursor.headers]
        } catch (error) {
          expect(error).toEqual(CORRUPT)
        }
      }),
      { numRuns: 1000 },
    )
  })

  const batch = (base: bigint) => encodeBatch({ base, records: [{ delta: 0 }] })

  it('is what has offsets that do not rise', () => {
    expect(() => chunkOf(answerOf(Buffer.concat([batch(5n), batch(5n)])))).toThrow(CORRUPT)
    const twice = encodeBatch({ base: 0n, records: [{ delta: 1 }, { delta: 1 }] })
    expect(() => rowsOf(chunkOf(answerOf(twice)))).toThrow(CORRUPT)
    const beyond = encodeBatch({ base: 0n, records: [{ delta: 4 }], lastDelta: 3 })
    expect(() => rowsOf(chunkOf(answerOf(beyond)))).toThrow(CORRUPT)
  })

  it('is what has more bytes than records', () => {
    const more = encodeBatch({
      base: 0n,
      records: [{ delta: 0 }],
      compress: (bytes) => Buffer.concat([bytes, Buffer.of(0)]),
    })
    expect(() => rowsOf(chunkOf(answerOf(more)))).toThrow(CORRUPT)
  })

  it('is not what is written in the format before 0.11, whose remedy is told', () => {
    const old = batch(0n)
    old[16] = 1
    expect(() => chunkOf(answerOf(old))).toThrow(/format of version 1; .*copy the topic/)
  })

  it('is told with its topic and offset', () => {
    const flipped = batch(77n)
    flipped[60] = 9
    expect(() => chunkOf(answerOf(flipped), 77n)).toThrow(
      '[kafka-wire] orders/3: the broker sent a batch with a wrong checksum at offset 77 or above; read it with another client',
    )
  })
})

it('does not decompress what is only counted', () => {
  let unpacked = 0
  const zstd = { decompress: (bytes: Buffer) => (unpacked++, gunzipSync(bytes)) }
  const batch = encodeBatch({
    base: 0n,
    records: [{ delta: 0 }, { delta: 1 }, { delta: 2 }],
    codec: 4,
    compress: (bytes) => gzipSync(bytes),
  })
  const countOf = (from: bigint) => {
    const range = { topic: 'orders', partition: 0, from, to: FAR }
    const answer = answerOf(batch)
    return recordChunk({ range, ...batchesOf(answer, range), sizeBytes: 0, codecs: codecsOf({ zstd }) }).count()
  }
  expect([countOf(0n), unpacked]).toEqual([3, 0])
  expect([countOf(1n), unpacked]).toEqual([2, 1])
})

it('takes no marker for a record', () => {
  const bytes = Buffer.concat([encodeMarker(0n, 5n, 'commit'), encodeMarker(1n, 5n, 'abort')])
  const chunk = chunkOf(answerOf(bytes))
  expect([rowsOf(chunk), chunk.count(), chunk.position]).toEqual([[], 0, 2n])
})
