/** Cells are looked up for many records at once: each record must see its own key's, also one that came a record ago. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeKey } from '../rdd/keys.js'
import { runBatches } from '../testing.js'
import type { State } from './map-with-state.js'
import { AHEAD, StatePartition } from './state-partition.js'

type Visit = readonly [key: unknown, amount: number]

const key: fc.Arbitrary<unknown> = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.constantFrom('a', 'b', '1', null, -0, NaN),
  fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 0, max: 3 })),
  fc.record({ id: fc.integer({ min: 0, max: 3 }) }),
)
const visits: fc.Arbitrary<Visit[]> = fc.array(fc.tuple(key, fc.integer({ min: 0, max: 9 })), {
  minLength: 0,
  maxLength: 3 * AHEAD,
  size: 'max',
})

/** Sums by key, one record after the other; an amount of 0 removes the key. */
function replay(script: readonly (readonly Visit[])[]): unknown[][] {
  const sums = new Map<string, number>()
  return script.map((batch) =>
    batch.map(([key, amount]) => {
      const text = encodeKey(key, 'test')
      const sum = (sums.get(text) ?? 0) + amount
      if (amount === 0) sums.delete(text)
      else sums.set(text, sum)
      return [text, sum]
    }),
  )
}

test('mapWithState sees what each record before has made of its key, in batches of several look-ups', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(visits, { minLength: 1, maxLength: 3 }), async (script) => {
      const out = await runBatches(script, (pairs) =>
        pairs.mapWithState((key, amount: number | undefined, state: State<number>) => {
          const sum = (state.getOption() ?? 0) + (amount ?? 0)
          if (amount !== 0) state.update(sum)
          else if (state.exists()) state.remove()
          return [encodeKey(key, 'test'), sum]
        }),
      )
      expect(out).toEqual(replay(script))
    }),
    { numRuns: 40 },
  )
})

test('looking ahead makes no cell, and takes those that are known', () => {
  const partition = new StatePartition('test', false)
  const a = partition.cell('a')
  const b = partition.cell('b')
  expect([...partition.ahead([['b', 1], ['c', 1], 'no pair', [['a', 'b'], 1], ['a', 1]], 0, 5)]).toEqual([
    b,
    undefined,
    undefined,
    undefined,
    a,
  ])
  expect(partition.size).toBe(2)
  expect(
    partition.ahead(
      [
        ['c', 1],
        ['b', 1],
      ],
      1,
      2,
      [b, a],
    )[0],
  ).toBe(a)
})
