/** Writes record batches as a broker stores them, for tests of their decoder. Written from the protocol guide, apart from the decoder. */
import { crc32c } from '../crc32c.js'

export interface PlainRecord {
  readonly delta: number
  readonly key?: Buffer | string | null
  readonly value?: Buffer | string | null
  readonly headers?: readonly (readonly [string, Buffer | null])[]
  readonly timestampDelta?: number
}

export interface PlainBatch {
  readonly base: bigint
  readonly records: readonly PlainRecord[]
  /** Default: that of the last record. */
  readonly lastDelta?: number
  readonly codec?: number
  readonly compress?: (bytes: Buffer) => Uint8Array
  readonly producerId?: bigint
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  readonly firstTimestampMs?: number
  /** The broker's time in place of the records' own. */
  readonly appendTimestampMs?: number
}

export function encodeBatch(batch: PlainBatch): Buffer {
  const { base, records, codec = 0, compress = (bytes: Buffer) => bytes, appendTimestampMs } = batch
  const body = compress(Buffer.concat(records.map(encodeRecord)))
  const bytes = Buffer.alloc(61 + body.length)
  bytes.writeBigInt64BE(base, 0)
  bytes.writeInt32BE(49 + body.length, 8)
  bytes.writeInt32BE(7, 12)
  bytes.writeInt8(2, 16)
  const flags = [appendTimestampMs !== undefined, batch.isTransactional === true, batch.isControl === true]
  bytes.writeInt16BE(
    flags.reduce((sum, flag, i) => sum + (flag ? 8 << i : 0), codec),
    21,
  )
  bytes.writeInt32BE(batch.lastDelta ?? records.at(-1)?.delta ?? 0, 23)
  bytes.writeBigInt64BE(BigInt(batch.firstTimestampMs ?? 0), 27)
  bytes.writeBigInt64BE(BigInt(appendTimestampMs ?? batch.firstTimestampMs ?? 0), 35)
  bytes.writeBigInt64BE(batch.producerId ?? -1n, 43)
  bytes.writeInt16BE(0, 51)
  bytes.writeInt32BE(0, 53)
  bytes.writeInt32BE(records.length, 57)
  bytes.set(body, 61)
  return resealed(bytes)
}

/** With the checksum that belongs to its bytes. */
export function resealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

/** A control batch: the mark that ends a transaction. */
export function encodeMarker(base: bigint, producerId: bigint, type: 'abort' | 'commit'): Buffer {
  const key = Buffer.of(0, 0, 0, type === 'abort' ? 0 : 1)
  const records = [{ delta: 0, key, value: Buffer.alloc(6) }]
  return encodeBatch({ base, records, producerId, isTransactional: true, isControl: true })
}

function encodeRecord({ delta, key = null, value = null, headers = [], timestampDelta = 0 }: PlainRecord): Buffer {
  const fields = [Buffer.of(0), varint(timestampDelta), varint(delta), sized(key), sized(value), varint(headers.length)]
  const body = Buffer.concat([...fields, ...headers.flatMap(([name, data]) => [sized(name), sized(data)])])
  return Buffer.concat([varint(body.length), body])
}

function sized(bytes: Buffer | string | null): Buffer {
  if (bytes === null) return varint(-1)
  const data = Buffer.from(bytes as string)
  return Buffer.concat([varint(data.length), data])
}

function varint(value: number): Buffer {
  let rest = value < 0 ? BigInt(-value) * 2n - 1n : BigInt(value) * 2n
  const bytes: number[] = []
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return Buffer.of(...bytes, Number(rest))
}
