/** Reads a file's frames in large pieces. */
import type { FileSystem } from '../storage/file-system.js'
import { frameAt, FRAME_HEADER_BYTES, frameBytesAt, type Frame } from './frame.js'

const READ_BYTES = 2 ** 20

/** The frames of `[start, limit)` of a file. */
export class FrameReader {
  readonly #fileSystem: FileSystem
  readonly #path: string
  readonly #seed: number
  readonly #limit: number
  #offset: number
  #stopped: string | undefined

  constructor(fileSystem: FileSystem, path: string, seed: number, start: number, limit: number) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#seed = seed
    this.#offset = start
    this.#limit = limit
  }

  /** Why there are no more frames before the limit; undefined while there are, and at the limit. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /** Where the frames that were given end. */
  get offset(): number {
    return this.#offset
  }

  /** Some more frames, none at the end or where no sound frame follows. Payloads are views of one piece each. */
  async next(): Promise<Frame[]> {
    for (let wanted = READ_BYTES; this.#offset < this.#limit && this.#stopped === undefined;) {
      const bytes = await this.#read(Math.min(wanted, this.#limit - this.#offset))
      const frames = this.#framesOf(bytes)
      if (frames.length > 0) return frames
      const size = frameBytesAt(bytes, 0)
      this.#stopped = this.#reasonFor(bytes, size)
      wanted = size ?? READ_BYTES
    }
    return []
  }

  #framesOf(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = []
    for (let at = 0; ;) {
      const frame = frameAt(bytes, at, this.#seed)
      if (frame === undefined) return frames
      const size = FRAME_HEADER_BYTES + frame.payload.byteLength
      at += size
      this.#offset += size
      frames.push(frame)
    }
  }

  /** Why no frame begins at the offset; undefined where it only was not read to its end. */
  #reasonFor(bytes: Uint8Array, size: number | undefined): string | undefined {
    const left = this.#limit - this.#offset
    if (size === undefined) return bytes.byteLength < FRAME_HEADER_BYTES ? 'a frame is cut' : 'no frame begins here'
    if (size > left) return 'a frame is cut'
    if (size <= bytes.byteLength) return 'the checksum is wrong'
    return bytes.byteLength < Math.min(READ_BYTES, left) ? 'the file is shorter than it was' : undefined
  }

  /** `length` bytes, fewer only at the end of the file: a read may be answered in parts. */
  async #read(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for (let have = 0; have < length;) {
      const range = { start: this.#offset + have, length: length - have }
      const part = await this.#fileSystem.read(this.#path, range)
      if (part.byteLength === 0) break
      parts.push(part)
      have += part.byteLength
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }
}
