/** Which partition a record goes to, as Java's producer chooses: by the key's hash, records without a key in turn. */
import type { RecordToProduce } from '../client.js'
import { bufferOf } from './producing.js'

export class Partitioner {
  #turn = 0

  /** Of `count` partitions. */
  partitionOf({ partition, key }: RecordToProduce, count: number): number {
    if (partition !== undefined) return partition
    if (key === undefined || key === null) return this.#turn++ % count
    const hash = murmur2(typeof key === 'string' ? Buffer.from(key) : bufferOf(key))
    return (hash & 0x7fffffff) % count
  }
}

const MULTIPLIER = 0x5bd1e995
const SEED = 0x9747b28c

/** MurmurHash2 of 32 bits, with the seed of Kafka. */
export function murmur2(bytes: Buffer): number {
  const end = bytes.length & ~3
  let hash = SEED ^ bytes.length
  for (let at = 0; at < end; at += 4) {
    let four = Math.imul(bytes.readInt32LE(at), MULTIPLIER)
    four = Math.imul(four ^ (four >>> 24), MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ four
  }
  if (end < bytes.length) {
    for (let at = bytes.length - 1; at >= end; at--) hash ^= (bytes[at] as number) << ((at & 3) * 8)
    hash = Math.imul(hash, MULTIPLIER)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}
