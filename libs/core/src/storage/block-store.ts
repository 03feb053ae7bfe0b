/** The block store: records of batches, shuffles and caches in memory up to a budget, beyond it on disk (E16). */
import { isSluiceError, requireArgument, SluiceError } from '../errors.js'
import type { StorageLevel } from './storage-level.js'
import type { FileSystem } from './file-system.js'
import { decodeChunks } from './chunks.js'
import { DEFAULT_CHUNK_RECORDS, readFrameFile, writeFrameFile } from './frames.js'
import { freeLoan, Lease, type Loan } from './lease.js'
import { estimateBytes } from './size-estimate.js'
import { removed, Spill, type SpillHandle, type SpillHost, type SpillWriter } from './spill.js'
import { SpillFolder } from './spill-folder.js'

const COMPONENT = 'block-store'
const DEFAULT_BUDGET_BYTES = 512 * 2 ** 20

export interface BlockStoreOptions {
  readonly fileSystem: FileSystem
  /** The store makes a folder of its own in it when it first writes, and removes that one when it is closed. */
  readonly directory: string
  /** What blocks may take in memory. Default: 512 MiB. */
  readonly memoryBudgetBytes?: number | undefined
  /** Records that are encoded, written and read back together. Default: 1024. */
  readonly chunkRecords?: number | undefined
  /** Part of the folder's name. Default: random; a simulation gives a fixed one. */
  readonly instance?: string | undefined
}

export interface PutOptions {
  /** Whether the block can be made again: then one of level `memory` is dropped when memory is short. Default: false. */
  readonly recomputable?: boolean | undefined
  /** Whether the records are encoded chunks of the block's own (see chunks.ts): `get` then gives what is in them. */
  readonly packed?: boolean | undefined
  /**
   * Called, at most once, when nobody reads the records any more, which may change then. Never called once `get` or `getStored`
   * has handed them out: who took them so may keep them. Must not throw.
   */
  readonly release?: (() => void) | undefined
}

/** A block as it is kept: with `packed`, its encoded chunks in place of records. */
export interface StoredBlock {
  readonly packed: boolean
  readonly records: readonly unknown[] | Promise<readonly unknown[]>
}

export interface BlockStoreStats {
  /** Estimated size of what is in memory, blocks that are being written included. */
  readonly memoryBytes: number
  /** Size of the files of blocks and spills. */
  readonly diskBytes: number
  /** Blocks that `get` would find. */
  readonly blocks: number
  /** How many blocks went to disk because memory was short, since the store was made. */
  readonly spilled: number
}

interface Block {
  readonly id: string
  readonly level: StorageLevel
  readonly droppable: boolean
  readonly packed: boolean
  readonly sizeBytes: number
  /** Of the records while they are in memory. */
  readonly lease: Lease | undefined
  /** Undefined when it is on disk only. */
  records: readonly unknown[] | undefined
  file: { readonly path: string; readonly sizeBytes: number } | undefined
  writing: Promise<void> | undefined
  reading: Promise<readonly unknown[]> | undefined
  removed: boolean
}

/**
 * Keeps blocks under ids. Nothing put is ever lost, but for blocks of level `memory` that are `recomputable`.
 *
 * The least recently used blocks leave memory first. They are counted until their file is complete, and a `put` that finds
 * the budget used up waits for that: this is how the store slows its writers down. Records are handed out as they were
 * put, the same array while they are in memory: nobody may change them.
 */
export class BlockStore {
  readonly #fileSystem: FileSystem
  readonly #folder: SpillFolder
  readonly #budgetBytes: number
  readonly #chunkRecords: number
  readonly #spillHost: SpillHost
  readonly #blocks = new Map<string, Block>()
  readonly #spills = new Map<string, Spill>()
  /** Blocks that may leave memory, the least recently used first. */
  readonly #evictable = new Map<string, Block>()
  /** Blocks that cannot leave memory because they cannot be encoded, and why. */
  readonly #unencodable = new Map<Block, SluiceError>()
  readonly #pending = new Set<Promise<unknown>>()
  readonly #writes = new Set<Promise<void>>()
  #relief: Promise<void> | undefined
  #memoryBytes = 0
  #diskBytes = 0
  #spilled = 0
  #closed = false

  constructor(options: BlockStoreOptions) {
    const {
      fileSystem,
      directory,
      memoryBudgetBytes = DEFAULT_BUDGET_BYTES,
      chunkRecords = DEFAULT_CHUNK_RECORDS,
    } = options
    requireArgument(memoryBudgetBytes >= 0, COMPONENT, 'memoryBudgetBytes must be at least 0; leave it out for 512 MiB')
    requireArgument(chunkRecords >= 1, COMPONENT, 'chunkRecords must be at least 1; leave it out for the default')
    this.#fileSystem = fileSystem
    this.#folder = new SpillFolder(fileSystem, directory, options.instance)
    this.#budgetBytes = memoryBudgetBytes
    this.#chunkRecords = Math.floor(chunkRecords)
    this.#spillHost = {
      fileSystem,
      chunkRecords: this.#chunkRecords,
      newPath: () => this.#folder.newPath(),
      onDiskBytes: (change) => {
        this.#diskBytes += change
      },
    }
  }

  /**
   * Puts a block, in place of the one with this id. Undefined means done; a promise resolves when memory is within the
   * budget again or, at level `disk`, when the block is written.
   *
   * Rejects with the error of the disk when nothing can be written, and with `UNSERIALIZABLE` when what fills the memory
   * cannot be encoded: the block is in the store all the same, in memory. Throws `STOPPED` after `close`.
   */
  put(
    id: string,
    records: readonly unknown[],
    level: StorageLevel,
    options: PutOptions = {},
  ): Promise<void> | undefined {
    this.#requireOpen()
    const old = this.#blocks.get(id)
    if (old !== undefined) void this.#discard(old)
    const droppable = level === 'memory' && options.recomputable === true
    const lease = options.release === undefined ? undefined : new Lease(options.release)
    const block = newBlock(id, records, level, { droppable, packed: options.packed === true, lease })
    this.#blocks.set(id, block)
    this.#memoryBytes += block.sizeBytes
    if (level === 'disk') return this.#write(block)
    this.#evictable.set(id, block)
    this.#dropOldest()
    return this.#isWithinBudget() ? undefined : this.#relieve()
  }

  /**
   * The records of a block: at once from memory, as a promise from disk, undefined when there is no such block (any more).
   * A read that has begun gives the records even if the block is removed meanwhile. Throws `STOPPED` after `close`.
   */
  get(id: string): readonly unknown[] | Promise<readonly unknown[]> | undefined {
    const stored = this.getStored(id)
    if (stored?.packed !== true) return stored?.records
    const { records } = stored
    return records instanceof Promise ? records.then(recordsOfPacked) : recordsOfPacked(records)
  }

  /** The block as {@link get} finds it, but not decoded: for those that send it on. */
  getStored(id: string): StoredBlock | undefined {
    this.#requireOpen()
    const block = this.#blocks.get(id)
    if (block === undefined) return undefined
    const { packed } = block
    if (block.records === undefined) return { packed, records: (block.reading ??= this.#tracked(this.#read(block))) }
    if (this.#evictable.delete(id)) this.#evictable.set(id, block)
    // For good: nobody says when this reader has done.
    block.lease?.hold()
    return { packed, records: block.records }
  }

  /** What {@link get} finds, for a reader that says when it has done: until then the records stay as they are. */
  lend(id: string): Loan | undefined {
    const block = this.#blocks.get(id)
    const lease = block?.records === undefined ? undefined : block.lease
    const records = this.get(id)
    if (records === undefined) return undefined
    // What `get` holds for good is held until they are given back.
    return lease?.loanOf(records) ?? freeLoan(records)
  }

  /** Whether `get` would find the block. */
  has(id: string): boolean {
    return this.#blocks.has(id)
  }

  /** Removes the block and the spill with this id, if any. A promise resolves when their files are gone; it never rejects. */
  remove(id: string): Promise<void> | undefined {
    const work: Promise<unknown>[] = []
    const block = this.#blocks.get(id)
    const files = block === undefined ? undefined : this.#discard(block)
    if (files !== undefined) work.push(files)
    const spill = this.#spills.get(id)
    if (spill !== undefined && this.#spills.delete(id)) work.push(this.#tracked(spill.discard()))
    return work.length === 0 ? undefined : Promise.all(work).then(() => undefined)
  }

  /** Removes all blocks and spills whose ids start with `prefix`, as {@link remove} does. */
  removePrefix(prefix: string): Promise<void> | undefined {
    const ids = new Set([...this.#blocks.keys(), ...this.#spills.keys()].filter((id) => id.startsWith(prefix)))
    const work = Array.from(ids, (id) => this.remove(id)).filter((files) => files !== undefined)
    return work.length === 0 ? undefined : Promise.all(work).then(() => undefined)
  }

  /** Opens a spill under `id`, in place of one with this id. Its buffer of some 256 KiB is outside the budget. */
  openSpill(id: string): SpillWriter {
    this.#requireOpen()
    const old = this.#spills.get(id)
    if (old !== undefined) void this.#tracked(old.discard())
    const spill = new Spill(id, this.#spillHost)
    this.#spills.set(id, spill)
    return spill
  }

  /**
   * The records of a spill in the order in which they were appended, chunk by chunk with bounded memory; any number of
   * times. Throws `FILE_NOT_FOUND` when it was removed.
   */
  readSpill(handle: SpillHandle): AsyncIterable<unknown[]> {
    this.#requireOpen()
    const spill = this.#spills.get(handle.id)
    if (spill?.gave(handle) !== true) throw removed(handle.id)
    return readFrameFile(this.#fileSystem, spill.path ?? '', handle.sizeBytes)
  }

  stats(): BlockStoreStats {
    return {
      memoryBytes: this.#memoryBytes,
      diskBytes: this.#diskBytes,
      blocks: this.#blocks.size,
      spilled: this.#spilled,
    }
  }

  /** Forgets all blocks and removes their folder, after what is being read and written. Rejects when that cannot be removed. */
  async close(): Promise<void> {
    this.#closed = true
    void this.removePrefix('')
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
    await this.#folder.close()
  }

  #requireOpen(): void {
    if (!this.#closed) return
    const message = 'the block store is closed; make a new one'
    throw new SluiceError({ code: 'STOPPED', component: COMPONENT, message })
  }

  #isWithinBudget(): boolean {
    return this.#memoryBytes <= this.#budgetBytes
  }

  /** Keeps `work` known until it ends, so that `close` waits for it. Its errors are for those who asked for it. */
  #tracked<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work)
    const forget = (): void => void this.#pending.delete(work)
    work.then(forget, forget)
    return work
  }

  /** Takes a block out of the store and its accounts. A file that is being read or written goes when that is done. */
  #discard(block: Block): Promise<unknown> | undefined {
    block.removed = true
    this.#blocks.delete(block.id)
    this.#leaveMemory(block)
    // The write finds that the block was removed and takes its file away.
    if (block.file === undefined) return block.writing?.catch(() => undefined)
    const { path, sizeBytes } = block.file
    this.#diskBytes -= sizeBytes
    const read = Promise.allSettled([block.reading])
    return this.#tracked(read.then(() => this.#folder.remove(path)))
  }

  #leaveMemory(block: Block): void {
    if (block.records === undefined) return
    block.records = undefined
    this.#memoryBytes -= block.sizeBytes
    this.#unencodable.delete(block)
    if (this.#evictable.get(block.id) === block) this.#evictable.delete(block.id)
    block.lease?.drop()
  }

  /** Drops recomputable blocks as long as memory is short and the least recently used one is such. */
  #dropOldest(): void {
    for (const block of this.#evictable.values()) {
      if (this.#isWithinBudget() || !block.droppable) return
      void this.#discard(block)
    }
  }

  /** Brings memory within the budget; all who wait for that share the work. */
  #relieve(): Promise<void> {
    return (this.#relief ??= this.#tracked(this.#spillUntilRelieved()))
  }

  async #spillUntilRelieved(): Promise<void> {
    // First others see `#relief`, which the end of this function takes back.
    await Promise.resolve()
    try {
      for (this.#dropOldest(); !this.#isWithinBudget(); this.#dropOldest()) {
        if (!(await this.#spillOldest())) break
      }
    } finally {
      this.#relief = undefined
    }
  }

  /** Resolves with false when there is nothing to wait for. */
  async #spillOldest(): Promise<boolean> {
    const [block] = this.#evictable.values()
    if (block !== undefined) {
      await this.#spill(block)
      return true
    }
    if (this.#writes.size > 0) {
      await Promise.allSettled(this.#writes)
      return true
    }
    for (const error of this.#unencodable.values()) throw error
    return false
  }

  async #spill(block: Block): Promise<void> {
    try {
      await this.#write(block)
      if (!block.removed) this.#spilled++
    } catch (error) {
      // Then another has to go; what if there is none, is decided by spillOldest.
      if (!isSluiceError(error, 'UNSERIALIZABLE')) throw error
    }
  }

  /** Moves a block from memory to a file. When that fails it is in memory as before, and may be tried again. */
  #write(block: Block): Promise<void> {
    const work = this.#writeFile(block)
    block.writing = work
    this.#writes.add(work)
    const settled = (): void => {
      this.#writes.delete(work)
      block.writing = undefined
    }
    work.then(settled, settled)
    return this.#tracked(work)
  }

  async #writeFile(block: Block): Promise<void> {
    // Kept here, since removing the block takes them from it.
    const records = block.records ?? []
    block.lease?.hold()
    try {
      const path = await this.#folder.newPath()
      const sizeBytes = await writeFrameFile(this.#fileSystem, path, records, this.#chunkRecords)
      if (block.removed) return await this.#folder.remove(path)
      this.#leaveMemory(block)
      block.file = { path, sizeBytes }
      this.#diskBytes += sizeBytes
    } catch (error) {
      this.#keepInMemory(block, error)
      throw error
    } finally {
      block.lease?.drop()
    }
  }

  #keepInMemory(block: Block, error: unknown): void {
    if (block.removed) return
    if (isSluiceError(error, 'UNSERIALIZABLE')) {
      this.#evictable.delete(block.id)
      this.#unencodable.set(block, unencodable(block.id, error))
    } else {
      // Also one of level `disk`: it may go when the disk has room again.
      this.#evictable.set(block.id, block)
    }
  }

  async #read(block: Block): Promise<readonly unknown[]> {
    const { path, sizeBytes } = block.file ?? { path: '', sizeBytes: 0 }
    try {
      const records: unknown[] = []
      for await (const chunk of readFrameFile(this.#fileSystem, path, sizeBytes)) {
        for (const record of chunk) records.push(record)
      }
      return records
    } finally {
      block.reading = undefined
    }
  }
}

function newBlock(
  id: string,
  records: readonly unknown[],
  level: StorageLevel,
  kind: { readonly droppable: boolean; readonly packed: boolean; readonly lease: Lease | undefined },
): Block {
  const sizeBytes = estimateBytes(records)
  const nothing = { file: undefined, writing: undefined, reading: undefined, removed: false }
  return { id, level, ...kind, sizeBytes, records, ...nothing }
}

function recordsOfPacked(chunks: readonly unknown[]): unknown[] {
  return decodeChunks(chunks as readonly Uint8Array[])
}

function unencodable(id: string, cause: SluiceError): SluiceError {
  const message = `memory is used up and block ${id} cannot go to disk: ${cause.message}; raise memoryBudgetBytes or map to plain data`
  return new SluiceError({ code: 'UNSERIALIZABLE', component: COMPONENT, message, cause })
}
