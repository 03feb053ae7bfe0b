import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planRanges, positionsIn, type BatchCaps, type PartitionLag } from './plan.js'

const lag = (partition: number, next: number | bigint, end: number | bigint): PartitionLag => ({
  topic: 'orders',
  partition,
  next: BigInt(next),
  end: BigInt(end),
})

const sizes = (lags: readonly number[], caps: BatchCaps, turn = 0): number[] =>
  planRanges(
    lags.map((each, i) => lag(i, 0, each)),
    caps,
    turn,
  ).map(({ until }) => Number(until))

describe('planRanges', () => {
  it('covers all that is there without caps, empty ranges included', () => {
    expect(planRanges([lag(0, 5, 9), lag(1, 7, 7)], {})).toEqual([
      { topic: 'orders', partition: 0, from: 5n, until: 9n },
      { topic: 'orders', partition: 1, from: 7n, until: 7n },
    ])
  })

  it('plans nothing where the end lies before what is planned already, as brokers may tell for a while', () => {
    expect(planRanges([lag(0, 9, 5)], {})).toEqual([{ topic: 'orders', partition: 0, from: 9n, until: 9n }])
  })

  it('shares a rate by lag, so that a partition that is far behind is not starved', () => {
    expect(sizes([900, 100, 0], { budget: 100 })).toEqual([90, 10, 0])
  })

  it('gives what one does not need to the others', () => {
    expect(sizes([1_000, 1_000, 10], { budget: 500, maxPerPartition: 300 })).toEqual([249, 249, 2])
    expect(sizes([10_000, 100], { budget: 300, maxPerPartition: 250 })).toEqual([250, 50])
  })

  it('caps each partition, with and without a rate', () => {
    expect(sizes([50, 5], { maxPerPartition: 20 })).toEqual([20, 5])
    expect(sizes([50, 5], { maxPerPartition: 20, budget: 1_000 })).toEqual([20, 5])
  })

  it('gives a least to each that is behind, also beyond the rate', () => {
    expect(sizes([1_000_000, 1, 0], { budget: 10, minPerPartition: 1 })).toEqual([9, 1, 0])
    expect(sizes([10, 10, 10, 10], { budget: 1, minPerPartition: 2 })).toEqual([2, 2, 2, 2])
  })

  it('never covers more than maxRecords, and takes turns where not all can have something', () => {
    expect(sizes([9, 9, 9], { maxRecords: 2, minPerPartition: 1 }, 0)).toEqual([1, 1, 0])
    expect(sizes([9, 9, 9], { maxRecords: 2, minPerPartition: 1 }, 1)).toEqual([0, 1, 1])
    expect(sizes([9, 9, 9], { maxRecords: 2, minPerPartition: 1 }, 2)).toEqual([1, 0, 1])
  })

  it('a rate that is none for any partition after rounding still gives whole records', () => {
    expect(positionsIn(planRanges([lag(0, 0, 10), lag(1, 0, 10), lag(2, 0, 10)], { budget: 1 }))).toBe(1)
  })

  it('goes on above 2^53', () => {
    const from = 2n ** 60n
    expect(planRanges([lag(0, from, from + 10n)], { maxPerPartition: 4 })).toMatchObject([{ until: from + 4n }])
  })
})

const lags = fc.array(fc.oneof(fc.nat(50), fc.nat(2_000_000_000), fc.constant(0)), { maxLength: 8 })
const cap = (max: number): fc.Arbitrary<number | undefined> => fc.option(fc.nat(max), { nil: undefined })
const anyCaps = fc.record({
  budget: cap(3_000),
  maxRecords: cap(3_000),
  maxPerPartition: cap(1_000),
  minPerPartition: fc.nat(20),
})

describe('for all lags and caps', () => {
  it('no cap is exceeded, but the rate by the least', () => {
    fc.assert(
      fc.property(lags, anyCaps, fc.nat(20), (behind, caps, turn) => {
        const taken = sizes(behind, caps, turn)
        const total = taken.reduce((sum, each) => sum + each, 0)
        const { budget = Infinity, maxRecords = Infinity, maxPerPartition = Infinity, minPerPartition } = caps
        for (const [i, each] of taken.entries()) {
          expect(each).toBeLessThanOrEqual(Math.min(behind[i] as number, maxPerPartition))
          expect(Number.isInteger(each) && each >= 0).toBe(true)
        }
        const least = behind.reduce((sum, each) => sum + Math.min(each, minPerPartition, maxPerPartition), 0)
        expect(total).toBeLessThanOrEqual(Math.min(maxRecords, Math.max(budget, least)))
      }),
    )
  })

  it('nothing is left out without need: a batch is full, or has all that may be taken', () => {
    fc.assert(
      fc.property(lags, anyCaps, fc.nat(20), (behind, caps, turn) => {
        const taken = sizes(behind, caps, turn)
        const total = taken.reduce((sum, each) => sum + each, 0)
        const { budget = Infinity, maxRecords = Infinity, maxPerPartition = Infinity } = caps
        const most = behind.reduce((sum, each) => sum + Math.min(each, maxPerPartition), 0)
        expect(total).toBeGreaterThanOrEqual(Math.min(most, budget, maxRecords))
      }),
    )
  })

  it('batch after batch, each offset is in exactly one range, and every partition comes to its end', () => {
    const some = fc.record({ budget: fc.integer({ min: 1, max: 50 }), maxRecords: fc.integer({ min: 1, max: 50 }) })
    fc.assert(
      fc.property(fc.array(fc.nat(60), { minLength: 1, maxLength: 5 }), some, (behind, caps) => {
        let open = behind.map((end, i) => lag(i, 0, end))
        const seen = behind.map(() => [] as bigint[])
        for (let turn = 0; turn < 400 && open.some(({ next, end }) => next < end); turn++) {
          const ranges = planRanges(open, { ...caps, minPerPartition: 1 }, turn)
          for (const { partition, from, until } of ranges)
            for (let at = from; at < until; at++) seen[partition]?.push(at)
          open = open.map((each, i) => ({ ...each, next: ranges[i]?.until as bigint }))
        }
        expect(seen).toEqual(behind.map((end) => Array.from({ length: end }, (_, i) => BigInt(i))))
      }),
    )
  })
})
