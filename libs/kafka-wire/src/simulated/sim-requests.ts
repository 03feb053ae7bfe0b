/** What the simulated brokers make of the requests of our own producer, byte by byte as real ones. */
import { WireReader, WireWriter } from '../produce/wire-bytes.js'
import { CODES, type Code } from './codes.js'
import type { SimPartition } from './sim-partition.js'
import type { SimTransactions } from './sim-transactions.js'

export interface RequestPlace {
  readonly transactions: SimTransactions
  /** Undefined where there is none. */
  partition(topic: string, partition: number): SimPartition | undefined
}

const PRODUCE = 0
const INIT_PRODUCER_ID = 22
const END_TXN = 26
const TXN_OFFSET_COMMIT = 28

/** The answer of a broker. */
export function answerTo(place: RequestPlace, broker: number, api: number, bytes: Buffer): Buffer {
  switch (api) {
    case PRODUCE:
      return produce(place, broker, new WireReader(bytes, true))
    case INIT_PRODUCER_ID:
      return initProducerId(place, new WireReader(bytes, false))
    case END_TXN:
      return endTransaction(place, new WireReader(bytes, true))
    case TXN_OFFSET_COMMIT:
      return commitOffsets(place, new WireReader(bytes, true))
    default:
      throw new TypeError(`the simulated brokers have no request ${String(api)}`)
  }
}

function produce(place: RequestPlace, broker: number, request: WireReader): Buffer {
  const transactionalId = request.string()
  request.int16()
  request.int32()
  const topics = request.array(() => {
    const topic = request.string() ?? ''
    const partitions = request.array(() => {
      const partition = request.int32()
      const batch = request.bytes()
      request.tags()
      return { partition, code: append(place.partition(topic, partition), broker, batch, transactionalId, place) }
    })
    request.tags()
    return { topic, partitions }
  })
  const answer = new WireWriter(true)
  answer.array(topics, ({ topic, partitions }) => {
    answer.string(topic)
    answer.array(partitions, ({ partition, code }) => {
      answer.int32(partition).int16(code).int64(-1n).int64(-1n).int64(0n)
      answer
        .array([], () => undefined)
        .string(null)
        .tags()
    })
    answer.tags()
  })
  return answer.int32(0).tags().end()
}

function append(
  partition: SimPartition | undefined,
  broker: number,
  batch: Buffer,
  transactionalId: string | null,
  { transactions }: RequestPlace,
): Code {
  if (partition === undefined) return CODES.unknownPartition
  if (partition.leader !== broker) return CODES.notLeader
  if (transactionalId === null) return partition.append(batch, false)
  const code = transactions.join(transactionalId, batch.readBigInt64BE(43), batch.readInt16BE(51), partition)
  return code === CODES.none ? partition.append(batch, true) : code
}

function initProducerId({ transactions }: RequestPlace, request: WireReader): Buffer {
  const { errorCode, producerId, epoch } = transactions.init(request.string(), request.int32())
  return new WireWriter(false).int32(0).int16(errorCode).int64(producerId).int16(epoch).end()
}

function endTransaction({ transactions }: RequestPlace, request: WireReader): Buffer {
  const [id, producerId, epoch, isCommit] = [request.string() ?? '', request.int64(), request.int16(), request.int8()]
  const ended = transactions.end(id, producerId, epoch, isCommit === 1 ? 'commit' : 'abort')
  const answer = new WireWriter(true).int32(0).int16(ended.errorCode)
  return answer.int64(ended.producerId).int16(ended.epoch).tags().end()
}

function commitOffsets({ transactions }: RequestPlace, request: WireReader): Buffer {
  const [id, group, producerId, epoch] = [
    request.string() ?? '',
    request.string() ?? '',
    request.int64(),
    request.int16(),
  ]
  request.int32()
  request.string()
  request.string()
  const offsets = request.array(() => {
    const topic = request.string() ?? ''
    const some = request.array(() => {
      const [partition, offset] = [request.int32(), request.int64()]
      request.int32()
      request.string()
      request.tags()
      return { topic, partition, offset }
    })
    request.tags()
    return some
  })
  const code = transactions.join(id, producerId, epoch, undefined)
  if (code === CODES.none) transactions.addOffsets(id, group, offsets.flat())
  const answer = new WireWriter(true).int32(0)
  answer.array(offsets, (some) => {
    answer.string(some[0]?.topic ?? '')
    answer.array(some, ({ partition }) => answer.int32(partition).int16(code).tags())
    answer.tags()
  })
  return answer.tags().end()
}
