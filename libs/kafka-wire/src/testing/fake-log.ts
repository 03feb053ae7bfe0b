/** A partition in memory that answers fetches as a broker does, with the list of what its readers must get. */
import type { FetchAnswer, Isolation } from '../client.js'
import { encodeBatch, encodeMarker } from './encode-batches.js'
import type { PlainBatch, PlainRecord } from './encode-batches.js'

/** One thing that happens to a log. `records` holds the gap before each record: 1 is none. */
export type LogEvent =
  | { readonly type: 'write'; readonly records: readonly number[]; readonly producer?: bigint; readonly codec?: Coding }
  /** Compaction has removed all records of a batch of `size`, and kept its header. */
  | { readonly type: 'emptied'; readonly size: number }
  | { readonly type: 'end'; readonly producer: bigint; readonly how: 'abort' | 'commit' }
  | { readonly type: 'gap'; readonly size: number }

interface Coding {
  readonly id: number
  readonly compress: (bytes: Buffer) => Uint8Array
}

interface StoredBatch {
  readonly base: bigint
  readonly last: bigint
  readonly bytes: Buffer
}

export interface LoggedRecord {
  readonly offset: bigint
  readonly value: string
  readonly producer: bigint | undefined
  /** Where its transaction began. */
  readonly transaction: bigint | undefined
}

export class FakeLog {
  readonly batches: StoredBatch[] = []
  readonly #records: LoggedRecord[] = []
  readonly #open = new Map<bigint, bigint>()
  readonly #aborted: { producerId: bigint; firstOffset: bigint; lastOffset: bigint }[] = []
  readonly start: bigint
  end: bigint

  constructor(start: bigint, events: readonly LogEvent[]) {
    this.start = this.end = start
    for (const event of events) this.#take(event)
  }

  get lastStable(): bigint {
    return [...this.#open.values()].reduce((least, offset) => (offset < least ? offset : least), this.end)
  }

  /** What a reader of [from, to) must get. */
  visible(from: bigint, to: bigint, isolation: Isolation): LoggedRecord[] {
    const isAborted = ({ producer, transaction }: LoggedRecord): boolean =>
      this.#aborted.some((each) => each.producerId === producer && each.firstOffset === transaction)
    const end = isolation === 'committed' && this.lastStable < to ? this.lastStable : to
    return this.#records.filter(
      (record) => record.offset >= from && record.offset < end && !(isolation === 'committed' && isAborted(record)),
    )
  }

  /** Whole batches from that which holds `offset`, at least one; then as many as fit, the next one cut off. */
  fetch(offset: bigint, isolation: Isolation, maxBytes: number): FetchAnswer {
    const end = isolation === 'committed' ? this.lastStable : this.end
    const readable = this.batches.filter(({ base, last }) => last >= offset && base < end)
    const all = Buffer.concat(readable.map(({ bytes }) => bytes))
    const records = all.subarray(0, Math.max(maxBytes, readable[0]?.bytes.length ?? 0))
    const aborted = isolation === 'committed' ? this.#aborted.filter(({ lastOffset }) => lastOffset >= offset) : []
    return {
      highWatermark: this.end,
      lastStableOffset: this.lastStable,
      logStartOffset: this.start,
      aborted: aborted.map(({ producerId, firstOffset }) => ({ producerId, firstOffset })),
      records,
    }
  }

  #take(event: LogEvent): void {
    const base = this.end
    if (event.type === 'gap') this.end += BigInt(event.size)
    else if (event.type === 'emptied') this.#store({ base, records: [], lastDelta: event.size - 1 })
    else if (event.type === 'end') this.#endTransaction(event.producer, event.how)
    else this.#write(base, event)
  }

  #write(base: bigint, { records, producer, codec }: Extract<LogEvent, { type: 'write' }>): void {
    const plain: PlainRecord[] = []
    let delta = -1
    if (producer !== undefined && !this.#open.has(producer)) this.#open.set(producer, base)
    const transaction = producer === undefined ? undefined : this.#open.get(producer)
    for (const gap of records) {
      delta += gap
      const offset = base + BigInt(delta)
      const value = `value of ${String(offset)}`
      // An abort marker has such a key, too.
      plain.push({ delta, key: Buffer.alloc(4), value })
      this.#records.push({ offset, value, producer, transaction })
    }
    const transactional = producer === undefined ? {} : { producerId: producer, isTransactional: true }
    this.#store({
      base,
      records: plain,
      ...transactional,
      ...(codec === undefined ? {} : { codec: codec.id, compress: codec.compress }),
    })
  }

  #endTransaction(producer: bigint, how: 'abort' | 'commit'): void {
    const firstOffset = this.#open.get(producer)
    if (firstOffset === undefined) return
    const base = this.end
    this.#open.delete(producer)
    if (how === 'abort') this.#aborted.push({ producerId: producer, firstOffset, lastOffset: base })
    this.batches.push({ base, last: base, bytes: encodeMarker(base, producer, how) })
    this.end = base + 1n
  }

  #store(batch: PlainBatch): void {
    const lastDelta = batch.lastDelta ?? batch.records.at(-1)?.delta ?? 0
    const last = batch.base + BigInt(lastDelta)
    this.batches.push({ base: batch.base, last, bytes: encodeBatch(batch) })
    this.end = last + 1n
  }
}
