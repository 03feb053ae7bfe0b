/**
 * The requests by which records are written, and their answers. Two dialects: `classic`, which every broker from Kafka 2.3 on speaks,
 * and `safe`, that of KIP-890, by which a late message of an old transaction cannot get into a new one.
 */
import type { TopicPartitionOffset } from '../client.js'
import type { BatchSender } from './record-encoder.js'
import { WireReader, WireWriter } from './wire-bytes.js'

export type Dialect = 'classic' | 'safe'

interface Api {
  readonly key: number
  readonly version: number
  readonly name: string
}

/** A request that can be sent, and what its answer says. */
export interface WireCall<T> {
  readonly api: Api
  readonly bytes: Buffer
  decode(answer: Buffer): T
}

interface Transactional extends BatchSender {
  readonly transactionalId: string
}

export interface PartitionBytes {
  readonly topic: string
  readonly partition: number
  readonly bytes: Buffer
}

const PRODUCE: Readonly<Record<Dialect, number>> = { classic: 7, safe: 12 }
const ALL_IN_SYNC = -1

/** At most one batch for each partition. The answer: Kafka's number of the error of each partition, by its number; 0 is none. */
export function produceCall(
  dialect: Dialect,
  transactionalId: string | null,
  topic: string,
  batches: readonly Omit<PartitionBytes, 'topic'>[],
  timeoutMs: number,
): WireCall<ReadonlyMap<number, number>> {
  const isFlexible = dialect === 'safe'
  const request = new WireWriter(isFlexible).string(transactionalId).int16(ALL_IN_SYNC).int32(timeoutMs)
  request.array([topic], (name) => {
    request.string(name)
    request.array(batches, ({ partition, bytes }) => request.int32(partition).bytes(bytes).tags())
    request.tags()
  })
  return {
    api: { key: 0, version: PRODUCE[dialect], name: 'Produce' },
    bytes: request.tags().end(),
    decode: (answer) => decodeProduce(new WireReader(answer, isFlexible), isFlexible),
  }
}

function decodeProduce(answer: WireReader, isFlexible: boolean): ReadonlyMap<number, number> {
  const errors = new Map<number, number>()
  answer.array(() => {
    answer.string()
    answer.array(() => {
      errors.set(answer.int32(), answer.int16())
      for (let field = 0; field < 3; field++) answer.int64()
      if (!isFlexible) return
      answer.array(() => {
        answer.int32()
        answer.string()
        answer.tags()
      })
      answer.string()
      answer.tags()
    })
    answer.tags()
  })
  return errors
}

export interface ProducerIdentity extends BatchSender {
  readonly errorCode: number
}

export function initProducerIdCall(transactionalId: string | null, timeoutMs: number): WireCall<ProducerIdentity> {
  return {
    api: { key: 22, version: 1, name: 'InitProducerId' },
    bytes: new WireWriter(false).string(transactionalId).int32(timeoutMs).end(),
    decode(bytes) {
      const answer = new WireReader(bytes, false)
      answer.int32()
      return { errorCode: answer.int16(), producerId: answer.int64(), epoch: answer.int16() }
    },
  }
}

/** The answer: the number of the first error; 0 is none. Only in the classic dialect; in the other one producing does it. */
export function addPartitionsCall(
  { transactionalId, producerId, epoch }: Transactional,
  topic: string,
  partitions: readonly number[],
): WireCall<number> {
  const request = new WireWriter(false).string(transactionalId).int64(producerId).int16(epoch)
  request.array([topic], (name) => {
    request.string(name).array(partitions, (partition) => request.int32(partition))
  })
  return {
    api: { key: 24, version: 1, name: 'AddPartitionsToTxn' },
    bytes: request.end(),
    decode(bytes) {
      const answer = new WireReader(bytes, false)
      answer.int32()
      const errors = answer.array(() => {
        answer.string()
        return answer.array(() => {
          answer.int32()
          return answer.int16()
        })
      })
      return firstError(errors.flat())
    },
  }
}

export function addOffsetsCall({ transactionalId, producerId, epoch }: Transactional, group: string): WireCall<number> {
  return {
    api: { key: 25, version: 1, name: 'AddOffsetsToTxn' },
    bytes: new WireWriter(false).string(transactionalId).int64(producerId).int16(epoch).string(group).end(),
    decode: errorBehindThrottle,
  }
}

const TXN_OFFSET_COMMIT: Readonly<Record<Dialect, number>> = { classic: 2, safe: 5 }

export function txnOffsetCommitCall(
  dialect: Dialect,
  { transactionalId, producerId, epoch }: Transactional,
  group: string,
  offsets: readonly TopicPartitionOffset[],
): WireCall<number> {
  const isFlexible = dialect === 'safe'
  const request = new WireWriter(isFlexible).string(transactionalId).string(group).int64(producerId).int16(epoch)
  // Whoever commits is no member: no generation, no name, no instance.
  if (isFlexible) request.int32(-1).string('').string(null)
  request.array(new Set(offsets.map(({ topic }) => topic)), (name) => {
    const own = offsets.filter(({ topic }) => topic === name)
    request.string(name)
    request.array(own, ({ partition, offset }) => request.int32(partition).int64(offset).int32(-1).string('').tags())
    request.tags()
  })
  return {
    api: { key: 28, version: TXN_OFFSET_COMMIT[dialect], name: 'TxnOffsetCommit' },
    bytes: request.tags().end(),
    decode(bytes) {
      const answer = new WireReader(bytes, isFlexible)
      answer.int32()
      const errors = answer.array(() => {
        answer.string()
        const some = answer.array(() => {
          answer.int32()
          const error = answer.int16()
          answer.tags()
          return error
        })
        answer.tags()
        return some
      })
      return firstError(errors.flat())
    },
  }
}

const END_TXN: Readonly<Record<Dialect, number>> = { classic: 1, safe: 5 }

/** `next`: who the producer is from now on. */
export function endTxnCall(
  dialect: Dialect,
  { transactionalId, producerId, epoch }: Transactional,
  isCommit: boolean,
): WireCall<{ readonly errorCode: number; readonly next: BatchSender | undefined }> {
  const isFlexible = dialect === 'safe'
  const request = new WireWriter(isFlexible).string(transactionalId).int64(producerId).int16(epoch)
  return {
    api: { key: 26, version: END_TXN[dialect], name: 'EndTxn' },
    bytes: request
      .int8(isCommit ? 1 : 0)
      .tags()
      .end(),
    decode(bytes) {
      const answer = new WireReader(bytes, isFlexible)
      answer.int32()
      const errorCode = answer.int16()
      const next = isFlexible ? { producerId: answer.int64(), epoch: answer.int16() } : undefined
      return { errorCode, next }
    },
  }
}

const API_VERSIONS = { key: 18, version: 3, name: 'ApiVersions' }
const FINALIZED_FEATURES = 2

/** Whether the cluster does what KIP-890 asks for: its brokers know the versions, and `transaction.version` is 2. */
export function dialectCall(): WireCall<Dialect> {
  return {
    api: API_VERSIONS,
    bytes: new WireWriter(true).string('sluice').string('1').tags().end(),
    decode(bytes) {
      // Its header has no tagged fields, so that brokers can refuse versions that they do not know.
      const answer = new WireReader(bytes, true, false)
      if (answer.int16() !== 0) return 'classic'
      const highest = new Map<number, number>()
      answer.array(() => {
        const key = answer.int16()
        answer.int16()
        highest.set(key, answer.int16())
        answer.tags()
      })
      answer.int32()
      let level = 0
      answer.eachTag((tag) => {
        if (tag === FINALIZED_FEATURES) level = transactionVersion(answer)
      })
      const knows = [produceKnown, offsetsKnown, endKnown].every(([key, version]) => (highest.get(key) ?? 0) >= version)
      return knows && level >= 2 ? 'safe' : 'classic'
    },
  }
}

const produceKnown = [0, PRODUCE.safe] as const
const offsetsKnown = [28, TXN_OFFSET_COMMIT.safe] as const
const endKnown = [26, END_TXN.safe] as const

function transactionVersion(answer: WireReader): number {
  let level = 0
  answer.array(() => {
    const name = answer.string()
    const highest = answer.int16()
    answer.int16()
    answer.tags()
    if (name === 'transaction.version') level = highest
  })
  return level
}

function errorBehindThrottle(bytes: Buffer): number {
  const answer = new WireReader(bytes, false)
  answer.int32()
  return answer.int16()
}

function firstError(errors: readonly number[]): number {
  return errors.find((code) => code !== 0) ?? 0
}
