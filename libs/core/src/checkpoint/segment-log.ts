/** The log as segments that grow: for file systems that can append and sync. */
import type { AppendFile, FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import type { EntryLog, InspectLog, LogOptions, LogReport, OnEntry, OpenLog } from './entry-log.js'
import { FrameEncoder, HEADER_TYPE, seedOfFile } from './frame.js'
import { GroupLog, type Group, type GroupStore } from './group-log.js'
import { damageError, ensureFolder, LOG_COMPONENT, newerOwnerError } from './log-folder.js'
import { segmentFiles, segmentName, type SegmentHeader } from './segment-files.js'
import { readSegments, type SegmentsRead } from './segment-reader.js'

const DEFAULT_SEGMENT_BYTES = 2 ** 26
// Larger payloads are not copied next to others: a write of their own costs less.
const LARGE_PAYLOAD_BYTES = 2 ** 16

/**
 * Opens the segment log in `folder` for its new owner. Its first segment says how far the older ones count: as far as they are
 * known to be durable. Entries behind that are written again; after them neither a torn tail nor what an old owner still
 * writes is ever looked at. (To sync the old file would not do: after a failed sync another one succeeds with nothing written.)
 */
export const openSegmentLog: OpenLog = async (options, onEntry): Promise<EntryLog> => {
  await ensureFolder(options)
  const read = await readSegments(options, onEntry)
  if (read.damage !== undefined) throw damageError(read.damage)
  requireNewestOwner(read, options)
  const store = await SegmentStore.open(read, options)
  if (read.tornBytes > 0)
    options.logger.warn(`[${LOG_COMPONENT}] cut ${String(read.tornBytes)} bytes of entries that were never durable`)
  return new GroupLog(store, read.nextSequence)
}

/** Reads the segment log in `folder` and changes nothing. */
export const inspectSegmentLog: InspectLog = async (
  location,
  onEntry: OnEntry = () => undefined,
): Promise<LogReport> => {
  if ((await location.fileSystem.stat(location.folder)) === undefined) return reportOf(NOTHING_READ)
  return reportOf(await readSegments(location, onEntry))
}

const NOTHING_READ: SegmentsRead = {
  chain: { segments: [], others: [], missing: undefined },
  entries: 0,
  firstSequence: undefined,
  damage: undefined,
  tornBytes: 0,
  lastSequence: undefined,
  proven: undefined,
  unproven: [],
  nextSequence: 1,
}

function reportOf({ chain, entries, firstSequence, lastSequence, damage, tornBytes }: SegmentsRead): LogReport {
  const bytes = chain.segments.reduce((sum, { file, end }) => sum + (end?.bytes ?? file.sizeBytes), 0)
  return { entries, bytes, firstSequence, lastSequence, damage, tornBytes }
}

/** Whoever comes with an epoch that is not above all others is not the owner any more. */
function requireNewestOwner({ chain }: SegmentsRead, { epoch, folder }: LogOptions): void {
  const files = [...chain.segments.map(({ file }) => file), ...chain.others]
  const highest = Math.max(0, ...files.map((file) => file.epoch))
  if (epoch <= highest) throw newerOwnerError(folder, highest, epoch)
}

interface OpenSegment {
  readonly name: string
  readonly first: number
  readonly file: AppendFile
}

/** What a new owner begins with. */
interface BegunLog {
  readonly open: OpenSegment
  readonly older: readonly { readonly name: string; readonly first: number }[]
  /** CRC32 of the last frame. */
  readonly crc: number
  readonly last: number
}

class SegmentStore implements GroupStore {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  readonly #epoch: number
  readonly #segmentBytes: number
  readonly #encoder: FrameEncoder
  /** Names and first sequences of the log's segments, the open one included, oldest first. */
  readonly #segments: { readonly name: string; readonly first: number }[]
  #open: OpenSegment
  #next: Promise<OpenSegment> | undefined
  #sizeBytes: number
  #last: number
  #syncs = 1
  #bytes: number

  private constructor({ fileSystem, folder, epoch, segmentBytes }: LogOptions, begun: BegunLog) {
    this.#fileSystem = fileSystem
    this.#folder = folder
    this.#epoch = epoch
    this.#segmentBytes = segmentBytes ?? DEFAULT_SEGMENT_BYTES
    this.#segments = [...begun.older, begun.open]
    this.#open = begun.open
    this.#encoder = new FrameEncoder(seedOfFile(begun.open.name), begun.crc)
    this.#sizeBytes = begun.open.file.sizeBytes
    this.#bytes = this.#sizeBytes
    this.#last = begun.last
  }

  /** Makes the new owner's first segment. It is there whole or not at all. */
  static async open(read: SegmentsRead, options: LogOptions): Promise<SegmentStore> {
    const { fileSystem, folder, epoch } = options
    const { proven, unproven } = read
    const first = unproven[0]?.sequence ?? read.nextSequence
    const name = segmentName(first, epoch)
    const encoder = new FrameEncoder(seedOfFile(name), proven?.crc ?? 0)
    addHeader(encoder, { first, epoch, previous: proven })
    const synced = proven?.last ?? 0
    for (const entry of unproven) encoder.add({ ...entry, synced }, entry.payload)
    await fileSystem.create(joinPath(folder, name), encoder.bytes)
    await fileSystem.syncDirectory(folder)
    const open = await openSegment(options, first)
    // What is not known to be durable was written again: its segments are no part of the log any more.
    const names = read.chain.segments.map(({ file }) => file)
    const older = names.slice(0, names.findIndex((file) => file.name === proven?.name) + 1)
    return new SegmentStore(options, { open, older, crc: encoder.chain, last: unproven.at(-1)?.sequence ?? synced })
  }

  get written(): GroupStore['written'] {
    return { syncs: this.#syncs, bytes: this.#bytes }
  }

  async write(group: Group): Promise<void> {
    if (this.#next !== undefined) await this.#rotate(this.#next)
    const { first, types, payloads } = group
    for (const [i, payload] of payloads.entries()) {
      const fields = { type: types[i] ?? 0, epoch: this.#epoch, sequence: first + i, synced: this.#last }
      if (payload.byteLength > LARGE_PAYLOAD_BYTES) await this.#writeLarge(fields, payload)
      else {
        if (!this.#encoder.hasRoom(payload.byteLength)) await this.#flush()
        this.#encoder.add(fields, payload)
      }
    }
    await this.#flush()
    const last = first + payloads.length - 1
    // While this group is synced the next file is made, so that nobody waits for it.
    if (this.#sizeBytes >= this.#segmentBytes) this.#next = this.#openAhead(last + 1)
    await this.#sync()
    this.#last = last
  }

  async #writeLarge(fields: Parameters<FrameEncoder['add']>[0], payload: Uint8Array): Promise<void> {
    if (!this.#encoder.hasRoom(0)) await this.#flush()
    this.#encoder.addHeadOf(fields, payload)
    await this.#flush()
    await this.#append(payload)
  }

  #openAhead(first: number): Promise<OpenSegment> {
    const opening = openSegment({ fileSystem: this.#fileSystem, folder: this.#folder, epoch: this.#epoch }, first).then(
      async (segment) => {
        await this.#fileSystem.syncDirectory(this.#folder)
        return segment
      },
    )
    // Whoever writes next is told.
    opening.catch(() => undefined)
    return opening
  }

  /** Goes on in the next segment. Its header is written together with its first group. */
  async #rotate(opening: Promise<OpenSegment>): Promise<void> {
    const next = await opening
    const { name, file } = this.#open
    const end = { name, bytes: this.#sizeBytes, last: this.#last, crc: this.#encoder.chain }
    this.#next = undefined
    this.#open = next
    this.#segments.push(next)
    this.#sizeBytes = 0
    this.#encoder.switchFile(seedOfFile(next.name))
    addHeader(this.#encoder, { first: next.first, epoch: this.#epoch, previous: end })
    // All of it is synced.
    await file.close()
  }

  async #flush(): Promise<void> {
    const { bytes } = this.#encoder
    if (bytes.byteLength > 0) await this.#append(bytes)
    this.#encoder.clear()
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#open.file.append(bytes)
    this.#sizeBytes += bytes.byteLength
    this.#bytes += bytes.byteLength
  }

  async #sync(): Promise<void> {
    await this.#open.file.sync()
    this.#syncs++
  }

  async trim(sequence: number): Promise<void> {
    if (!this.#canDropOldest(sequence)) return
    await this.#removeStrangers()
    while (this.#canDropOldest(sequence)) {
      const oldest = this.#segments[0]
      if (oldest === undefined) return
      await this.#remove(oldest.name)
      this.#segments.shift()
    }
  }

  #canDropOldest(sequence: number): boolean {
    const second = this.#segments[1]
    return second !== undefined && second.first <= sequence
  }

  /** What is no part of the log goes first: later it could not be told from what is left below a hole. */
  async #removeStrangers(): Promise<void> {
    const chained = new Set(this.#segments.map(({ name }) => name))
    for (const { name, epoch } of await segmentFiles(this.#fileSystem, this.#folder))
      if (epoch !== this.#epoch && !chained.has(name)) await this.#remove(name)
  }

  /** Removals must reach the disk in their order, so that a hole always means a loss. */
  async #remove(name: string): Promise<void> {
    await this.#fileSystem.remove(joinPath(this.#folder, name))
    await this.#fileSystem.syncDirectory(this.#folder)
  }

  async close(): Promise<void> {
    const ahead = await this.#next?.catch(() => undefined)
    await ahead?.file.close()
    await this.#open.file.close()
  }
}

async function openSegment(
  { fileSystem, folder, epoch }: Pick<LogOptions, 'fileSystem' | 'folder' | 'epoch'>,
  first: number,
): Promise<OpenSegment> {
  const name = segmentName(first, epoch)
  return { name, first, file: await fileSystem.openAppend(joinPath(folder, name)) }
}

function addHeader(encoder: FrameEncoder, header: SegmentHeader): void {
  const { first, epoch, previous } = header
  const fields = { type: HEADER_TYPE, epoch, sequence: first, synced: previous?.last ?? 0 }
  encoder.add(fields, Buffer.from(JSON.stringify(header)))
}
