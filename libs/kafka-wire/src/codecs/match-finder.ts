/** Repetitions in bytes, as both LZ4 and Snappy write them: greedy, by a table of hashes of four bytes. */

const HASH_BITS = 14
const MIN_MATCH = 4
const LONGEST_DISTANCE = 0xffff

/** Bytes from `from` to `to` as they are, then `length` bytes (0 at the end) as they stand `distance` before. */
export type EmitMatch = (from: number, to: number, distance: number, length: number) => void

/** Goes over all of `bytes`. No match begins in the last twelve bytes or reaches into the last five, as LZ4 asks. */
export function findMatches(bytes: Buffer, emit: EmitMatch): void {
  const table = new Int32Array(1 << HASH_BITS).fill(-1)
  const lastStart = bytes.length - 12
  const lastEnd = bytes.length - 5
  let literals = 0
  let at = 0
  while (at <= lastStart) {
    const four = bytes.readInt32LE(at)
    const hash = Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS)
    const before = table[hash] as number
    table[hash] = at
    if (before < 0 || at - before > LONGEST_DISTANCE || bytes.readInt32LE(before) !== four) {
      // The longer nothing repeats, the larger the steps: what is random costs little.
      at += 1 + ((at - literals) >>> 6)
      continue
    }
    let length = MIN_MATCH
    while (at + length < lastEnd && bytes[before + length] === bytes[at + length]) length++
    emit(literals, at, at - before, length)
    at += length
    literals = at
  }
  emit(literals, bytes.length, 0, 0)
}
