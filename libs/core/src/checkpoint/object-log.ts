/**
 * The log as immutable objects: for file systems that cannot append, such as object stores. All owners write at the next free
 * name and none replaces what is there, so an owner that was replaced finds its next name taken, and knows.
 */
import { SluiceError } from '../errors.js'
import type { Logger } from '../observe/logger.js'
import type { FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import { newIdentity } from '../time/random.js'
import type { EntryLog, InspectLog, LogOptions, LogReport, OnEntry, OpenLog } from './entry-log.js'
import { FrameEncoder, HEADER_TYPE, seedOfFile } from './frame.js'
import { GroupLog, type Group, type GroupStore } from './group-log.js'
import { damageError, ensureFolder, LOG_COMPONENT, newerOwnerError } from './log-folder.js'
import {
  firstOf,
  headerOf,
  objectName,
  objectNames,
  ObjectsReader,
  type ObjectEnd,
  type ObjectHeader,
  type ObjectsRead,
} from './object-files.js'

/** What is larger goes into several objects: each is built in memory. */
const OBJECT_BYTES = 2 ** 23

/**
 * Opens the object log in `folder` for its new owner. It puts an object without entries behind what it read. If the old
 * owner was quicker, its object is read, too, and the next place is tried.
 */
export const openObjectLog: OpenLog = async (options, onEntry): Promise<EntryLog> => {
  await ensureFolder(options)
  const reader = new ObjectsReader(options, onEntry)
  let read = await reader.readAll()
  for (;;) {
    if (read.damage !== undefined) throw damageError(read.damage)
    if (read.epoch >= options.epoch) throw newerOwnerError(options.folder, read.epoch, options.epoch)
    const store = new ObjectStore(read, options)
    if (await store.begin(read.nextSequence)) return new GroupLog(store, read.nextSequence + 1)
    await reader.add(objectName(read.nextSequence))
    read = reader.read
  }
}

/** Reads the object log in `folder` and changes nothing. */
export const inspectObjectLog: InspectLog = async (
  location,
  onEntry: OnEntry = () => undefined,
): Promise<LogReport> => {
  const reader = new ObjectsReader(location, onEntry)
  const isThere = (await location.fileSystem.stat(location.folder)) !== undefined
  const { entries, bytes, firstSequence, lastSequence, damage } = isThere ? await reader.readAll() : reader.read
  return { entries, bytes, firstSequence, lastSequence, damage, tornBytes: 0 }
}

/** As many payloads from `from` on as one object should hold, at least one. */
function partOf(payloads: readonly Uint8Array[], from: number): readonly Uint8Array[] {
  let bytes = 0
  const to = payloads.findIndex((payload, i) => {
    if (i >= from) bytes += payload.byteLength
    return i > from && bytes > OBJECT_BYTES
  })
  return payloads.slice(from, to === -1 ? undefined : to)
}

class ObjectStore implements GroupStore {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  readonly #epoch: number
  readonly #logger: Logger
  readonly #writer: string
  readonly #encoder: FrameEncoder
  /** The log's objects, oldest first. */
  readonly #names: string[]
  #end: ObjectEnd | undefined
  /** First sequence of the oldest object that is needed; what the last object says of it. Only below that may names be free. */
  #oldest: number
  #oldestTold = 0
  #objects = 0
  #bytes = 0

  constructor(read: ObjectsRead, { fileSystem, folder, epoch, logger, writer = newIdentity() }: LogOptions) {
    this.#fileSystem = fileSystem
    this.#folder = folder
    this.#epoch = epoch
    this.#logger = logger
    this.#writer = writer
    this.#names = [...read.names]
    this.#end = read.end
    this.#oldest = firstOf(read.names[0] ?? objectName(read.nextSequence))
    this.#encoder = new FrameEncoder(0, read.end?.crc ?? 0)
  }

  get written(): GroupStore['written'] {
    return { syncs: this.#objects, bytes: this.#bytes }
  }

  /** Puts this owner's first object at `sequence`; false when an owner before it has just taken that place. */
  async begin(sequence: number): Promise<boolean> {
    this.#startObject(sequence, 0)
    const standing = await this.#put(sequence, this.#end?.last ?? 0)
    return standing === undefined
  }

  async write({ first, types, payloads }: Group): Promise<void> {
    for (let from = 0; from < payloads.length;) {
      const part = partOf(payloads, from)
      const synced = first + from - 1
      this.#startObject(first + from, part.length)
      for (const [i, payload] of part.entries()) {
        const at = from + i
        this.#encoder.add({ type: types[at] ?? 0, epoch: this.#epoch, sequence: first + at, synced }, payload)
      }
      from += part.length
      const standing = await this.#put(synced + 1, first + from - 1)
      if (standing !== undefined) throw this.#intruder(synced + 1)
    }
  }

  #startObject(first: number, entries: number): void {
    const previous = this.#end
    const header: ObjectHeader = { epoch: this.#epoch, writer: this.#writer, entries, oldest: this.#oldest, previous }
    const fields = { type: HEADER_TYPE, epoch: this.#epoch, sequence: first, synced: this.#end?.last ?? 0 }
    this.#encoder.clear()
    this.#encoder.switchFile(seedOfFile(objectName(first)))
    this.#encoder.add(fields, Buffer.from(JSON.stringify(header)))
  }

  /**
   * Puts the encoded object in its place. Where the place is taken, or the answer was lost, what stands there decides. Gives
   * the header of an older owner's object. Rejects with `FENCED` for a newer owner's.
   */
  async #put(first: number, last: number): Promise<ObjectHeader | undefined> {
    const name = objectName(first)
    const { bytes, chain } = this.#encoder
    const oldest = this.#oldest
    try {
      await this.#fileSystem.create(joinPath(this.#folder, name), bytes)
    } catch (error) {
      const standing = await headerOf(this.#fileSystem, this.#folder, name).catch(() => undefined)
      if (standing === undefined) throw error
      if (standing.epoch > this.#epoch) throw newerOwnerError(this.#folder, standing.epoch, this.#epoch)
      if (standing.writer !== this.#writer) return standing
    }
    await this.#fileSystem.syncDirectory(this.#folder)
    this.#end = { name, last, crc: chain }
    this.#names.push(name)
    this.#oldestTold = oldest
    this.#objects++
    this.#bytes += bytes.byteLength
    return undefined
  }

  /**
   * Behind this owner's first object no older owner can put one, unless a listing was stale. Its entries do not count, but
   * sequences already given out would have to change.
   */
  #intruder(sequence: number): SluiceError {
    const message = `an owner that was replaced has written ${objectName(sequence)} in ${this.#folder}; start again, it will be passed over`
    this.#logger.error(message)
    return new SluiceError({ code: 'FENCED', component: LOG_COMPONENT, message, retryable: true })
  }

  /** What an object put later does not name as needed goes now; the rest when the next object has said so. */
  async trim(sequence: number): Promise<void> {
    const needed = this.#names.findLast((name) => firstOf(name) <= sequence)
    if (needed !== undefined) this.#oldest = Math.max(this.#oldest, firstOf(needed))
    const told = this.#oldestTold
    if (!this.#names.some((name) => firstOf(name) < told)) return
    await this.#removeStrangers()
    for (let oldest = this.#names[0]; oldest !== undefined && firstOf(oldest) < told; oldest = this.#names[0]) {
      await this.#remove(oldest)
      this.#names.shift()
    }
  }

  /** Objects of replaced owners go first: later they could not be told from what is left below a hole. */
  async #removeStrangers(): Promise<void> {
    const ours = new Set(this.#names)
    const before = this.#names.at(-1) ?? ''
    for (const name of await objectNames(this.#fileSystem, this.#folder))
      if (!ours.has(name) && name < before) await this.#remove(name)
  }

  /** Removals must be durable in their order, so that a hole always means a loss. */
  async #remove(name: string): Promise<void> {
    await this.#fileSystem.remove(joinPath(this.#folder, name))
    await this.#fileSystem.syncDirectory(this.#folder)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
