/**
 * Writes record batches (Kafka's protocol guide, "Record Batch", version 2) as a broker stores them. The hot path of every Kafka
 * sink: a record's parts go straight into the bytes of its batch.
 */
import type { RecordToProduce } from '../client.js'
import { crc32c } from '../crc32c.js'

export interface EncodeOptions {
  /** How large a batch may be before it is compressed; a larger record is a batch of its own. */
  readonly maxBytes: number
  /** For records without a time of their own. */
  readonly nowMs: number
  readonly isTransactional: boolean
  readonly codec: number
  readonly compress: ((bytes: Buffer) => Uint8Array) | undefined
}

/** A batch that lacks who sends it, and its checksum: see {@link sealBatch}. */
export interface RecordBatch {
  readonly bytes: Buffer
  readonly count: number
}

export interface BatchSender {
  readonly producerId: bigint
  readonly epoch: number
}

const HEADER_BYTES = 61
const MAGIC = 2
const TRANSACTIONAL = 0x10
/** Everything from here on is under the checksum. */
const ATTRIBUTES = 21
const MAX_INT31 = 0x3fffffff

export function encodeBatches(records: readonly RecordToProduce[], options: EncodeOptions): RecordBatch[] {
  const batches: RecordBatch[] = []
  const body = new BatchBody(Math.min(options.maxBytes, 1 << 16))
  for (const record of records) {
    if (body.count > 0 && body.length + body.sizeOf(record, options.nowMs) > options.maxBytes - HEADER_BYTES) {
      batches.push(toBatch(body, options))
      body.clear()
    }
    body.add(record, options.nowMs)
  }
  if (body.count > 0) batches.push(toBatch(body, options))
  return batches
}

/** Of a batch with this record alone, not compressed: never less, and hardly more. */
export function batchSizeBytes({ key = null, value, headers = [] }: RecordToProduce): number {
  let size = HEADER_BYTES + 30 + sizeOfContent(key) + sizeOfContent(value)
  for (const [name, data] of headers) size += 10 + sizeOfContent(name) + sizeOfContent(data)
  return size
}

/** Gives a batch its sender and its place among that one's records in the partition. May be done again. */
export function sealBatch({ bytes }: RecordBatch, sender: BatchSender, sequence: number): void {
  bytes.writeBigInt64BE(sender.producerId, 43)
  bytes.writeInt16BE(sender.epoch, 51)
  bytes.writeInt32BE(sequence, 53)
  bytes.writeUInt32BE(crc32c(bytes.subarray(ATTRIBUTES)), 17)
}

function toBatch(body: BatchBody, { codec, compress, isTransactional }: EncodeOptions): RecordBatch {
  const plain = body.bytes()
  const shrunk = compress?.(plain)
  const isSmaller = shrunk !== undefined && shrunk.length < plain.length
  const packed = isSmaller ? shrunk : plain
  const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES + packed.length)
  bytes.writeBigInt64BE(0n, 0) // the broker's part
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes.writeInt32BE(-1, 12) // leader's epoch
  bytes.writeInt8(MAGIC, 16)
  bytes.writeInt16BE((isSmaller ? codec : 0) | (isTransactional ? TRANSACTIONAL : 0), ATTRIBUTES)
  bytes.writeInt32BE(body.count - 1, 23)
  bytes.writeBigInt64BE(BigInt(body.firstTimestampMs), 27)
  bytes.writeBigInt64BE(BigInt(body.maxTimestampMs), 35)
  bytes.writeInt32BE(body.count, 57)
  bytes.set(packed, HEADER_BYTES)
  return { bytes, count: body.count }
}

/** The records of the batch that is being written. */
class BatchBody {
  count = 0
  firstTimestampMs = 0
  maxTimestampMs = 0
  length = 0
  #buffer: Buffer

  constructor(sizeBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(sizeBytes)
  }

  clear(): void {
    this.count = this.length = 0
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.length)
  }

  /** With the length that stands before it. */
  sizeOf(record: RecordToProduce, nowMs: number): number {
    const size = this.#sizeOf(record, nowMs)
    return sizeOfVarint(size) + size
  }

  add(record: RecordToProduce, nowMs: number): void {
    const { key = null, value, headers, timestampMs = nowMs } = record
    if (this.count === 0) this.firstTimestampMs = this.maxTimestampMs = timestampMs
    const size = this.#sizeOf(record, nowMs)
    this.#reserve(size + 5)
    this.#varint(size)
    this.#buffer[this.length++] = 0 // attributes
    this.#varint(timestampMs - this.firstTimestampMs)
    this.#varint(this.count)
    this.#content(key)
    this.#content(value)
    this.#varint(headers?.length ?? 0)
    for (const [name, data] of headers ?? []) {
      this.#content(name)
      this.#content(data)
    }
    this.count++
    if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs
  }

  #sizeOf({ key = null, value, headers, timestampMs }: RecordToProduce, nowMs: number): number {
    const delta = this.count === 0 ? 0 : (timestampMs ?? nowMs) - this.firstTimestampMs
    let size = 1 + sizeOfVarint(delta) + sizeOfVarint(this.count) + sizeWithLength(key) + sizeWithLength(value)
    size += sizeOfVarint(headers?.length ?? 0)
    for (const [name, data] of headers ?? []) size += sizeWithLength(name) + sizeWithLength(data)
    return size
  }

  #content(content: Uint8Array | string | null): void {
    if (content === null) {
      this.#varint(-1)
      return
    }
    const size = sizeOfContent(content)
    this.#varint(size)
    if (typeof content === 'string') this.#buffer.write(content, this.length, size, 'utf8')
    else this.#buffer.set(content, this.length)
    this.length += size
  }

  /** Zigzag, as doubles where 32 bits are too few: times may be that far apart. */
  #varint(value: number): void {
    const buffer = this.#buffer
    let rest = value < 0 ? -value * 2 - 1 : value * 2
    for (; rest > 0x7fffffff; rest = Math.floor(rest / 128)) buffer[this.length++] = (rest % 128) | 0x80
    for (; rest >= 0x80; rest >>>= 7) buffer[this.length++] = (rest & 0x7f) | 0x80
    buffer[this.length++] = rest
  }

  #reserve(sizeBytes: number): void {
    const needed = this.length + sizeBytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.length)
    this.#buffer = larger
  }
}

function sizeWithLength(content: Uint8Array | string | null): number {
  if (content === null) return 1
  const size = sizeOfContent(content)
  return sizeOfVarint(size) + size
}

function sizeOfContent(content: Uint8Array | string | null): number {
  if (content === null) return 0
  return typeof content === 'string' ? Buffer.byteLength(content) : content.length
}

function sizeOfVarint(value: number): number {
  if (value >= 0 && value < 64) return 1
  if (value >= 0 && value <= MAX_INT31) return ((38 - Math.clz32(value << 1)) / 7) | 0
  let size = 1
  for (let rest = value < 0 ? -value * 2 - 1 : value * 2; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}
