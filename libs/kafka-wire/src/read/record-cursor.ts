/**
 * Goes through the records of batches. This is the hot path of every Kafka source: one step reads the few bytes that tell
 * where a record's parts stand, and makes no object.
 */
import type { Codecs } from '../codecs/codecs.js'
import { decompress } from '../codecs/codecs.js'
import { chunkIsOver, corrupt } from '../errors.js'
import type { Batch } from './record-batches.js'
import type { RecordCursor, RecordHeader } from '../record.js'

const NONE = Buffer.alloc(0)

export interface CursorParts {
  readonly topic: string
  readonly partition: number
  readonly batches: readonly Batch[]
  readonly codecs: Codecs
}

export class BatchCursor implements RecordCursor {
  /** Whether somebody got a view into the bytes, who may keep that. */
  isViewed = false
  readonly #parts: CursorParts
  #nextBatch = 0
  #batch: Batch | undefined
  /** The records of the batch, not compressed. */
  #bytes: Buffer = NONE
  /** How many records of the batch are to come. */
  #left = 0
  /** Where the next record begins. A varint that is read moves it. */
  #at = 0
  #lastDelta = -1
  #isOver = false

  // Of the record on which the cursor stands: where its parts are. A length of -1 is null.
  #timestampAt = 0
  #delta = 0
  #keyAt = 0
  #keyLength = -1
  #valueAt = 0
  #valueLength = -1
  #end = 0

  constructor(parts: CursorParts) {
    this.#parts = parts
  }

  next(): boolean {
    for (;;) {
      const batch = this.#batch
      if (batch === undefined || this.#left === 0) {
        if (batch !== undefined && this.#end !== this.#bytes.length) throw this.#damaged()
        if (!this.#openNextBatch()) return false
        continue
      }
      this.#left--
      this.#readRecord()
      const delta = this.#delta
      if (delta <= this.#lastDelta || delta > batch.lastDelta) throw this.#damaged()
      this.#lastDelta = delta
      if (delta >= batch.toDelta) this.#leaveBatch()
      else if (delta >= batch.fromDelta) return true
    }
  }

  get offset(): bigint {
    return this.#current().base + BigInt(this.#delta)
  }

  get timestampMs(): number {
    const { appendTimestampMs, firstTimestampMs } = this.#current()
    return appendTimestampMs ?? firstTimestampMs + readVarlong(this.#bytes, this.#timestampAt)
  }

  get key(): Buffer | null {
    return this.#view(this.#keyAt, this.#keyLength)
  }

  get value(): Buffer | null {
    return this.#view(this.#valueAt, this.#valueLength)
  }

  get keyCopy(): Buffer | null {
    return this.#copy(this.#keyAt, this.#keyLength)
  }

  get valueCopy(): Buffer | null {
    return this.#copy(this.#valueAt, this.#valueLength)
  }

  get keyText(): string | null {
    return this.#keyLength < 0
      ? this.#nothing()
      : this.#bytes.toString('utf8', this.#keyAt, this.#keyAt + this.#keyLength)
  }

  get valueText(): string | null {
    return this.#valueLength < 0
      ? this.#nothing()
      : this.#bytes.toString('utf8', this.#valueAt, this.#valueAt + this.#valueLength)
  }

  get headers(): readonly RecordHeader[] {
    if (this.#isOver) throw this.#over()
    const next = this.#at
    this.#at = this.#valueAt + Math.max(this.#valueLength, 0)
    const headers: RecordHeader[] = []
    for (let left = this.#readVarint(); left > 0; left--) {
      const name = this.#readBytes()
      if (name === null) throw this.#damaged()
      const value = this.#readBytes()
      headers.push({ name: name.toString(), value: value && Buffer.from(value) })
    }
    if (this.#at !== this.#end) throw this.#damaged()
    this.#at = next
    return headers
  }

  #view(at: number, length: number): Buffer | null {
    if (length < 0) return this.#nothing()
    this.isViewed = true
    return this.#bytes.subarray(at, at + length)
  }

  #copy(at: number, length: number): Buffer | null {
    return length < 0 ? this.#nothing() : Buffer.from(this.#bytes.subarray(at, at + length))
  }

  #openNextBatch(): boolean {
    if (this.#isOver) throw this.#over()
    const batch = this.#parts.batches[this.#nextBatch++]
    if (batch === undefined) {
      this.#leaveBatch()
      return false
    }
    const { body, codec } = batch
    this.#bytes = codec === 0 ? body : decompress(this.#parts.codecs, codec, body, this.#parts.topic)
    this.#batch = batch
    this.#left = batch.count
    this.#lastDelta = -1
    this.#at = this.#end = 0
    return true
  }

  /** Without looking at what is left of it. */
  #leaveBatch(): void {
    this.#batch = undefined
    this.#bytes = NONE
    this.#left = 0
  }

  #readRecord(): void {
    const bytes = this.#bytes
    const length = this.#readVarint()
    const end = this.#at + length
    if (length < 0 || end > bytes.length) throw this.#damaged()
    // One byte of attributes, which are not used.
    this.#timestampAt = ++this.#at
    while ((bytes[this.#at++] as number) >= 0x80);
    this.#delta = this.#readVarint()
    this.#keyLength = this.#readVarint()
    this.#keyAt = this.#at
    if (this.#keyLength > 0) this.#at += this.#keyLength
    this.#valueLength = this.#readVarint()
    this.#valueAt = this.#at
    // At least the number of headers follows.
    if (this.#valueAt + Math.max(this.#valueLength, 0) >= end) throw this.#damaged()
    this.#at = this.#end = end
  }

  #readBytes(): Buffer | null {
    const length = this.#readVarint()
    if (length < 0) return null
    const from = this.#at
    this.#at += length
    if (this.#at > this.#end) throw this.#damaged()
    return this.#bytes.subarray(from, this.#at)
  }

  /** A zigzag number of up to five bytes. */
  #readVarint(): number {
    const bytes = this.#bytes
    let byte = bytes[this.#at++] as number
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      byte = bytes[this.#at++] as number
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw this.#damaged()
  }

  #current(): Batch {
    if (this.#isOver) throw this.#over()
    if (this.#batch === undefined) throw new RangeError('the cursor stands on no record')
    return this.#batch
  }

  /** The bytes may be something else from now on. */
  end(): void {
    this.#leaveBatch()
    this.#keyLength = this.#valueLength = -1
    this.#isOver = true
  }

  #nothing(): null {
    if (this.#isOver) throw this.#over()
    return null
  }

  #over(): Error {
    const { topic, partition } = this.#parts
    return chunkIsOver(topic, partition)
  }

  #damaged(): Error {
    const { topic, partition } = this.#parts
    const base = String(this.#batch?.base)
    return corrupt(`${topic}/${String(partition)}: the batch at offset ${base} holds what is no record`)
  }
}

/** A zigzag number of up to ten bytes. As a double: exact up to 2^53, which is enough for milliseconds. */
function readVarlong(bytes: Buffer, at: number): number {
  let value = 0
  let scale = 1
  let byte: number
  do {
    byte = bytes[at++] as number
    value += (byte & 0x7f) * scale
    scale *= 128
  } while (byte >= 0x80)
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2
}
