/** The files of a segment log: their names, their headers, and which of them make up the log. */
import { joinPath } from '../storage/paths.js'
import type { FileSystem } from '../storage/file-system.js'
import { frameAt, HEADER_TYPE, seedOfFile } from './frame.js'

// Sixteen digits hold every safe whole number.
const NAME = /^(\d{16})-(\d{10})\.log$/
/** A header's frame is far smaller. */
const HEADER_READ_BYTES = 4_096

/** Where a segment ended, as the next one knows it. All of this was durable before the next one began. */
export interface SegmentEnd {
  readonly name: string
  /** Behind these bytes there is nothing: a torn tail, or what an old owner wrote after it was replaced (E7). */
  readonly bytes: number
  /** Sequence of the last entry; the last that is accepted from this owner. */
  readonly last: number
  /** CRC32 of the last frame. */
  readonly crc: number
}

/** Payload of a segment's first frame, as JSON. */
export interface SegmentHeader {
  readonly first: number
  readonly epoch: number
  /** Missing in the first segment of a log. */
  readonly previous?: SegmentEnd | undefined
}

export interface SegmentFile {
  readonly name: string
  readonly path: string
  /** As the name says. */
  readonly first: number
  readonly epoch: number
  readonly sizeBytes: number
  /** Undefined where it is damaged or not all there. */
  readonly start: { readonly header: SegmentHeader; readonly bytes: number; readonly crc: number } | undefined
}

/** A segment of the log, and where it ends if the next one says so. */
export interface ChainedSegment {
  readonly file: SegmentFile
  readonly end: SegmentEnd | undefined
}

export interface SegmentChain {
  /** The log, oldest first. */
  readonly segments: readonly ChainedSegment[]
  /** Files that are no part of it: never begun, or written by an old owner after it was replaced. */
  readonly others: readonly SegmentFile[]
  /** A segment that must be there, and is not. */
  readonly missing: string | undefined
}

export function segmentName(first: number, epoch: number): string {
  return `${String(first).padStart(16, '0')}-${String(epoch).padStart(10, '0')}.log`
}

/** The segment files of a folder, by first sequence and epoch. */
export async function segmentFiles(fileSystem: FileSystem, folder: string): Promise<SegmentFile[]> {
  const names: string[] = []
  for await (const { name, kind } of fileSystem.list(folder)) if (kind === 'file' && NAME.test(name)) names.push(name)
  const files: SegmentFile[] = []
  for (const name of names.sort()) {
    const file = await segmentFile(fileSystem, folder, name)
    if (file !== undefined) files.push(file)
  }
  return files
}

async function segmentFile(fileSystem: FileSystem, folder: string, name: string): Promise<SegmentFile | undefined> {
  const path = joinPath(folder, name)
  const stat = await fileSystem.stat(path)
  if (stat === undefined) return undefined
  const [, first, epoch] = NAME.exec(name) ?? []
  const start = headerIn(await fileSystem.read(path, { start: 0, length: HEADER_READ_BYTES }), name)
  return { name, path, first: Number(first), epoch: Number(epoch), sizeBytes: stat.sizeBytes, start }
}

function headerIn(bytes: Uint8Array, name: string): SegmentFile['start'] {
  const frame = frameAt(bytes, 0, seedOfFile(name))
  if (frame?.type !== HEADER_TYPE) return undefined
  const header = JSON.parse(Buffer.from(frame.payload).toString()) as SegmentHeader
  return { header, bytes: frame.payload.byteOffset - bytes.byteOffset + frame.payload.byteLength, crc: frame.crc }
}

/** Later epochs come later, and of one epoch the higher sequences. */
export function isNewer(a: SegmentFile, b: SegmentFile): boolean {
  return a.epoch === b.epoch ? a.first > b.first : a.epoch > b.epoch
}

/**
 * Follows the headers back from the newest one. What they do not lead to is no part of the log, with one exception: older
 * segments below a hole. Segments are removed oldest first, so a hole means that one was lost.
 */
export function chainOf(files: readonly SegmentFile[]): SegmentChain {
  const byName = new Map(files.map((file) => [file.name, file]))
  const newest = files.reduce<SegmentFile | undefined>(
    (best, file) => (file.start !== undefined && (best === undefined || isNewer(file, best)) ? file : best),
    undefined,
  )
  const segments: ChainedSegment[] = []
  let end: SegmentEnd | undefined
  for (let file = newest; file !== undefined;) {
    segments.unshift({ file, end })
    byName.delete(file.name)
    end = file.start?.header.previous
    file = end === undefined ? undefined : byName.get(end.name)
  }
  const others = [...byName.values()]
  const oldest = segments[0]?.file
  const isBelow = (file: SegmentFile): boolean =>
    oldest !== undefined && file.start !== undefined && file.first < oldest.first && file.epoch <= oldest.epoch
  // A damaged header ends the way back; that it is damaged is found when the segment is read.
  const hole = oldest?.start !== undefined && others.some(isBelow)
  return { segments, others, missing: hole ? end?.name : undefined }
}
