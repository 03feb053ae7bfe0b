/** Values of two sides of equal size, brought together by key. */
import type { Pair } from '@sluice/core'
import { withContext, type Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'
import { makeSides, type Side } from './two-sided.js'

const AIM = 0.7

export const cogroup: Benchmark = {
  name: 'cogroup',
  about: '1 M pairs and 1 M pairs with string keys against a hand-written map of two lists',
  run: (sizes) =>
    withContext((context) => {
      const { left, right } = makeSides(sizes.count(1_000_000))
      const grouped = context.parallelize(left).cogroup(context.parallelize(right))
      return measure(
        [
          {
            name: 'cogroup',
            aim: AIM,
            noun: 'records of both sides',
            count: left.length + right.length,
            ours: () => grouped.collect(),
            reference: () => groupBoth(left, right),
          },
        ],
        sizes.repeats({ warmUp: 2, rounds: 9 }),
      )
    }),
}

type Grouped = Pair<string, readonly [number[], number[]]>

function groupBoth(left: Side, right: Side): Grouped[] {
  const groups = new Map<string, readonly [number[], number[]]>()
  for (const pair of left) {
    const group = groups.get(pair[0])
    if (group === undefined) groups.set(pair[0], [[pair[1]], []])
    else group[0].push(pair[1])
  }
  for (const pair of right) {
    const group = groups.get(pair[0])
    if (group === undefined) groups.set(pair[0], [[], [pair[1]]])
    else group[1].push(pair[1])
  }
  return [...groups]
}
