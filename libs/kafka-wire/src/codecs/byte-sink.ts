/** A buffer that grows, for decompressors: what they write may refer back to all that is before it. */
import { badBytes } from './bad-bytes.js'

// Beyond this a loop costs more than a call into the engine.
const SHORT = 24

export class ByteSink {
  #buffer: Buffer
  #length = 0

  constructor(expectedBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(expectedBytes, 64))
  }

  /** All that was written. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  append(source: Buffer, from: number, length: number): void {
    if (from + length > source.length) throw badBytes('they are cut off')
    const to = this.#reserve(length)
    const buffer = this.#buffer
    if (length > SHORT) source.copy(buffer, to, from, from + length)
    else for (let i = 0; i < length; i++) buffer[to + i] = source[from + i] as number
  }

  /** Writes again what stands `distance` before; the two may overlap. */
  repeat(distance: number, length: number): void {
    const from = this.#length - distance
    if (distance === 0 || from < 0) throw badBytes('they refer to before their begin')
    const to = this.#reserve(length)
    const buffer = this.#buffer
    if (length > SHORT && distance >= length) buffer.copyWithin(to, from, from + length)
    else for (let i = 0; i < length; i++) buffer[to + i] = buffer[from + i] as number
  }

  /** Where `length` more bytes go. */
  #reserve(length: number): number {
    const at = this.#length
    this.#length += length
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(this.#length * 2)
      this.#buffer.copy(larger, 0, 0, at)
      this.#buffer = larger
    }
    return at
  }
}
