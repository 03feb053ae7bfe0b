/** A program with an oracle of its own. */
import type { Random } from '@sluice/core'
import type { SimBatch } from '../contents.js'
import type { Expectation } from '../oracle.js'
import type { Build, PlannedStop } from '../run.js'

export interface Scenario extends Expectation {
  readonly name: string
  readonly build: Build
  /** The application is stopped once, besides what goes wrong. */
  readonly stop?: PlannedStop | undefined
}

/** Outputs give up soon, so that runs are short. */
export const soon = { timeoutMs: 5_000 } as const

/** A word of few, so that keys come again. */
export const word = (_i: number, random: Random): string => 'abcde'[random.integer(5)] ?? 'a'

/** A pair of a word and a small number. */
export const wordAndNumber = (i: number, random: Random): readonly [string, number] => [
  word(i, random),
  1 + random.integer(9),
]

/** Sums of pairs by key, in the order in which keys first came. */
export function sumsOf(pairs: Iterable<readonly [string, number]>): [string, number][] {
  const sums = new Map<string, number>()
  for (const [key, n] of pairs) sums.set(key, (sums.get(key) ?? 0) + n)
  return [...sums]
}

export function recordsOf<T>(batch: SimBatch, input: string): readonly T[] {
  return (batch.records[input] ?? []) as readonly T[]
}
