/** What `join` and `cogroup` are measured with: pairs with equal keys in another order on the other side. */
import type { Pair } from '@sluice/core'
import { mulberry32 } from '../data/words.js'

export type Side = readonly Pair<string, number>[]

/**
 * Two sides of `count` pairs. Nine keys in ten of the right side are on the left, too; some occur twice. No string is shared
 * between the sides, as they come from different sources.
 */
export function makeSides(count: number): { readonly left: Side; readonly right: Side } {
  const random = mulberry32(3)
  const shuffled = shuffledNumbers(count, random)
  const left = Array.from({ length: count }, (_, i): Pair<string, number> => [keyOf(i), i])
  const right = Array.from(shuffled, (at, i): Pair<string, number> => [keyOf(rightKey(at, count, random)), i])
  return { left, right }
}

function rightKey(at: number, count: number, random: () => number): number {
  return at % 10 === 0 ? Math.floor(random() * 2 * count) : at
}

const keyOf = (number: number): string => `customer-${String(number)}`

function shuffledNumbers(count: number, random: () => number): Uint32Array {
  const numbers = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const held = numbers[i] as number
    numbers[i] = numbers[j] as number
    numbers[j] = held
  }
  return numbers
}
