/** Reads a segment log, and tells a torn tail from damage (E17). */
import type { FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import type { LogEntry, LogLocation, LogReport, OnEntry } from './entry-log.js'
import { FRAME_HEADER_BYTES, HEADER_TYPE, seedOfFile, soundFrames, type Frame } from './frame.js'
import { FrameReader } from './frame-reader.js'
import {
  chainOf,
  isNewer,
  segmentFiles,
  type ChainedSegment,
  type SegmentChain,
  type SegmentEnd,
  type SegmentFile,
} from './segment-files.js'

export interface SegmentsRead {
  readonly chain: SegmentChain
  readonly entries: number
  readonly firstSequence: number | undefined
  readonly damage: LogReport['damage']
  readonly tornBytes: number
  readonly lastSequence: number | undefined
  /** How far the log is known to be durable; undefined for a log without any segment. */
  readonly proven: SegmentEnd | undefined
  /** The entries behind that: nothing after them says that they were synced. */
  readonly unproven: readonly LogEntry[]
  /** Above every sequence that was seen anywhere, also in what is ignored. */
  readonly nextSequence: number
}

type Damage = NonNullable<LogReport['damage']>

/** Reads what is there and gives entries in order until damage is met. Changes nothing. */
export async function readSegments({ fileSystem, folder }: LogLocation, onEntry: OnEntry): Promise<SegmentsRead> {
  const chain = chainOf(await segmentFiles(fileSystem, folder))
  return await new SegmentsReading(fileSystem, folder, chain, onEntry).run()
}

/** What can be found where no frame is expected any more. */
interface Findings {
  /** The highest synced mark. */
  readonly synced: number
  readonly sequence: number
}

class SegmentsReading {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  readonly #chain: SegmentChain
  readonly #onEntry: OnEntry
  #entries = 0
  #firstSequence: number | undefined
  #end: SegmentEnd | undefined
  #proven: SegmentEnd | undefined
  #unproven: LogEntry[] = []
  #highest = 0
  #tornBytes = 0

  constructor(fileSystem: FileSystem, folder: string, chain: SegmentChain, onEntry: OnEntry) {
    this.#fileSystem = fileSystem
    this.#folder = folder
    this.#chain = chain
    this.#onEntry = onEntry
  }

  async run(): Promise<SegmentsRead> {
    const damage = this.#missing() ?? (await this.#readChain()) ?? (await this.#readOthers())
    return {
      chain: this.#chain,
      entries: this.#entries,
      firstSequence: this.#firstSequence,
      damage,
      tornBytes: this.#tornBytes,
      lastSequence: this.#entries === 0 ? undefined : this.#end?.last,
      proven: this.#proven,
      unproven: this.#unproven,
      nextSequence: this.#highest + 1,
    }
  }

  #missing(): Damage | undefined {
    const { missing } = this.#chain
    return missing === undefined
      ? undefined
      : { file: joinPath(this.#folder, missing), offset: 0, reason: 'the file is not there' }
  }

  async #readChain(): Promise<Damage | undefined> {
    for (const segment of this.#chain.segments) {
      const damage = segment.end === undefined ? await this.#readLast(segment.file) : await this.#readWhole(segment)
      if (damage !== undefined) return damage
    }
    return undefined
  }

  /** A segment that another one follows: all of it, as far as that one says, was durable. */
  async #readWhole({ file, end }: ChainedSegment): Promise<Damage | undefined> {
    const bytes = end?.bytes ?? 0
    const stopped = await this.#readFrames(file, bytes)
    if (stopped !== undefined) return { file: file.path, ...stopped }
    if (this.#end?.last !== end?.last || this.#end?.crc !== end?.crc)
      return { file: file.path, offset: bytes, reason: 'it ends with another frame than the next segment names' }
    if (file.sizeBytes > bytes) await this.#find(file, bytes)
    return undefined
  }

  /** The newest segment: it may end in the middle of what was being written. */
  async #readLast(file: SegmentFile): Promise<Damage | undefined> {
    const stopped = await this.#readFrames(file, file.sizeBytes)
    if (stopped === undefined) return undefined
    const expected = (this.#end?.last ?? 0) + 1
    const found = [await this.#find(file, stopped.offset + 1)]
    for (const other of this.#chain.others) if (isNewer(other, file)) found.push(await this.#find(other, 0))
    if (found.some(({ synced }) => synced >= expected)) return { file: file.path, ...stopped }
    this.#tornBytes += file.sizeBytes - stopped.offset
    return undefined
  }

  /** Files without a header: torn when they were begun, unless something in them was known to be durable. */
  async #readOthers(): Promise<Damage | undefined> {
    const last = this.#chain.segments.at(-1)?.file
    for (const file of this.#chain.others) {
      this.#see(file.first - 1)
      const { synced } = await this.#find(file, 0)
      if (last !== undefined && !isNewer(file, last)) continue
      if (synced >= file.first) return { file: file.path, offset: 0, reason: 'the header is damaged' }
      this.#tornBytes += file.sizeBytes
    }
    return undefined
  }

  async #find(file: SegmentFile, start: number): Promise<Findings> {
    let synced = 0
    let sequence = 0
    if (start >= file.sizeBytes) return { synced, sequence }
    const bytes = await this.#fileSystem.read(file.path, { start, length: file.sizeBytes - start })
    for (const frame of soundFrames(bytes, seedOfFile(file.name))) {
      if (frame.epoch > file.epoch) continue
      synced = Math.max(synced, frame.synced)
      sequence = Math.max(sequence, frame.sequence)
    }
    this.#see(sequence)
    return { synced, sequence }
  }

  #see(sequence: number): void {
    if (sequence > this.#highest) this.#highest = sequence
  }

  /** Gives the entries of `[0, limit)`; says where and why it stopped before. */
  async #readFrames(file: SegmentFile, limit: number): Promise<Omit<Damage, 'file'> | undefined> {
    const { start } = file
    this.#see(file.first - 1)
    if (start === undefined) return { offset: 0, reason: 'the header is damaged' }
    const { previous } = start.header
    this.#end = { name: file.name, bytes: start.bytes, last: previous?.last ?? 0, crc: start.crc }
    // That segment's end was durable before this one began. Whether this one is, only what follows its first group tells.
    this.#prove(previous)
    const reader = new FrameReader(this.#fileSystem, file.path, seedOfFile(file.name), start.bytes, limit)
    for (let frames = await reader.next(); frames.length > 0; frames = await reader.next()) {
      for (const frame of frames) {
        if (!follows(frame, file, this.#end))
          return { offset: this.#end.bytes, reason: 'the frame does not follow the one before' }
        const given = this.#take(file, frame)
        if (given !== undefined) await given
      }
    }
    return reader.stopped === undefined ? undefined : { offset: reader.offset, reason: reader.stopped }
  }

  #take(file: SegmentFile, { type, epoch, sequence, synced, payload, crc }: Frame): void | Promise<void> {
    const before = this.#end
    if (before !== undefined && synced >= before.last && synced >= file.first) this.#prove(before)
    const bytes = (before?.bytes ?? 0) + FRAME_HEADER_BYTES + payload.byteLength
    this.#end = { name: file.name, bytes, last: sequence, crc }
    this.#see(sequence)
    this.#firstSequence ??= sequence
    this.#entries++
    const entry = { sequence, type, epoch, payload }
    this.#unproven.push(entry)
    return this.#onEntry(entry)
  }

  #prove(end: SegmentEnd | undefined): void {
    this.#proven = end
    if (this.#unproven.length > 0) this.#unproven = []
  }
}

/** Sequences may leave some out where a new owner began; what was written again keeps the epoch of its first writer. */
function follows(frame: Frame, file: SegmentFile, before: SegmentEnd): boolean {
  if (frame.type === HEADER_TYPE || frame.previous !== before.crc) return false
  return frame.sequence > before.last && frame.sequence >= file.first && frame.epoch <= file.epoch
}
