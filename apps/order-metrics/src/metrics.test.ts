/** The graph by itself, with the manual clock: lines may fall into batches and partitions as they like. */
import { seconds, StreamingContext } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { orderMetrics, type Figures, type SubjectKind } from './metrics.js'
import { recompute } from './testing/recompute.js'
import { formatTotals, totalsOf, type Standings } from './totals.js'

/** The standings after each of these batches. */
async function standingsAfter(batches: readonly (readonly string[])[], parallelism = 2): Promise<Standings[]> {
  const clock = new ManualClock()
  const ssc = new StreamingContext({ batchInterval: seconds(1), clock, parallelism, log: 'silent', signals: false })
  const after: Standings[] = []
  orderMetrics(ssc.queueStream(batches)).standings.foreachRDD(async (rdd) => {
    after.push(await rdd.collect())
  })
  await ssc.start()
  for (let batch = 0; batch < batches.length; batch++) await clock.advance(1_000)
  await ssc.stop()
  return after.slice(0, batches.length)
}

function figures(
  standings: Standings | undefined,
  part: 'batch' | 'total',
  by: SubjectKind,
  name = '',
): Figures | undefined {
  return standings?.find(([subject]) => subject[0] === by && subject[1] === name)?.[1][part]
}

const line = (invoice: string, code = '22633', country = 'France', customer = '17850.0', quantity = 2): string =>
  `${invoice},${code},MUG,${String(quantity)},2010-12-01 08:26:00,1.25,${customer},${country}`

describe('orderMetrics', () => {
  it('counts an invoice once, in the batch of its first line, and its revenue in the batch of each line', async () => {
    const [first, second, third] = await standingsAfter([[line('1'), line('1')], [line('1'), line('2')], []])
    expect(figures(first, 'batch', 'all')).toEqual({ lines: 2, orders: 1, cancellations: 0, revenue: 5_000 })
    expect(figures(second, 'batch', 'all')).toEqual({ lines: 2, orders: 1, cancellations: 0, revenue: 5_000 })
    expect(figures(second, 'total', 'all')).toEqual({ lines: 4, orders: 2, cancellations: 0, revenue: 10_000 })
    expect(figures(third, 'batch', 'all')).toEqual({ lines: 0, orders: 0, cancellations: 0, revenue: 0 })
    expect(figures(third, 'total', 'all')).toEqual(figures(second, 'total', 'all'))
  })

  it('counts an invoice once in each country and group in which it has a line', async () => {
    const [, last] = await standingsAfter([[line('1', '22633')], [line('1', '22114'), line('1', '84879', 'EIRE')]])
    expect(figures(last, 'total', 'all')?.orders).toBe(1)
    expect(figures(last, 'total', 'group', '22')).toMatchObject({ orders: 1, lines: 2 })
    expect(figures(last, 'total', 'group', '84')).toMatchObject({ orders: 1, lines: 1 })
    expect(figures(last, 'batch', 'group', '22')).toMatchObject({ orders: 0, lines: 1 })
    expect(figures(last, 'total', 'country', 'EIRE')).toMatchObject({ orders: 1, lines: 1 })
  })

  it('keeps cancellations apart from orders, with their revenue below zero', async () => {
    const [last] = await standingsAfter([[line('C1', '22633', 'France', '17850.0', -2)]])
    expect(figures(last, 'total', 'country', 'France')).toEqual({
      lines: 1,
      orders: 0,
      cancellations: 1,
      revenue: -2_500,
    })
  })

  it('counts a line without a customer everywhere but for customers', async () => {
    const [last] = await standingsAfter([[line('1', '22633', 'France', ''), line('2')]])
    expect(figures(last, 'total', 'all')?.orders).toBe(2)
    expect(totalsOf(last!).customers).toBe(1)
    expect(figures(last, 'total', 'customer', '17850.0')).toMatchObject({ orders: 1, lines: 1 })
  })

  it('counts rejected lines by their reasons', async () => {
    const [, last] = await standingsAfter([
      ['x', 'y'],
      ['z', line('1').replace('1.25', 'dear')],
    ])
    expect(figures(last, 'total', 'rejected', 'field count not eight')?.lines).toBe(3)
    expect(figures(last, 'batch', 'rejected', 'price not a number')?.lines).toBe(1)
    expect(figures(last, 'total', 'all')).toBeUndefined()
  })

  it('comes to the recomputation for any lines in any batches and partitions', async () => {
    const anyLine = fc.oneof(
      fc
        .tuple(
          fc.constantFrom('1', '2', '3', 'C4', 'C5'),
          fc.constantFrom('22633', '22114', 'm', '84'),
          fc.constantFrom('France', 'EIRE', '__proto__'),
          fc.constantFrom('', '17850.0', '13047.0'),
          fc.integer({ min: -9, max: 9 }),
        )
        .map((fields) => line(...fields)),
      fc.constantFrom('', 'a,b', line('6').replace('-12-', '-13-')),
    )
    const batches = fc.array(fc.array(anyLine, { maxLength: 12 }), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(batches, fc.integer({ min: 1, max: 4 }), async (lines, partitions) => {
        const last = (await standingsAfter(lines, partitions)).at(-1)
        const totals: unknown = JSON.parse(formatTotals(totalsOf(last ?? [])))
        expect(totals).toEqual(JSON.parse(JSON.stringify(recompute(lines.flat()))))
      }),
      { numRuns: 40 },
    )
  })
})
