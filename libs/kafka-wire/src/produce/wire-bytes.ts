/** The bytes of requests and answers of Kafka's protocol, in both forms: the classic one, and the flexible one of newer versions. */
import { corrupt } from '../errors.js'

/** Puts a request together. What is large goes in as it is, and is copied once. */
export class WireWriter {
  readonly #isFlexible: boolean
  readonly #parts: Buffer[] = []

  constructor(isFlexible: boolean) {
    this.#isFlexible = isFlexible
    // The tagged fields that end the header of a flexible request.
    if (isFlexible) this.tags()
  }

  int8(value: number): this {
    return this.raw(Buffer.of(value))
  }

  int16(value: number): this {
    const bytes = Buffer.allocUnsafe(2)
    bytes.writeInt16BE(value)
    return this.raw(bytes)
  }

  int32(value: number): this {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeInt32BE(value)
    return this.raw(bytes)
  }

  int64(value: bigint): this {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeBigInt64BE(value)
    return this.raw(bytes)
  }

  string(text: string | null): this {
    const bytes = text === null ? undefined : Buffer.from(text)
    if (this.#isFlexible) this.#unsigned(bytes === undefined ? 0 : bytes.length + 1)
    else this.int16(bytes?.length ?? -1)
    return bytes === undefined ? this : this.raw(bytes)
  }

  bytes(bytes: Buffer): this {
    return this.#length(bytes.length).raw(bytes)
  }

  array<T>(items: Iterable<T>, write: (item: T) => void): this {
    const all = [...items]
    this.#length(all.length)
    for (const item of all) write(item)
    return this
  }

  /** No tagged fields; nothing in the classic form. */
  tags(): this {
    return this.#isFlexible ? this.int8(0) : this
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  end(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #length(length: number): this {
    if (!this.#isFlexible) return this.int32(length)
    this.#unsigned(length + 1)
    return this
  }

  #unsigned(value: number): void {
    const bytes: number[] = []
    for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
    this.raw(Buffer.of(...bytes, value))
  }
}

/** Takes an answer apart. */
export class WireReader {
  readonly #isFlexible: boolean
  readonly #bytes: Buffer
  #at = 0

  /** `hasTags`: whether tagged fields end the answer's header, as in all flexible answers but that to ApiVersions. */
  constructor(bytes: Buffer, isFlexible: boolean, hasTags = isFlexible) {
    this.#bytes = bytes
    this.#isFlexible = isFlexible
    if (hasTags) this.tags()
  }

  int8(): number {
    return this.#bytes.readInt8(this.#skip(1))
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#skip(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#skip(4))
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#skip(8))
  }

  string(): string | null {
    const length = this.#isFlexible ? this.unsigned() - 1 : this.int16()
    if (length < 0) return null
    const from = this.#skip(length)
    return this.#bytes.toString('utf8', from, from + length)
  }

  bytes(): Buffer {
    const length = this.#isFlexible ? this.unsigned() - 1 : this.int32()
    const from = this.#skip(length)
    return this.#bytes.subarray(from, from + length)
  }

  array<T>(read: () => T): T[] {
    const length = this.#isFlexible ? this.unsigned() - 1 : this.int32()
    const items: T[] = []
    for (let i = 0; i < length; i++) items.push(read())
    return items
  }

  tags(): void {
    this.eachTag(() => undefined)
  }

  /** `read` may read the field of that number, or leave it. */
  eachTag(read: (tag: number) => void): void {
    if (!this.#isFlexible) return
    for (let left = this.unsigned(); left > 0; left--) {
      const tag = this.unsigned()
      const length = this.unsigned()
      const end = this.#at + length
      read(tag)
      this.#at = end
    }
  }

  unsigned(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes.readUInt8(this.#skip(1))
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  #skip(length: number): number {
    const from = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw corrupt('a broker sent an answer that is cut off')
    return from
  }
}
