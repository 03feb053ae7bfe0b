/**
 * Records that must outlive the process: blocks of receivers, before `store` resolves (E14), and slices of streams that could
 * not be made again (E4). A log of its own, beside that of the batches, as its entries are dropped by other rules.
 */
import type { ReceivedJournal, ReceivedPiece } from '../input/journal.js'
import type { SourcePosition } from '../input/receiver.js'
import { decodeRecords, encodeRecords } from '../storage/codec.js'
import type { BatchTime } from '../time/duration.js'
import type { EntryLog, LogEntry } from './entry-log.js'

/** Records of a receiver's block; a block is one or more of these. */
interface ReceivedEntry {
  readonly input: string
  readonly block: string
  readonly position: SourcePosition | undefined
  /** How many records the bytes are. */
  readonly packed: number | undefined
}

/** Records of one partition of a stream's RDD; `chunk` counts from 0, and another 0 begins the partition anew. */
interface SliceEntry {
  readonly stream: string
  readonly time: BatchTime
  readonly partition: number
  readonly chunk: number
}

interface SliceEnd {
  readonly stream: string
  readonly time: BatchTime
  readonly partitions: number
}

const RECEIVED = 1
const SLICE = 2
const SLICE_END = 3

/** A block as it is found in the log. */
export interface LoggedBlock {
  readonly id: string
  readonly input: string
  /** With `packed`, bytes. */
  readonly records: readonly unknown[]
  readonly packed: boolean
  readonly count: number
  /** Of its last entry. */
  readonly sequence: number
}

export interface LoggedSlice {
  readonly stream: string
  readonly time: BatchTime
  readonly partitions: readonly (readonly unknown[])[]
}

interface GrowingBlock extends LoggedBlock {
  readonly records: unknown[]
  count: number
  sequence: number
}

/** Puts together what is read back. */
export class DataLogReader {
  readonly #blocks = new Map<string, GrowingBlock>()
  readonly #slices = new Map<string, { readonly records: unknown[][]; end: SliceEnd | undefined }>()
  readonly positions = new Map<string, Map<string, bigint>>()
  /** What still stands in the log, with the sequence of its first entry. */
  readonly first = new Map<string, number>()

  /** `isNeeded` says whether records of a block are of use still. */
  add(
    { type, sequence, payload }: LogEntry,
    isNeeded: (block: string, input: string, sequence: number) => boolean,
  ): void {
    const [head, records] = decodeRecords(payload) as [unknown, unknown[]]
    if (type === RECEIVED) this.#addReceived(head as ReceivedEntry, records, sequence, isNeeded)
    else if (type === SLICE) this.#addSlice(head as SliceEntry, records, sequence)
    else if (type === SLICE_END) this.#endSlice(head as SliceEnd)
  }

  #addReceived(
    { input, block, position, packed }: ReceivedEntry,
    records: unknown[],
    sequence: number,
    isNeeded: (block: string, input: string, sequence: number) => boolean,
  ): void {
    const positions = this.positions.get(input) ?? new Map<string, bigint>()
    this.positions.set(input, positions)
    for (const [partition, last] of Object.entries(position ?? {})) positions.set(partition, last)
    if (!isNeeded(block, input, sequence)) return
    const count = packed ?? records.length
    const known = this.#blocks.get(block)
    if (known === undefined) {
      this.#blocks.set(block, { id: block, input, records, packed: packed !== undefined, count, sequence })
      this.first.set(block, sequence)
      return
    }
    known.count += count
    for (const record of records) known.records.push(record)
    known.sequence = sequence
  }

  #addSlice({ stream, time, partition, chunk }: SliceEntry, records: unknown[], sequence: number): void {
    const key = sliceKey(stream, time)
    const slice = this.#slices.get(key) ?? { records: [], end: undefined }
    this.#slices.set(key, slice)
    if (!this.first.has(key)) this.first.set(key, sequence)
    const before = chunk === 0 ? [] : (slice.records[partition] ?? [])
    for (const record of records) before.push(record)
    slice.records[partition] = before
  }

  #endSlice(end: SliceEnd): void {
    const key = sliceKey(end.stream, end.time)
    const slice = this.#slices.get(key) ?? { records: [], end: undefined }
    slice.end = end
    this.#slices.set(key, slice)
  }

  blocks(): LoggedBlock[] {
    return [...this.#blocks.values()]
  }

  /** What it has of slices, whole or not. */
  sliceKeys(): Iterable<string> {
    return this.#slices.keys()
  }

  /** Slices of which every partition is there. */
  slices(): LoggedSlice[] {
    const whole: LoggedSlice[] = []
    for (const { records, end } of this.#slices.values()) {
      if (end === undefined) continue
      const partitions = Array.from({ length: end.partitions }, (_, i) => records[i] ?? [])
      whole.push({ stream: end.stream, time: end.time, partitions })
    }
    return whole
  }
}

export function sliceKey(stream: string, time: BatchTime): string {
  return `slice ${String(time)} ${stream}`
}

/** The log open for writing. */
export class DataLog implements ReceivedJournal {
  readonly #log: EntryLog
  /** What must stay, in the order of the first entries. */
  readonly #held: Map<string, number>
  readonly confirm: () => Promise<void>

  constructor(log: EntryLog, held: ReadonlyMap<string, number>, confirm: () => Promise<void>) {
    this.#log = log
    this.confirm = confirm
    this.#held = new Map(held)
  }

  /** Resolves with the sequence when the records are durable. */
  received(input: string, { block, records, position, packed }: ReceivedPiece): Promise<number> {
    this.#hold(block)
    const head: ReceivedEntry = { input, block, position, packed }
    return this.#log.append(RECEIVED, encodeRecords([head, records]))
  }

  keep(slice: SliceEntry, records: readonly unknown[]): void {
    this.#hold(sliceKey(slice.stream, slice.time))
    this.#log.note(SLICE, encodeRecords([slice, records]))
  }

  async kept(end: SliceEnd): Promise<void> {
    this.#hold(sliceKey(end.stream, end.time))
    await this.#log.append(SLICE_END, encodeRecords([end, []]))
  }

  #hold(key: string): void {
    if (!this.#held.has(key)) this.#held.set(key, this.#log.nextSequence)
  }

  /** Blocks or slices that nobody can ask for again. */
  release(keys: Iterable<string>): void {
    for (const key of keys) this.#held.delete(key)
  }

  /** Drops what nothing holds. */
  async trim(): Promise<void> {
    const [oldest = this.#log.nextSequence] = this.#held.values()
    await this.#log.trim(oldest)
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
