/**
 * Reads an object log: immutable objects, each a group of entries, named by its first sequence. An owner begins with an object
 * without entries, which takes a sequence of its own: it stands where the old owner's next object would.
 */
import { joinPath } from '../storage/paths.js'
import type { FileSystem } from '../storage/file-system.js'
import type { LogLocation, LogReport, OnEntry } from './entry-log.js'
import { frameAt, HEADER_TYPE, seedOfFile, type Frame } from './frame.js'
import { FrameReader } from './frame-reader.js'

// Sixteen digits hold every safe whole number.
const NAME = /^(\d{16})\.group$/
const HEADER_READ_BYTES = 4_096

/** The object before another one, as that one knows it. */
export interface ObjectEnd {
  readonly name: string
  /** Sequence of the last entry: the last that is accepted from an older epoch. */
  readonly last: number
  /** CRC32 of the last frame. */
  readonly crc: number
}

/** Payload of an object's first frame, as JSON. */
export interface ObjectHeader {
  readonly epoch: number
  /** Random, one for each writer: by it a writer knows its own object again. */
  readonly writer: string
  /** How many entries follow: an object that was cut between two of them is damaged, too. */
  readonly entries: number
  /**
   * First sequence of the oldest object that still belonged to the log. What stands below is left over, or was put there by a
   * replaced owner who woke when its place was free again (E7). Missing in logs of older versions.
   */
  readonly oldest?: number | undefined
  /** Missing in the first object of a log. */
  readonly previous?: ObjectEnd | undefined
}

export interface ObjectsRead {
  /** The log's objects, oldest first. */
  readonly names: readonly string[]
  /** Objects of fenced owners. */
  readonly others: readonly string[]
  readonly bytes: number
  readonly entries: number
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
  readonly damage: LogReport['damage']
  readonly end: ObjectEnd | undefined
  readonly epoch: number
  /** Above every sequence that was seen. */
  readonly nextSequence: number
}

export function objectName(first: number): string {
  return `${String(first).padStart(16, '0')}.group`
}

export function firstOf(name: string): number {
  return Number(NAME.exec(name)?.[1])
}

export async function objectNames(fileSystem: FileSystem, folder: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name, kind } of fileSystem.list(folder)) if (kind === 'file' && NAME.test(name)) names.push(name)
  return names.sort()
}

/** Who wrote an object; undefined where it is not there or its header is damaged. */
export async function headerOf(
  fileSystem: FileSystem,
  folder: string,
  name: string,
): Promise<ObjectHeader | undefined> {
  const path = joinPath(folder, name)
  if ((await fileSystem.stat(path)) === undefined) return undefined
  const bytes = await fileSystem.read(path, { start: 0, length: HEADER_READ_BYTES })
  return headerIn(frameAt(bytes, 0, seedOfFile(name)))
}

function headerIn(frame: Frame | undefined): ObjectHeader | undefined {
  if (frame?.type !== HEADER_TYPE) return undefined
  return JSON.parse(Buffer.from(frame.payload).toString()) as ObjectHeader
}

/** Reads objects one by one, in order. An object is there whole or not at all: whatever is wrong with one is damage (E17). */
export class ObjectsReader {
  readonly #location: LogLocation
  readonly #onEntry: OnEntry
  readonly #names: string[] = []
  readonly #others: string[] = []
  #bytes = 0
  #entries = 0
  #firstSequence: number | undefined
  #lastSequence: number | undefined
  #damage: LogReport['damage']
  #end: ObjectEnd | undefined
  #epoch = 0
  #highest = 0

  constructor(location: LogLocation, onEntry: OnEntry) {
    this.#location = location
    this.#onEntry = onEntry
  }

  get read(): ObjectsRead {
    return {
      names: this.#names,
      others: this.#others,
      bytes: this.#bytes,
      entries: this.#entries,
      firstSequence: this.#firstSequence,
      lastSequence: this.#lastSequence,
      damage: this.#damage,
      end: this.#end,
      epoch: this.#epoch,
      nextSequence: this.#highest + 1,
    }
  }

  async readAll(): Promise<ObjectsRead> {
    const { fileSystem, folder } = this.#location
    const names = await objectNames(fileSystem, folder)
    // The last one was put by the newest owner: where a replaced one may write, newer objects follow.
    const last = names.at(-1)
    const { oldest = 0 } = (last === undefined ? undefined : await headerOf(fileSystem, folder, last)) ?? {}
    this.#others.push(...names.filter((name) => firstOf(name) < oldest))
    for (const name of names.slice(this.#others.length)) {
      await this.add(name)
      if (this.#damage !== undefined) break
    }
    return this.read
  }

  /** Takes up the next object. */
  async add(name: string): Promise<void> {
    const { fileSystem, folder } = this.#location
    const path = joinPath(folder, name)
    const size = (await fileSystem.stat(path))?.sizeBytes
    // Trimmed since it was listed. A hole further on is found by the object behind it.
    if (size === undefined) return
    this.#highest = Math.max(this.#highest, firstOf(name))
    const reader = new FrameReader(fileSystem, path, seedOfFile(name), 0, size)
    const [first, ...frames] = await reader.next()
    const header = headerIn(first)
    if (first === undefined || header === undefined) return this.#damaged(path, 0, 'the header is damaged')
    if (header.epoch < this.#epoch) return void this.#others.push(name)
    const before = header.previous
    if (this.#end !== undefined && before?.crc !== this.#end.crc && (await this.#isHole(this.#end)))
      return this.#damaged(joinPath(folder, before?.name ?? ''), 0, 'the file is not there, or not the one that was')
    this.#epoch = header.epoch
    this.#end = { name, last: before?.last ?? 0, crc: first.crc }
    const entriesBefore = this.#entries
    await this.#readEntries(path, name, reader, frames)
    if (this.#entries - entriesBefore !== header.entries) this.#damaged(path, reader.offset, 'the file is cut')
    this.#names.push(name)
    this.#bytes += size
  }

  /** Objects are removed oldest first: where an older one is still there, one behind it was lost, not trimmed. */
  async #isHole({ name }: ObjectEnd): Promise<boolean> {
    const { fileSystem, folder } = this.#location
    return (await fileSystem.stat(joinPath(folder, name))) !== undefined
  }

  async #readEntries(path: string, name: string, reader: FrameReader, begun: readonly Frame[]): Promise<void> {
    let expected = firstOf(name)
    for (let frames = begun; ;) {
      for (const frame of frames) {
        if (frame.sequence !== expected++ || frame.previous !== this.#end?.crc)
          return this.#damaged(path, 0, `entry ${String(expected - 1)} does not follow the one before`)
        const given = this.#take(name, frame)
        if (given !== undefined) await given
      }
      frames = await reader.next()
      if (frames.length === 0) break
    }
    if (reader.stopped !== undefined) this.#damaged(path, reader.offset, reader.stopped)
  }

  #take(name: string, { type, epoch, sequence, payload, crc }: Frame): void | Promise<void> {
    this.#end = { name, last: sequence, crc }
    this.#highest = Math.max(this.#highest, sequence)
    this.#firstSequence ??= sequence
    this.#lastSequence = sequence
    this.#entries++
    return this.#onEntry({ sequence, type, epoch, payload })
  }

  #damaged(file: string, offset: number, reason: string): void {
    this.#damage ??= { file, offset, reason }
  }
}
