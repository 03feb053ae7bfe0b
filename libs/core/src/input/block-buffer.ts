/** Collects what one receiver stores and cuts it into blocks. */
import type { BlockStore } from '../storage/block-store.js'
import { estimateBytes } from '../storage/size-estimate.js'
import type { StorageLevel } from '../storage/storage-level.js'
import { Pack } from './pack.js'
import type { ReceivedWriter } from './received-writer.js'
import type { PackedOptions, SourcePosition } from './receiver.js'
import type { Room } from './room.js'

/** A block that waits for its batch. */
export interface ReceivedBlock {
  readonly id: string
  readonly records: number
  readonly bytes: number
  /** Of its last entry in the write-ahead log. */
  readonly sequence?: number | undefined
  /** Whether its records are packed bytes, to be unpacked by their receiver. */
  readonly packed: boolean
}

export interface BlockBufferOptions {
  /** What ids of blocks begin with; no other buffer, of this run or an earlier one, may have the same. */
  readonly prefix: string
  readonly blocks: BlockStore
  readonly room: Room
  readonly level: StorageLevel
  /** The write-ahead log; undefined: what is stored ends with the process. */
  readonly writer: ReceivedWriter | undefined
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
  readonly #writer: ReceivedWriter | undefined
  #records: unknown[] = []
  /** Whether `#records` is the receiver's own array. */
  #adopted = false
  /** The block under construction, where it is one of packed bytes; `#records` is empty then. */
  #pack: Pack | undefined
  /** Of the packed bytes under construction that are kept as they came. */
  #releases: (() => void)[] = []
  #bytes = 0
  #measured = 0
  #measuredBytes = 0
  #next = 0
  #cut: ReceivedBlock[] = []
  #writing: Promise<void>[] = []

  constructor({ prefix, blocks, room, level, writer }: BlockBufferOptions) {
    this.#writer = writer
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
    return this.#safe(bytes, this.#writer?.store(this.#id(), record))
  }

  /** Resolves when there is room and, with a write-ahead log, when the records are in it. */
  #safe(bytes: number, durable: Promise<void> | undefined): Promise<void> | undefined {
    const full = this.#room.take(bytes)
    if (durable === undefined || full === undefined) return durable ?? full
    return Promise.all([durable, full]).then(() => undefined)
  }

  /** Of the block under construction. */
  #id(): string {
    return `${this.#prefix}/${String(this.#next)}`
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

  /** `onSafe` is called when the records are in the write-ahead log, or at once where there is none. */
  addAll(records: readonly unknown[], position?: SourcePosition, onSafe?: () => void): Promise<void> | undefined {
    if (records.length === 0) {
      tell(this.#writer?.flushed(), onSafe)
      return undefined
    }
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
    const durable = this.#writer?.storeAll(this.#id(), records, position)
    tell(durable, onSafe)
    return this.#safe(bytes, durable)
  }

  /** Resolves when all that was stored is in the write-ahead log. */
  flushed(): Promise<void> {
    return this.#writer?.flushed() ?? Promise.resolve()
  }

  /** Takes records as bytes. A block is either packed or not. `onSafe` as of `addAll`. */
  addPacked(
    bytes: Uint8Array,
    { records, position, release }: PackedOptions,
    onSafe?: () => void,
  ): Promise<void> | undefined {
    if (bytes.length === 0) {
      release?.()
      tell(this.#writer?.flushed(), onSafe)
      return undefined
    }
    if (this.#pack === undefined) this.cut()
    this.#pack ??= new Pack()
    const isKept = this.#pack.add(bytes, records)
    const durable = this.#writer?.storePacked(this.#id(), bytes, records, position)
    tell(durable, onSafe)
    if (release !== undefined) this.#releaseLater(after(durable, release), isKept)
    return this.#safe(bytes.length, durable)
  }

  #releaseLater(release: () => void, isKept: boolean): void {
    if (isKept) this.#releases.push(release)
    else release()
  }

  /** Ends the block under construction. */
  cut(): void {
    if (this.isEmpty) return
    const pack = this.#pack
    const records = pack?.end() ?? this.#records
    const block = {
      id: this.#id(),
      records: pack?.records ?? records.length,
      bytes: pack?.bytes ?? this.#bytes,
      packed: pack !== undefined,
    }
    this.#next++
    this.#pack = undefined
    this.#records = []
    this.#adopted = false
    this.#bytes = 0
    this.#measured = 0
    this.#measuredBytes = 0
    this.#cut.push(block)
    const release = this.#takeReleases()
    const writing = this.#blocks.put(block.id, records, this.#level, { release })
    if (writing === undefined) return
    // Awaited by `take`; until then its rejection must not count as unhandled.
    writing.catch(() => undefined)
    this.#writing.push(writing)
  }

  #takeReleases(): (() => void) | undefined {
    const releases = this.#releases
    if (releases.length === 0) return undefined
    this.#releases = []
    return () => {
      for (const release of releases) release()
    }
  }

  /** All blocks since the last call, the current one included. Rejects when a block could not be put. */
  async take(): Promise<readonly ReceivedBlock[]> {
    this.cut()
    const writing = this.#writing
    const blocks = this.#cut
    this.#writing = []
    this.#cut = []
    const writer = this.#writer
    if (writer === undefined) {
      await Promise.all(writing)
      return blocks
    }
    await Promise.all([...writing, writer.flushed()])
    return blocks.map((block) => ({ ...block, sequence: writer.takeSequence(block.id) }))
  }
}

/** Whoever stored it hears of the failure; here it only means that it never is safe. */
function tell(durable: Promise<void> | undefined, onSafe: (() => void) | undefined): void {
  if (onSafe === undefined) return
  if (durable === undefined) onSafe()
  else durable.then(onSafe, () => undefined)
}

/** `release`, to be called when the bytes are in the write-ahead log, too; not at all where that failed. */
function after(durable: Promise<void> | undefined, release: () => void): () => void {
  if (durable === undefined) return release
  return () => {
    durable.then(release, () => undefined)
  }
}
