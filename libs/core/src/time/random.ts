/** Randomness: seeded where a result depends on it (E10), from the system only for new identities. */
import { randomUUID } from 'node:crypto'

/** A reproducible source of numbers in [0, 1). */
export interface Random {
  /** The next number in [0, 1). */
  next(): number
  /** The next whole number in [0, below). */
  integer(below: number): number
}

/** Same seed, same numbers, in every process and on every machine (mulberry32 by Tommy Ettinger, public domain). */
export function seededRandom(seed: number): Random {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { next, integer: (below) => Math.floor(next() * below) }
}

/** A 32-bit seed made of names and numbers, e.g. operator id, batch time, partition. */
export function seedOf(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5
  for (const part of parts) {
    const text = `${typeof part}:${String(part)};`
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return hash | 0
}

/** A new identity that nobody else has, e.g. of an application (E1). */
export function newIdentity(): string {
  return randomUUID()
}
