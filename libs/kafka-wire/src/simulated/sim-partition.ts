/** A partition of the simulated cluster: a log of batches as they came, with the marks of transactions, and who leads it. */
import type { FetchAnswer, FetchRequest, Isolation } from '../client.js'
import { EARLIEST, LATEST } from '../adapter.js'
import { encodeBatches, sealBatch } from '../produce/record-encoder.js'
import { CODES, type Code, refusal } from './codes.js'

// Where the fields of a batch's header stand.
const LAST_DELTA = 23
const ATTRIBUTES = 21
const MAX_TIMESTAMP = 35
const PRODUCER_ID = 43
const EPOCH = 51
const SEQUENCE = 53
const COUNT = 57
const CONTROL = 0x20
/** A broker knows so many of a producer's last batches. */
const REMEMBERED = 5

export type Ending = 'commit' | 'abort'

interface Stored {
  readonly base: bigint
  readonly last: bigint
  readonly bytes: Buffer
}

interface Sequences {
  epoch: number
  next: number
  /** First sequence of each of the last batches. */
  readonly recent: number[]
}

export class SimPartition {
  readonly topic: string
  readonly partition: number
  /** The broker's number; -1 while there is none. */
  leader: number
  end = 0n
  /** What a new leader takes for the end at first. */
  knownEnd: bigint | undefined
  readonly #batches: Stored[] = []
  /** First offset of each open transaction, by producer. */
  readonly #open = new Map<bigint, bigint>()
  readonly #aborted: { readonly producerId: bigint; readonly firstOffset: bigint; readonly lastOffset: bigint }[] = []
  readonly #producers = new Map<bigint, Sequences>()

  constructor(topic: string, partition: number, leader: number) {
    this.topic = topic
    this.partition = partition
    this.leader = leader
  }

  /** Takes a batch as a producer has sent it; one that is there already counts as taken. */
  append(sent: Buffer, isTransactional: boolean): Code {
    const producerId = sent.readBigInt64BE(PRODUCER_ID)
    const epoch = sent.readInt16BE(EPOCH)
    const sequence = sent.readInt32BE(SEQUENCE)
    const count = sent.readInt32BE(COUNT)
    const known = this.#producers.get(producerId)
    if (known !== undefined && epoch < known.epoch) return CODES.invalidEpoch
    const isNewEpoch = known === undefined || epoch > known.epoch
    if (known !== undefined && !isNewEpoch && known.recent.includes(sequence)) return CODES.none
    const expected = known === undefined ? sequence : isNewEpoch ? 0 : known.next
    if (sequence !== expected) return CODES.outOfOrderSequence
    const recent = [...(isNewEpoch ? [] : known.recent), sequence].slice(-REMEMBERED)
    this.#producers.set(producerId, { epoch, next: sequence + count, recent })
    if (isTransactional && !this.#open.has(producerId)) this.#open.set(producerId, this.end)
    this.#store(sent)
    return CODES.none
  }

  /** Ends a producer's transaction here; from now on it must have this epoch. */
  mark(producerId: bigint, epoch: number, how: Ending): void {
    const [marker] = encodeBatches([{ key: Buffer.of(0, 0, 0, how === 'abort' ? 0 : 1), value: Buffer.alloc(6) }], {
      ...{ maxBytes: 1_000, nowMs: 0, isTransactional: true, codec: 0, compress: undefined },
    })
    if (marker === undefined) return
    marker.bytes.writeInt16BE(marker.bytes.readInt16BE(ATTRIBUTES) | CONTROL, ATTRIBUTES)
    sealBatch(marker, { producerId, epoch }, -1)
    const firstOffset = this.#open.get(producerId)
    this.#open.delete(producerId)
    if (how === 'abort' && firstOffset !== undefined)
      this.#aborted.push({ producerId, firstOffset, lastOffset: this.end })
    this.#producers.set(producerId, { epoch, next: 0, recent: [] })
    this.#store(marker.bytes)
  }

  get hasOpen(): boolean {
    return this.#open.size > 0
  }

  /** Where reading ends. */
  endOf(isolation: Isolation): bigint {
    const end = this.#knownEnd
    return isolation === 'committed' ? smallest([end, ...this.#open.values()]) : end
  }

  offsetAt(timestampMs: number, isolation: Isolation): bigint {
    if (timestampMs === EARLIEST) return 0n
    if (timestampMs === LATEST) return this.endOf(isolation)
    const found = this.#batches.find(({ bytes }) => bytes.readBigInt64BE(MAX_TIMESTAMP) >= BigInt(timestampMs))
    return found?.base ?? -1n
  }

  fetch({ offset, isolation, maxBytes }: Pick<FetchRequest, 'offset' | 'isolation' | 'maxBytes'>): FetchAnswer {
    if (offset < 0n || offset > this.end) throw refusal(CODES.offsetOutOfRange)
    const end = this.endOf(isolation)
    const readable = this.#batches.filter(({ base, last }) => last >= offset && base < end)
    let sizeBytes = 0
    const whole = readable.filter(({ bytes }, i) => (sizeBytes += bytes.length) <= maxBytes || i === 0)
    const concerned = isolation === 'committed' ? this.#aborted.filter(({ lastOffset }) => lastOffset >= offset) : []
    return {
      highWatermark: this.#knownEnd,
      lastStableOffset: this.endOf('committed'),
      logStartOffset: 0n,
      aborted: concerned.map(({ producerId, firstOffset }) => ({ producerId, firstOffset })),
      records: Buffer.concat(whole.map(({ bytes }) => bytes)),
    }
  }

  get #knownEnd(): bigint {
    return smallest([this.end, this.knownEnd ?? this.end])
  }

  #store(sent: Buffer): void {
    const bytes = Buffer.from(sent)
    bytes.writeBigInt64BE(this.end, 0)
    const last = this.end + BigInt(bytes.readInt32BE(LAST_DELTA))
    this.#batches.push({ base: this.end, last, bytes })
    this.end = last + 1n
  }
}

function smallest(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (b < a ? b : a))
}
