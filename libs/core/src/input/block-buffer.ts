/** Collects what one receiver stores and cuts it into blocks. */
import type { BlockStore } from '../storage/block-store.js'
import { estimateBytes } from '../storage/size-estimate.js'
import type { StorageLevel } from '../storage/storage-level.js'
import type { Room } from './room.js'

/** A block that waits for its batch. */
export interface ReceivedBlock {
  readonly id: string
  readonly records: number
  readonly bytes: number
}

/** Size of a record until the first block has shown one. */
const UNKNOWN_RECORD_BYTES = 100

export class BlockBuffer {
  readonly #prefix: string
  readonly #blocks: BlockStore
  readonly #room: Room
  readonly #level: StorageLevel
  #records: unknown[] = []
  #bytes = 0
  #recordBytes = UNKNOWN_RECORD_BYTES
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
    return this.#records.length === 0
  }

  /** Takes one record; a promise when the next must wait. */
  add(record: unknown): Promise<void> | undefined {
    this.#records.push(record)
    this.#bytes += this.#recordBytes
    return this.#room.take(this.#recordBytes)
  }

  addAll(records: readonly unknown[]): Promise<void> | undefined {
    if (records.length === 0) return undefined
    const bytes = estimateBytes(records)
    // The receiver's array becomes the block's where it is the first, and often the only one.
    if (this.#records.length === 0) this.#records = records as unknown[]
    else for (const record of records) this.#records.push(record)
    this.#bytes += bytes
    return this.#room.take(bytes)
  }

  /** Ends the block under construction. */
  cut(): void {
    if (this.isEmpty) return
    const records = this.#records
    const block = { id: `${this.#prefix}/${String(this.#next++)}`, records: records.length, bytes: this.#bytes }
    this.#recordBytes = Math.max(1, Math.round(block.bytes / block.records))
    this.#records = []
    this.#bytes = 0
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
