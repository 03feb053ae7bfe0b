/** An inner join of two sides of equal size. */
import type { Pair } from '@sluice/core'
import { withContext, type Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'
import { makeSides, type Side } from './two-sided.js'

const AIM = 0.7

export const join: Benchmark = {
  name: 'join',
  about: '1 M pairs × 1 M pairs with string keys against a hand-written hash join',
  run: (sizes) =>
    withContext((context) => {
      const { left, right } = makeSides(sizes.count(1_000_000))
      const joined = context.parallelize(left).join(context.parallelize(right))
      return measure(
        [
          {
            name: 'join',
            aim: AIM,
            noun: 'records of both sides',
            count: left.length + right.length,
            ours: () => joined.collect(),
            reference: () => hashJoin(left, right),
          },
        ],
        sizes.repeats({ warmUp: 2, rounds: 9 }),
      )
    }),
}

type Joined = Pair<string, readonly [number, number]>

function hashJoin(left: Side, right: Side): Joined[] {
  const rights = new Map<string, number[]>()
  for (const pair of right) {
    const values = rights.get(pair[0])
    if (values === undefined) rights.set(pair[0], [pair[1]])
    else values.push(pair[1])
  }
  const joined: Joined[] = []
  for (const pair of left) {
    const values = rights.get(pair[0])
    if (values !== undefined) for (const value of values) joined.push([pair[0], [pair[1], value]])
  }
  return joined
}
