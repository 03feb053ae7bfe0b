/** What a task in a worker thread has at hand: the data that came with it, the thread's own disk, and the way back. */
import type { BlockRecords, Spill } from '../rdd/pipeline.js'
import type { StorageLevel } from '../rdd/types.js'
import { BlockStore } from '../storage/block-store.js'
import { decodeChunks, encodeChunks } from '../storage/chunks.js'
import { decodeRecords } from '../storage/codec.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { freeLoan, type Loan } from '../storage/lease.js'
import { FileSystems } from '../storage/paths.js'
import { readLines } from '../storage/text.js'
import type { Clock } from '../time/clock.js'
import type { TaskServices } from './executor.js'
import { shuffleKey, type ChunkRange, type TaskHeader } from './task-codec.js'
import type { Block, Bytes } from './worker-protocol.js'

/** Bytes of blocks under way to the driver before a task waits: what it may pile up there. */
const UNSTORED_BYTES = 4 * 2 ** 20

/** Sends a block to the driver; resolves when it is in the store. */
export type SendBlock = (block: Block) => Promise<void>

/** The thread's own disk and clock. */
export class WorkerDisk {
  readonly clock: Clock
  readonly #spills: BlockStore
  readonly #files = new FileSystems()
  #nextSpill = 0

  constructor(clock: Clock, folder: string) {
    this.clock = clock
    this.#spills = new BlockStore({ fileSystem: nodeFileSystem(), directory: folder })
  }

  openSpill(): Spill & { remove(): Promise<void> } {
    const store = this.#spills
    const id = String(this.#nextSpill++)
    const writer = store.openSpill(id)
    let handle: ReturnType<typeof writer.close> | undefined
    return {
      append: (records) => writer.append(records),
      async *read() {
        yield* store.readSpill(await (handle ??= writer.close()))
      },
      async remove() {
        await store.remove(id)
      },
    }
  }

  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]> {
    const resolved = this.#files.resolve(path)
    return readLines(resolved.fileSystem, resolved.path, { start, length })
  }

  bytes(path: string): Promise<Uint8Array> {
    const resolved = this.#files.resolve(path)
    return resolved.fileSystem.read(resolved.path)
  }
}

/** One task's data and what it makes. */
export class WorkerTask implements TaskServices {
  readonly spillRecords: number
  readonly #header: TaskHeader
  readonly #chunks: readonly Uint8Array[]
  readonly #disk: WorkerDisk
  readonly #send: SendBlock
  readonly #blocks: ReadonlyMap<string, ChunkRange>
  readonly #shuffles: ReadonlyMap<string, ChunkRange>
  readonly #kept = new Map<string, { readonly block: Block; readonly records: readonly unknown[] }>()
  readonly #underWay = new Set<Promise<void>>()
  #unstoredBytes = 0
  #failure: { readonly error: unknown } | undefined

  constructor(header: TaskHeader, chunks: readonly Uint8Array[], disk: WorkerDisk, send: SendBlock) {
    this.spillRecords = header.spillRecords
    this.#header = header
    this.#chunks = chunks
    this.#disk = disk
    this.#send = send
    this.#blocks = new Map(header.inputs.blocks)
    this.#shuffles = new Map(header.inputs.shuffles)
  }

  get clock(): Clock {
    return this.#disk.clock
  }

  /** Records that were at hand in the driver. */
  records(input: number): readonly unknown[] {
    return this.#decoded(this.#header.inputs.records[input])
  }

  /** Partitions to keep, for the driver to put in its store. */
  get kept(): readonly Block[] {
    return Array.from(this.#kept.values(), ({ block }) => block)
  }

  *shuffleBlocks(shuffle: string, partition: number): Iterable<BlockRecords> {
    const [from, to] = this.#shuffles.get(shuffleKey(shuffle, partition)) ?? [0, 0]
    for (let i = from; i < to; i++) yield decodeRecords(this.#chunks[i] as Uint8Array)
  }

  block(id: string): BlockRecords | undefined {
    const own = this.#kept.get(id)
    if (own !== undefined) return own.records
    const range = this.#blocks.get(id)
    return range === undefined ? undefined : this.#decoded(range)
  }

  lend(id: string): Loan | undefined {
    const records = this.block(id)
    return records === undefined ? undefined : freeLoan(records)
  }

  #decoded([from, to]: ChunkRange = [0, 0]): unknown[] {
    return decodeChunks(this.#chunks.slice(from, to))
  }

  /** A shuffle's blocks go to the driver as they come; all others stay here until the task has succeeded. */
  putBlock(id: string, records: readonly unknown[], level: StorageLevel): Promise<void> | undefined {
    const { work } = this.#header.task
    if (work.kind !== 'shuffle' || !id.startsWith(`${work.shuffle}/`)) {
      this.#kept.set(id, { block: { id, level, chunks: [...encodeChunks(records)] }, records })
      return undefined
    }
    this.#throwFailure()
    this.#sendBlock({ id, level, chunks: [...encodeChunks(records)] })
    return this.#unstoredBytes > UNSTORED_BYTES ? this.#room() : undefined
  }

  #sendBlock(block: Block): void {
    const sizeBytes = sizeOf(block.chunks)
    this.#unstoredBytes += sizeBytes
    const sent = this.#send(block)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#unstoredBytes -= sizeBytes
        this.#underWay.delete(sent)
      })
    this.#underWay.add(sent)
  }

  async #room(): Promise<void> {
    while (this.#unstoredBytes > UNSTORED_BYTES) await Promise.race(this.#underWay)
    this.#throwFailure()
  }

  /** Resolves when all blocks are in the driver's store. */
  async settle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  openSpill(): Promise<Spill & { remove(): Promise<void> }> {
    return Promise.resolve(this.#disk.openSpill())
  }

  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]> {
    return this.#disk.lines(path, start, length)
  }

  bytes(path: string): Promise<Uint8Array> {
    return this.#disk.bytes(path)
  }
}

function sizeOf(chunks: readonly Bytes[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
}
