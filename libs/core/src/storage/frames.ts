/** Files of record chunks: each chunk is a frame of four bytes of length (little endian) and one encoded block. */
import { SluiceError } from '../errors.js'
import { decodeRecords, encodeRecords } from './codec.js'
import type { AppendFile, FileSystem } from './file-system.js'
import { estimateBytes } from './size-estimate.js'

const HEADER_BYTES = 4
const READ_BYTES = 256 * 1024
const WRITE_BYTES = 256 * 1024
// A frame is decoded at once: this bounds what a reader holds, also where records are large.
const MAX_FRAME_BYTES = 4 * 2 ** 20

/** How many records a frame gets when nobody says otherwise. */
export const DEFAULT_CHUNK_RECORDS = 1_024

/** Encodes records as frames of at most `chunkRecords` records, fewer where they are large. Throws `UNSERIALIZABLE`. */
export function* framesOf(records: readonly unknown[], chunkRecords: number): Generator<Uint8Array, void, undefined> {
  const recordBytes = estimateBytes(records) / Math.max(1, records.length)
  const fitting = Math.max(1, Math.floor(MAX_FRAME_BYTES / Math.max(1, recordBytes)))
  const step = Math.min(chunkRecords, fitting)
  for (let from = 0; from < records.length; from += step) {
    const payload = encodeRecords(from === 0 && records.length <= step ? records : records.slice(from, from + step))
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32LE(payload.byteLength)
    yield header
    yield payload
  }
}

/** Gathers small pieces and appends them together. Calls are made one at a time. */
export class FrameWriter {
  readonly #file: AppendFile
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #writtenBytes = 0

  constructor(file: AppendFile) {
    this.#file = file
  }

  /** Bytes that were appended to the file, those still gathered not included. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  async write(pieces: Iterable<Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      this.#pending.push(piece)
      this.#pendingBytes += piece.byteLength
      if (this.#pendingBytes >= WRITE_BYTES) await this.flush()
    }
  }

  async flush(): Promise<void> {
    if (this.#pendingBytes === 0) return
    const data = Buffer.concat(this.#pending, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    await this.#file.append(data)
    this.#writtenBytes += data.byteLength
  }
}

/**
 * Writes a new file of frames and gives its size in bytes. Where it fails, the file is removed. Not synced: what is in a
 * block store does not outlive its process.
 */
export async function writeFrameFile(
  fileSystem: FileSystem,
  path: string,
  records: readonly unknown[],
  chunkRecords: number,
): Promise<number> {
  const file = await fileSystem.openAppend(path)
  try {
    const writer = new FrameWriter(file)
    await writer.write(framesOf(records, chunkRecords))
    await writer.flush()
    await file.close()
    return writer.writtenBytes
  } catch (error) {
    await discardFile(fileSystem, path, file)
    throw error
  }
}

/** Closes and removes a file that is of no use. Its folder is removed in the end: what fails here is told then. */
export async function discardFile(fileSystem: FileSystem, path: string, file: AppendFile | undefined): Promise<void> {
  await file?.close().catch(() => undefined)
  await fileSystem.remove(path).catch(() => undefined)
}

/** The chunks of a frame file of `sizeBytes`, in order, with no more than one read and one frame in memory. Throws `DATA_CORRUPT`. */
export async function* readFrameFile(
  fileSystem: FileSystem,
  path: string,
  sizeBytes: number,
): AsyncGenerator<unknown[], void, undefined> {
  let wanted = READ_BYTES
  for (let offset = 0; offset < sizeBytes;) {
    const bytes = await fileSystem.read(path, { start: offset, length: wanted })
    const { payloads, consumed, missing } = wholeFrames(bytes)
    for (const payload of payloads) yield decodedFrame(path, offset, payload)
    offset += consumed
    if (consumed === 0 && bytes.byteLength < wanted) throw cutFrame(path, offset)
    wanted = Math.max(READ_BYTES, missing)
  }
}

interface WholeFrames {
  readonly payloads: readonly Uint8Array[]
  readonly consumed: number
  /** Bytes of the frame after these, or of its header; at least what a read must give to get on. */
  readonly missing: number
}

function wholeFrames(bytes: Uint8Array): WholeFrames {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const payloads: Uint8Array[] = []
  let at = 0
  while (at + HEADER_BYTES <= bytes.byteLength) {
    const end = at + HEADER_BYTES + view.getUint32(at, true)
    if (end > bytes.byteLength) return { payloads, consumed: at, missing: end - at }
    payloads.push(bytes.subarray(at + HEADER_BYTES, end))
    at = end
  }
  return { payloads, consumed: at, missing: HEADER_BYTES }
}

function decodedFrame(path: string, offset: number, payload: Uint8Array): unknown[] {
  try {
    return decodeRecords(payload)
  } catch (cause) {
    throw damaged(`${path} has a damaged frame at or after byte ${String(offset)}`, cause)
  }
}

function cutFrame(path: string, offset: number): SluiceError {
  return damaged(`${path} ends within the frame at byte ${String(offset)}`, undefined)
}

function damaged(what: string, cause: unknown): SluiceError {
  const message = `${what}; something else has written there: give this process a spill folder of its own`
  return new SluiceError({ code: 'DATA_CORRUPT', component: 'block-store', message, cause })
}

/** The records of a whole frame file. Throws `DATA_CORRUPT`; `path` is for its message. */
export function recordsOfFrames(bytes: Uint8Array, path: string): unknown[] {
  const { payloads, consumed } = wholeFrames(bytes)
  if (consumed !== bytes.byteLength) throw cutFrame(path, consumed)
  return payloads.flatMap((payload) => decodedFrame(path, 0, payload))
}
