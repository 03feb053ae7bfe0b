/** LZ4 frames (github.com/lz4/lz4, doc/lz4_Frame_format.md), as Kafka's clients write them. Checksums are left to Kafka's own. */
import { badBytes } from './bad-bytes.js'
import { ByteSink } from './byte-sink.js'
import { findMatches } from './match-finder.js'

const MAGIC = 0x184d2204
const PLAIN_BLOCK = 0x80000000
const MAX_BLOCK_BYTES = 4 * 1024 * 1024
const MIN_MATCH = 4
// Magic, version 1 with independent blocks, blocks of up to 4 MiB, and the checksum of these two bytes.
const FRAME_HEADER = Buffer.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73)
const END_MARK = Buffer.alloc(4)

export function decompressLz4(frame: Buffer): Buffer {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw badBytes('they are no LZ4 frame')
  const flags = frame[4] as number
  const blockChecksumBytes = flags & 0x10 ? 4 : 0
  const sink = new ByteSink(frame.length * 3)
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0)
  for (;;) {
    if (at + 4 > frame.length) throw badBytes('they are cut off')
    const word = frame.readUInt32LE(at)
    at += 4
    if (word === 0) return sink.bytes
    const size = word & ~PLAIN_BLOCK
    if (at + size > frame.length) throw badBytes('they are cut off')
    if (word >= PLAIN_BLOCK) sink.append(frame, at, size)
    else decompressBlock(frame.subarray(at, at + size), sink)
    at += size + blockChecksumBytes
  }
}

function decompressBlock(block: Buffer, sink: ByteSink): void {
  let at = 0
  const longer = (length: number): number => {
    if (length < 15) return length
    let more: number
    do {
      if (at >= block.length) throw badBytes('they are cut off')
      more = block[at++] as number
      length += more
    } while (more === 255)
    return length
  }
  while (at < block.length) {
    const token = block[at++] as number
    const literals = longer(token >>> 4)
    sink.append(block, at, literals)
    at += literals
    if (at === block.length) return
    if (at + 2 > block.length) throw badBytes('they are cut off')
    const distance = (block[at] as number) | ((block[at + 1] as number) << 8)
    at += 2
    sink.repeat(distance, longer(token & 15) + MIN_MATCH)
  }
}

export function compressLz4(bytes: Buffer): Buffer {
  const parts: Buffer[] = [FRAME_HEADER]
  for (let at = 0; at < bytes.length; at += MAX_BLOCK_BYTES) {
    const plain = bytes.subarray(at, at + MAX_BLOCK_BYTES)
    const packed = compressBlock(plain)
    const size = Buffer.alloc(4)
    const isSmaller = packed.length < plain.length
    size.writeUInt32LE(isSmaller ? packed.length : plain.length + PLAIN_BLOCK)
    parts.push(size, isSmaller ? packed : plain)
  }
  return Buffer.concat([...parts, END_MARK])
}

function compressBlock(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(bytes.length + Math.ceil(bytes.length / 250) + 16)
  let at = 0
  const writeLonger = (length: number): void => {
    for (length -= 15; length >= 255; length -= 255) out[at++] = 255
    out[at++] = length
  }
  findMatches(bytes, (from, to, distance, length) => {
    const literals = to - from
    const repeated = length === 0 ? 0 : length - MIN_MATCH
    out[at++] = (Math.min(literals, 15) << 4) | Math.min(repeated, 15)
    if (literals >= 15) writeLonger(literals)
    at += bytes.copy(out, at, from, to)
    if (length === 0) return
    at = out.writeUInt16LE(distance, at)
    if (repeated >= 15) writeLonger(repeated)
  })
  return out.subarray(0, at)
}
