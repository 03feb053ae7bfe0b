/**
 * The frame: how an entry stands in the bytes of a log.
 *
 * | at | bytes | what                                                                     |
 * | -- | ----- | ------------------------------------------------------------------------ |
 * | 0  | 4     | `SLF` and the version of the format, 1                                   |
 * | 4  | 4     | CRC32 of all that follows, begun with the file's seed                    |
 * | 8  | 4     | CRC32 of the frame before: frames form a chain                           |
 * | 12 | 4     | bytes of payload                                                         |
 * | 16 | 4     | epoch of the writer                                                      |
 * | 20 | 4     | type: 1 to 255 for entries, 0 for a file's header                        |
 * | 24 | 8     | sequence                                                                 |
 * | 32 | 8     | synced mark: the highest sequence known synced when this was written (E17) |
 * | 40 |       | payload                                                                  |
 *
 * Numbers are little endian. A frame can be checked alone: what follows a damaged one still tells what was durable. The seed
 * comes from the file's name, so that frames of one file, held by a record of another, are not taken for its own.
 */
import { crc32 } from 'node:zlib'

export const FRAME_HEADER_BYTES = 40
/** Type of the first frame of a file. */
export const HEADER_TYPE = 0
export const LARGEST_TYPE = 255
/** The frame's length has four bytes, and no buffer should be larger. */
export const LARGEST_PAYLOAD_BYTES = 2 ** 31 - 1

const MAGIC = 0x01_46_4c_53
const MAGIC_BYTES = Buffer.from([0x53, 0x4c, 0x46, 0x01])
const CHECKED_FROM = 8

export interface Frame {
  readonly type: number
  readonly epoch: number
  readonly sequence: number
  readonly synced: number
  /** CRC32 of the frame before this. */
  readonly previous: number
  readonly crc: number
  readonly payload: Uint8Array
}

/** What a frame says beside its payload. */
export interface FrameFields {
  readonly type: number
  readonly epoch: number
  readonly sequence: number
  readonly synced: number
}

/** The seed of a file's checksums. */
export function seedOfFile(name: string): number {
  return crc32(name)
}

/** Encodes frames one behind the other into a buffer that is used again and again. */
export class FrameEncoder {
  readonly #maxBytes: number
  #seed: number
  #chain: number
  #buffer: Buffer
  #view: DataView
  #used = 0

  /** The buffer starts at `startBytes` and grows to `maxBytes`. */
  constructor(seed: number, chain: number, startBytes = 2 ** 16, maxBytes = 2 ** 22) {
    this.#seed = seed
    this.#chain = chain
    this.#maxBytes = maxBytes
    this.#buffer = Buffer.allocUnsafeSlow(startBytes)
    this.#view = viewOf(this.#buffer)
  }

  /** CRC32 of the last frame. */
  get chain(): number {
    return this.#chain
  }

  /** The encoded bytes: valid until the next call of `add` or `begin`. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used)
  }

  /** Goes on with another file; the chain goes on, too. */
  switchFile(seed: number): void {
    this.#seed = seed
  }

  clear(): void {
    this.#used = 0
  }

  /** Whether a frame with a payload of this size still fits, after growing if that helps. */
  hasRoom(payloadBytes: number): boolean {
    const wanted = this.#used + FRAME_HEADER_BYTES + payloadBytes
    if (wanted <= this.#buffer.byteLength) return true
    if (wanted > this.#maxBytes) return false
    this.#grow(wanted)
    return true
  }

  /** Adds a whole frame. Needs room, or an empty encoder: then it grows as far as it must. */
  add(fields: FrameFields, payload: Uint8Array): void {
    if (!this.hasRoom(payload.byteLength)) this.#grow(this.#used + FRAME_HEADER_BYTES + payload.byteLength)
    const at = this.#used
    this.#writeFields(fields, payload.byteLength)
    this.#buffer.set(payload, at + FRAME_HEADER_BYTES)
    this.#used = at + FRAME_HEADER_BYTES + payload.byteLength
    this.#seal(at, crc32(this.#buffer.subarray(at + CHECKED_FROM, this.#used), this.#seed))
  }

  /** Adds a frame without its payload, which the caller writes behind these bytes: large ones are not copied. */
  addHeadOf(fields: FrameFields, payload: Uint8Array): void {
    if (!this.hasRoom(0)) this.#grow(this.#used + FRAME_HEADER_BYTES)
    const at = this.#used
    this.#writeFields(fields, payload.byteLength)
    this.#used = at + FRAME_HEADER_BYTES
    const head = crc32(this.#buffer.subarray(at + CHECKED_FROM, this.#used), this.#seed)
    this.#seal(at, crc32(payload, head))
  }

  #writeFields({ type, epoch, sequence, synced }: FrameFields, payloadBytes: number): void {
    const view = this.#view
    const at = this.#used
    view.setUint32(at, MAGIC, true)
    view.setUint32(at + 8, this.#chain, true)
    view.setUint32(at + 12, payloadBytes, true)
    view.setUint32(at + 16, epoch, true)
    view.setUint32(at + 20, type, true)
    setWhole(view, at + 24, sequence)
    setWhole(view, at + 32, synced)
  }

  #seal(at: number, crc: number): void {
    this.#view.setUint32(at + 4, crc, true)
    this.#chain = crc
  }

  #grow(wanted: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#buffer.byteLength))
    larger.set(this.bytes)
    this.#buffer = larger
    this.#view = viewOf(larger)
  }
}

/** Bytes of the whole frame that begins at `at`; undefined where no frame can begin or its header is not all there. */
export function frameBytesAt(bytes: Uint8Array, at: number): number | undefined {
  if (at + FRAME_HEADER_BYTES > bytes.byteLength) return undefined
  const view = viewOf(bytes)
  return view.getUint32(at, true) === MAGIC ? FRAME_HEADER_BYTES + view.getUint32(at + 12, true) : undefined
}

/** The frame at `at`, its payload a view of `bytes`; undefined where it is damaged or not all there. */
export function frameAt(bytes: Uint8Array, at: number, seed: number): Frame | undefined {
  const size = frameBytesAt(bytes, at)
  if (size === undefined || at + size > bytes.byteLength) return undefined
  const view = viewOf(bytes)
  const crc = view.getUint32(at + 4, true)
  if (crc32(bytes.subarray(at + CHECKED_FROM, at + size), seed) !== crc) return undefined
  return {
    type: view.getUint32(at + 20, true),
    epoch: view.getUint32(at + 16, true),
    sequence: getWhole(view, at + 24),
    synced: getWhole(view, at + 32),
    previous: view.getUint32(at + 8, true),
    crc,
    payload: bytes.subarray(at + FRAME_HEADER_BYTES, at + size),
  }
}

/** Every sound frame in `bytes`, wherever it begins: what can be found behind damage. */
export function* soundFrames(bytes: Uint8Array, seed: number): Generator<Frame, void, undefined> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = buffer.indexOf(MAGIC_BYTES); at !== -1;) {
    const frame = frameAt(bytes, at, seed)
    if (frame !== undefined) yield frame
    at = buffer.indexOf(MAGIC_BYTES, at + (frame === undefined ? 1 : FRAME_HEADER_BYTES + frame.payload.byteLength))
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// Whole numbers up to 2^53: two halves are cheaper than a bigint.
function setWhole(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
}

function getWhole(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
}
