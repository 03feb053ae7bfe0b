/** Lines of words, Zipf-distributed (s = 1): the same bytes in every language, as only + and / of doubles and 32-bit integers are used. */

const DISTINCT = 10_000
const WORDS_PER_LINE = 10
const SEED = 42

export interface LineOptions {
  readonly lines: number
  readonly distinct?: number
  readonly seed?: number
}

/** Lines of ten words. Each is a flat string of its own, as a line that was read is. */
export function zipfLines({ lines, distinct = DISTINCT, seed = SEED }: LineOptions): string[] {
  const pick = picker(makeWords(distinct), seed)
  return Array.from({ length: lines }, () => Array.from({ length: WORDS_PER_LINE }, pick).join(' '))
}

/** Three letters make a word distinct, up to six more give it a length of 3 to 9. */
function makeWords(count: number): string[] {
  return Array.from({ length: count }, (_, k) => {
    const letters = [k % 26, Math.floor(k / 26) % 26, Math.floor(k / 676)]
    for (let j = 0; j < k % 7; j++) letters.push((k * 31 + j * 17) % 26)
    return String.fromCharCode(...letters.map((letter) => 97 + letter))
  })
}

function picker(words: readonly string[], seed: number): () => string {
  const random = mulberry32(seed)
  const sums = new Float64Array(words.length)
  let sum = 0
  for (let k = 0; k < words.length; k++) sums[k] = sum += 1 / (k + 1)
  return () => {
    const x = random() * sum
    let low = 0
    let high = words.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] as number) < x) low = middle + 1
      else high = middle
    }
    return words[low] as string
  }
}

/** Numbers in [0, 1) of Tommy Ettinger's generator (public domain). */
export function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
