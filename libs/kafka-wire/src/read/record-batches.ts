/**
 * The batches of one fetch (Kafka's protocol guide, "Record Batch", version 2): which of them belong to a range, and where
 * reading goes on. Looks at headers only, and checks the checksum of each batch, so that what follows can trust the bytes.
 */
import { SluiceError } from '@sluice/core'
import type { FetchAnswer } from '../client.js'
import { crc32c } from '../crc32c.js'
import { COMPONENT, corrupt } from '../errors.js'

// Where the fields of a batch's header stand.
const LENGTH = 8
const MAGIC = 16
const CRC = 17
const ATTRIBUTES = 21
const LAST_DELTA = 23
const FIRST_TIMESTAMP = 27
const MAX_TIMESTAMP = 35
const PRODUCER_ID = 43
const COUNT = 57
const HEADER_BYTES = 61
/** What stands before that which `LENGTH` counts. */
const PREFIX_BYTES = 12

const CODEC_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

const ABORT_MARKER = 0

/** A batch with records of the range. */
export interface Batch {
  readonly base: bigint
  /** Of its last record, also where compaction has removed that. */
  readonly lastDelta: number
  /** How many records it holds. */
  readonly count: number
  /** Which of them belong to the range: those with a delta from `fromDelta` to below `toDelta`. */
  readonly fromDelta: number
  readonly toDelta: number
  /** The number of the codec of `body`; 0 is none. */
  readonly codec: number
  /** What the records' own timestamps count from. */
  readonly firstTimestampMs: number
  /** The time of all records, where the broker sets it. */
  readonly appendTimestampMs: number | undefined
  readonly body: Buffer
}

export interface Batches {
  readonly batches: readonly Batch[]
  /** Where reading goes on; `from` where there was nothing to read. */
  readonly position: bigint
}

export interface OffsetRange {
  readonly topic: string
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/**
 * Throws `DATA_CORRUPT` where the bytes are not what a broker sends. A batch's first offset, which the broker writes, is
 * not under the checksum: of that only the order can be checked. (Nor does the answer's high watermark bound it: the broker
 * takes that before it reads.)
 */
export function batchesOf(answer: FetchAnswer, range: OffsetRange): Batches {
  const { from, to } = range
  const { buffer, byteOffset, byteLength } = answer.records
  const bytes = Buffer.from(buffer, byteOffset, byteLength)
  const transactions = new AbortedTransactions(answer)
  const batches: Batch[] = []
  let position = from
  let before = -1n
  for (let at = 0; position < to;) {
    const end = endOfBatch(bytes, at, range)
    if (end === undefined) break
    const bytesOfBatch = bytes.subarray(at, end)
    const base = bytesOfBatch.readBigInt64BE(0)
    const lastDelta = bytesOfBatch.readInt32BE(LAST_DELTA)
    const last = base + BigInt(lastDelta)
    if (base <= before || lastDelta < 0) throw damaged(range, 'offsets out of order')
    before = last
    at = end
    const isKept = transactions.keeps(bytesOfBatch, last)
    if (base >= to) position = to
    else if (last >= position) {
      position = last < to ? last + 1n : to
      if (isKept && bytesOfBatch.readInt32BE(COUNT) > 0) batches.push(toBatch(bytesOfBatch, base, lastDelta, range))
    }
  }
  return { batches, position }
}

/** Where the batch at `at` ends; `undefined` where the answer is over, or cuts the batch off. */
function endOfBatch(bytes: Buffer, at: number, range: OffsetRange): number | undefined {
  const left = bytes.length - at
  const length = left < HEADER_BYTES ? undefined : bytes.readInt32BE(at + LENGTH)
  if (length === undefined || length > left - PREFIX_BYTES) {
    // A broker cuts off what did not fit into the answer, but never the first batch.
    if (at === 0 && left > 0) throw damaged(range, 'a batch that is cut off')
    return undefined
  }
  if (length < HEADER_BYTES - PREFIX_BYTES) throw damaged(range, 'a batch of impossible length')
  if (bytes[at + MAGIC] !== 2) throw oldFormat(range, bytes[at + MAGIC] as number)
  const end = at + PREFIX_BYTES + length
  if (crc32c(bytes.subarray(at + ATTRIBUTES, end)) !== bytes.readUInt32BE(at + CRC)) {
    throw damaged(range, 'a batch with a wrong checksum')
  }
  if (bytes.readInt32BE(at + COUNT) < 0) throw damaged(range, 'a batch of impossible count')
  return end
}

function toBatch(bytes: Buffer, base: bigint, lastDelta: number, { from, to }: OffsetRange): Batch {
  const attributes = bytes.readInt16BE(ATTRIBUTES)
  const within = (offset: bigint): number => Math.max(0, Math.min(Number(offset - base), lastDelta + 1))
  return {
    base,
    lastDelta,
    count: bytes.readInt32BE(COUNT),
    fromDelta: within(from),
    toDelta: within(to),
    codec: attributes & CODEC_MASK,
    firstTimestampMs: Number(bytes.readBigInt64BE(FIRST_TIMESTAMP)),
    appendTimestampMs: attributes & LOG_APPEND_TIME ? Number(bytes.readBigInt64BE(MAX_TIMESTAMP)) : undefined,
    body: bytes.subarray(HEADER_BYTES),
  }
}

/**
 * Tells committed batches from aborted ones. A transaction counts as aborted from its first offset, which the answer
 * tells, until the marker that ends it. Several of one producer may follow each other.
 */
class AbortedTransactions {
  readonly #waiting: { readonly producerId: bigint; readonly firstOffset: bigint }[]
  readonly #open = new Set<bigint>()

  constructor({ aborted }: FetchAnswer) {
    this.#waiting = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? 1 : -1))
  }

  /** Whether readers get the records of this batch. Asked once for each batch, in order. */
  keeps(batch: Buffer, last: bigint): boolean {
    while ((this.#waiting.at(-1)?.firstOffset ?? last + 1n) <= last) {
      const { producerId } = this.#waiting.pop() as { producerId: bigint }
      this.#open.add(producerId)
    }
    const attributes = batch.readInt16BE(ATTRIBUTES)
    const producerId = batch.readBigInt64BE(PRODUCER_ID)
    if ((attributes & CONTROL) !== 0) {
      if (isAbortMarker(batch)) this.#open.delete(producerId)
      return false
    }
    return (attributes & TRANSACTIONAL) === 0 || !this.#open.has(producerId)
  }
}

/** A control batch holds one small record, whose key is two numbers: a version and a type. */
function isAbortMarker(batch: Buffer): boolean {
  let at = HEADER_BYTES
  const skipVarint = (): void => {
    while ((batch[at++] ?? 0) & 0x80);
  }
  if (batch.readInt32BE(COUNT) === 0) return false
  skipVarint() // length
  at++ // attributes
  skipVarint() // timestamp
  skipVarint() // offset
  // The key's length, in one byte: 8 stands for 4.
  const hasKey = (batch[at++] ?? 0) >= 8 && at + 4 <= batch.length
  return hasKey && batch.readInt16BE(at + 2) === ABORT_MARKER
}

function damaged({ topic, partition, from }: OffsetRange, what: string): SluiceError {
  return corrupt(`${topic}/${String(partition)}: the broker sent ${what} at offset ${String(from)} or above`)
}

function oldFormat({ topic, partition }: OffsetRange, magic: number): SluiceError {
  const message =
    `${topic}/${String(partition)} holds records in the format of version ${String(magic)}; Kafka writes version 2 since 0.11: ` +
    'copy the topic with a current producer'
  return new SluiceError({ code: 'DATA_CORRUPT', component: COMPONENT, message })
}
