/** Collects what one receiver stores and cuts it into blocks. */
import type { BlockStore } from '../storage/block-store.js'
import { estimateBytes } from '../storage/size-estimate.js'
import type { StorageLevel } from '../storage/storage-level.js'
import { Pack } from './pack.js'
import type { Room } from './room.js'

/** A block that waits for its batch. */
export interface ReceivedBlock {
  readonly id: string
  readonly records: number
  readonly bytes: number
  /** Whether its records are packed bytes, to be unpacked by their receiver. */
  readonly packed: boolean
}

/** Single records of a block whose size is looked at; those after them count as their average. */
const MEASURED_RECORDS = 16
const EMPTY_BYTES = estimateBytes([])
const LEAST_RECORD_BYTES = 8

export class BlockBuffer {
  readonly #prefix: string
  readonly #blocks: BlockStore
  readonly #room: Room
  readonly #level: StorageLevel
  #records: unknown[] = []
  /** Whether `#records` is the receiver's own array. */
  #adopted = false
  /** The block under construction, where it is one of packed bytes; `#records` is empty then. */
  #pack: Pack | undefined
  #bytes = 0
  #measured = 0
  #measuredBytes = 0
  #next = 0
  #cut: ReceivedBlock[] = []
  #writing: Promise<void>[] = []

  constructor(prefix: string, blocks: BlockStore, room: Room, level: StorageLevel) {
    this.#prefix = prefix
    this.#blocks = blocks
    this.#room = room
    this.#level = level
  }

  get isEmpty(): boolean {
    return this.#records.length === 0 && this.#pack === undefined
  }

  /** Takes one record; a promise when the next must wait. */
  add(record: unknown): Promise<void> | undefined {
    if (this.#pack !== undefined) this.cut()
    if (this.#measured < MEASURED_RECORDS) this.#measure(record)
    const bytes = Math.ceil(this.#measuredBytes / this.#measured)
    this.#own().push(record)
    this.#bytes += bytes
    return this.#room.take(bytes)
  }

  #measure(record: unknown): void {
    this.#measured++
    this.#measuredBytes += Math.max(LEAST_RECORD_BYTES, estimateBytes([record]) - EMPTY_BYTES)
  }

  /** The array under construction, safe to be changed. */
  #own(): unknown[] {
    if (this.#adopted) this.#records = [...this.#records]
    this.#adopted = false
    return this.#records
  }

  addAll(records: readonly unknown[]): Promise<void> | undefined {
    if (records.length === 0) return undefined
    if (this.#pack !== undefined) this.cut()
    const bytes = estimateBytes(records)
    // The receiver's array becomes the block's where it is the first, and often the only one.
    if (this.#records.length === 0) {
      this.#records = records as unknown[]
      this.#adopted = true
    } else {
      const own = this.#own()
      for (const record of records) own.push(record)
    }
    this.#bytes += bytes
    return this.#room.take(bytes)
  }

  /** Takes records as bytes. A block is either packed or not. */
  addPacked(bytes: Uint8Array, records: number): Promise<void> | undefined {
    if (bytes.length === 0) return undefined
    if (this.#pack === undefined) this.cut()
    this.#pack ??= new Pack()
    this.#pack.add(bytes, records)
    return this.#room.take(bytes.length)
  }

  /** Ends the block under construction. */
  cut(): void {
    if (this.isEmpty) return
    const pack = this.#pack
    const records = pack?.end() ?? this.#records
    const block = {
      id: `${this.#prefix}/${String(this.#next++)}`,
      records: pack?.records ?? records.length,
      bytes: pack?.bytes ?? this.#bytes,
      packed: pack !== undefined,
    }
    this.#pack = undefined
    this.#records = []
    this.#adopted = false
    this.#bytes = 0
    this.#measured = 0
    this.#measuredBytes = 0
    this.#cut.push(block)
    const writing = this.#blocks.put(block.id, records, this.#level)
    if (writing === undefined) return
    // Awaited by `take`; until then its rejection must not count as unhandled.
    writing.catch(() => undefined)
    this.#writing.push(writing)
  }

  /** All blocks since the last call, the current one included. Rejects when a block could not be put. */
  async take(): Promise<readonly ReceivedBlock[]> {
    this.cut()
    const writing = this.#writing
    this.#writing = []
    await Promise.all(writing)
    const blocks = this.#cut
    this.#cut = []
    return blocks
  }
}
