/** One Fetch request of one partition and its answer, in version 11 of the protocol: Kafka 2.3 to 4. */
import type { AbortedTransaction, FetchAnswer, FetchRequest } from '../client.js'
import { corrupt } from '../errors.js'

export const FETCH_API = 1
export const FETCH_VERSION = 11

const CONSUMER = -1
const ANY_EPOCH = -1
const NO_SESSION = -1

export function encodeFetch(request: FetchRequest): Buffer {
  const { partition, offset, isolation, maxBytes, maxWaitMs } = request
  const topic = Buffer.from(request.topic)
  const bytes = Buffer.alloc(25 + 4 + 2 + topic.length + 4 + 28 + 4 + 2)
  let at = bytes.writeInt32BE(CONSUMER, 0)
  at = bytes.writeInt32BE(maxWaitMs, at)
  at = bytes.writeInt32BE(1, at) // at least a byte
  at = bytes.writeInt32BE(maxBytes, at)
  at = bytes.writeInt8(isolation === 'committed' ? 1 : 0, at)
  at = bytes.writeInt32BE(0, at)
  at = bytes.writeInt32BE(NO_SESSION, at)
  at = bytes.writeInt32BE(1, at) // topics
  at = bytes.writeInt16BE(topic.length, at)
  at += topic.copy(bytes, at)
  at = bytes.writeInt32BE(1, at) // partitions
  at = bytes.writeInt32BE(partition, at)
  at = bytes.writeInt32BE(ANY_EPOCH, at)
  at = bytes.writeBigInt64BE(offset, at)
  at = bytes.writeBigInt64BE(-1n, at) // the log's start, which only replicas know
  at = bytes.writeInt32BE(maxBytes, at)
  at = bytes.writeInt32BE(0, at) // forgotten topics
  bytes.writeInt16BE(0, at) // rack
  return bytes
}

export interface DecodedFetch {
  /** Kafka's number of the error; 0 is none. */
  readonly errorCode: number
  readonly answer: FetchAnswer
}

/** Throws `DATA_CORRUPT` where `bytes` are no answer to such a request. */
export function decodeFetch(bytes: Buffer): DecodedFetch {
  try {
    return decode(bytes)
  } catch (error) {
    throw error instanceof RangeError ? corrupt('a broker sent an answer that is cut off') : error
  }
}

function decode(bytes: Buffer): DecodedFetch {
  const errorOfAll = bytes.readInt16BE(4)
  const none = { highWatermark: -1n, lastStableOffset: -1n, logStartOffset: -1n, aborted: [], records: Buffer.alloc(0) }
  if (errorOfAll !== 0 || bytes.readInt32BE(10) === 0) return { errorCode: errorOfAll, answer: none }
  let at = 14 + 2 + bytes.readInt16BE(14) + 4 + 4
  const errorCode = bytes.readInt16BE(at)
  const [highWatermark, lastStableOffset, logStartOffset] = [2, 10, 18].map((field) =>
    bytes.readBigInt64BE(at + field),
  ) as [bigint, bigint, bigint]
  at += 26
  const aborted: AbortedTransaction[] = []
  for (let left = bytes.readInt32BE(at); left > 0; left--) {
    aborted.push({ producerId: bytes.readBigInt64BE(at + 4), firstOffset: bytes.readBigInt64BE(at + 12) })
    at += 16
  }
  // Behind them the replica that is nearer, which is of no use here.
  at += 8
  const length = Math.max(bytes.readInt32BE(at), 0)
  at += 4
  if (at + length > bytes.length) throw corrupt('a broker sent an answer that is cut off')
  const records = bytes.subarray(at, at + length)
  return { errorCode, answer: { highWatermark, lastStableOffset, logStartOffset, aborted, records } }
}
