/**
 * Snappy (github.com/google/snappy, format_description.txt), in the blocks that Java's clients write, which begin with a
 * header of their own (xerial), and without them, as others write it.
 */
import { badBytes } from './bad-bytes.js'
import { ByteSink } from './byte-sink.js'
import { findMatches } from './match-finder.js'

const XERIAL = Buffer.from('\x82SNAPPY\0', 'latin1')
/** Behind the header stand two versions. */
const XERIAL_HEADER_BYTES = XERIAL.length + 8
const MAX_BLOCK_BYTES = 32 * 1024
const LONGEST_COPY = 64

export function decompressSnappy(bytes: Buffer): Buffer {
  if (bytes.length < XERIAL_HEADER_BYTES || !bytes.subarray(0, XERIAL.length).equals(XERIAL))
    return decompressRaw(bytes)
  const blocks: Buffer[] = []
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    if (at + 4 > bytes.length) throw badBytes('they are cut off')
    const size = bytes.readUInt32BE(at)
    at += 4
    if (at + size > bytes.length) throw badBytes('they are cut off')
    blocks.push(decompressRaw(bytes.subarray(at, at + size)))
    at += size
  }
  return Buffer.concat(blocks)
}

function decompressRaw(bytes: Buffer): Buffer {
  let at = 0
  const next = (): number => {
    if (at >= bytes.length) throw badBytes('they are cut off')
    return bytes[at++] as number
  }
  const little = (count: number): number => {
    let value = 0
    for (let i = 0; i < count; i++) value += next() * 2 ** (8 * i)
    return value
  }
  const length = readLength(next)
  // A lie about the length must not cost more memory than the bytes could ever become.
  const sink = new ByteSink(Math.min(length, bytes.length * LONGEST_COPY))
  while (at < bytes.length) {
    const tag = next()
    const kind = tag & 3
    const size = tag >>> 2
    if (kind === 0) {
      const literals = 1 + (size < 60 ? size : little(size - 59))
      sink.append(bytes, at, literals)
      at += literals
    } else if (kind === 1) sink.repeat(((tag >>> 5) << 8) | next(), 4 + (size & 7))
    else sink.repeat(little(kind === 2 ? 2 : 4), 1 + size)
  }
  if (sink.bytes.length !== length) throw badBytes('they have another length than they say')
  return sink.bytes
}

function readLength(next: () => number): number {
  let value = 0
  for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
    const byte = next()
    value += (byte & 127) * scale
    if (byte < 128) return value
  }
  throw badBytes('their length makes no sense')
}

export function compressSnappy(bytes: Buffer): Buffer {
  const versions = Buffer.of(0, 0, 0, 1, 0, 0, 0, 1)
  const parts: Buffer[] = [XERIAL, versions]
  for (let at = 0; at < bytes.length; at += MAX_BLOCK_BYTES) {
    const block = compressRaw(bytes.subarray(at, at + MAX_BLOCK_BYTES))
    const size = Buffer.alloc(4)
    size.writeUInt32BE(block.length)
    parts.push(size, block)
  }
  return Buffer.concat(parts)
}

function compressRaw(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(bytes.length + Math.ceil(bytes.length / 6) + 32)
  let at = 0
  let length = bytes.length
  for (; length >= 128; length = Math.floor(length / 128)) out[at++] = (length & 127) | 128
  out[at++] = length
  findMatches(bytes, (from, to, distance, repeated) => {
    if (to > from) {
      const size = to - from - 1
      // A length above 60 follows in two bytes: blocks are never longer.
      if (size < 60) out[at++] = size << 2
      else at = out.writeUInt16LE(size, out.writeUInt8(61 << 2, at))
      at += bytes.copy(out, at, from, to)
    }
    for (let left = repeated; left > 0; left -= LONGEST_COPY) {
      const size = Math.min(left, LONGEST_COPY)
      at = out.writeUInt16LE(distance, out.writeUInt8(((size - 1) << 2) | 2, at))
    }
  })
  return out.subarray(0, at)
}
