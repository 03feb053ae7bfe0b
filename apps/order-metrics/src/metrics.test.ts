/** The graph by itself, on scripted batches: lines may fall into batches and partitions as they like. */
import { seconds, type Pair } from '@sluice/core'
import { runBatches, type Batches } from '@sluice/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Figures, Standing, Subject, SubjectKind } from './figures.js'
import { orderMetrics, type BlacklistedOrder } from './metrics.js'
import type { SuspiciousCustomer } from './suspicious.js'
import { recompute, splitFields } from './testing/recompute.js'
import { formatTotals, totalsOf, type Standings } from './totals.js'

type Lines = readonly string[]

interface RunOptions {
  readonly partitions?: number
  /** In batches. */
  readonly window?: number
  readonly maxOrders?: number
  readonly maxCancellations?: number
  /** The list as each batch finds it. Undefined: none at all. */
  readonly blacklists?: readonly Lines[] | undefined
}

interface Run {
  readonly standings: Standings[]
  readonly suspicious: SuspiciousCustomer[][]
  readonly blacklisted: BlacklistedOrder[][]
}

/** What the graph gives in each of these batches. */
async function run(batches: readonly Lines[], options: RunOptions = {}): Promise<Run> {
  const { partitions = 2, window = 300, maxOrders = Infinity, maxCancellations = Infinity, blacklists } = options
  const limits = { orders: maxOrders, cancellations: maxCancellations }
  let asked = 0
  const blacklist = blacklists && (() => Promise.resolve(blacklists[asked++] ?? []))
  const out = await runBatches(
    batches,
    (lines) => {
      const { standings, suspicious, blacklisted } = orderMetrics(lines, { window: seconds(window), limits, blacklist })
      return { standings, suspicious, blacklisted }
    },
    { parallelism: partitions, inputPartitions: partitions },
  )
  const all = <T>(collected: Batches<T>): T[][] =>
    collected.map((records) => {
      if (!Array.isArray(records)) throw new Error('a batch had no RDD')
      return records
    })
  return { standings: all(out.standings), suspicious: all(out.suspicious), blacklisted: all(out.blacklisted) }
}

async function standingsAfter(batches: readonly Lines[], options?: RunOptions): Promise<Standings[]> {
  return (await run(batches, options)).standings
}

function figures(
  standings: Standings | undefined,
  period: keyof Standing,
  by: SubjectKind,
  name = '',
): Figures | undefined {
  return standings?.find(([subject]) => subject[0] === by && subject[1] === name)?.[1][period]
}

/** The window's figures as if they were all there is, in the shape of `totals.json`. */
function windowTotals(standings: Standings): unknown {
  const inWindow = standings
    .filter(([, { window }]) => window.lines > 0)
    .map(([subject, standing]): Pair<Subject, Standing> => [subject, { ...standing, total: standing.window }])
  return totalsJson(inWindow)
}

function totalsJson(standings: Standings): unknown {
  return JSON.parse(formatTotals(totalsOf(standings)))
}

/** What the window after each batch must come to. */
function naiveWindows(batches: readonly Lines[], window: number): Lines[] {
  return batches.map((_, batch) => batches.slice(Math.max(0, batch + 1 - window), batch + 1).flat())
}

const customerOf = (text: string): string | undefined => splitFields(text)[6]

const line = (invoice: string, code = '22633', country = 'France', customer = '17850.0', quantity = 2): string =>
  `${invoice},${code},MUG,${String(quantity)},2010-12-01 08:26:00,1.25,${customer},${country}`

const anyLine = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        fc.constantFrom('1', '2', '3', 'C4', 'C5'),
        fc.constantFrom('22633', '22114', 'm', '84'),
        fc.constantFrom('France', 'EIRE', '__proto__'),
        fc.constantFrom('', '17850.0', '13047.0'),
        fc.integer({ min: -9, max: 9 }),
      )
      .map((fields) => line(...fields)),
  },
  { weight: 1, arbitrary: fc.constantFrom('', 'a,b', '6,22633,MUG,2,2010-13-01 08:26:00,1.25,17850.0,France') },
)
const anyBatches = fc.array(fc.array(anyLine, { maxLength: 12 }), { minLength: 1, maxLength: 8 })
const anyPartitions = fc.integer({ min: 1, max: 4 })

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
    await fc.assert(
      fc.asyncProperty(anyBatches, anyPartitions, async (batches, partitions) => {
        const last = (await standingsAfter(batches, { partitions })).at(-1)
        expect(totalsJson(last ?? [])).toEqual(toJson(recompute(batches.flat())))
      }),
      { numRuns: 40 },
    )
  })

  it('comes to the same totals and batches whatever the window, the limits and the blacklist are', async () => {
    const anyOptions = fc.record({
      window: fc.integer({ min: 1, max: 9 }),
      maxOrders: fc.integer({ min: 0, max: 2 }),
      blacklists: fc.option(fc.array(fc.subarray(['17850.0', '13047.0']), { maxLength: 8 }), { nil: undefined }),
    })
    const withoutWindow = (standings: Standings) =>
      standings
        .filter(([[by]]) => by !== 'blacklisted')
        .map(([subject, { batch, total }]) => [subject.join(), { batch, total }] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
    await fc.assert(
      fc.asyncProperty(anyBatches, anyOptions, async (batches, options) => {
        const plain = await standingsAfter(batches)
        const other = await standingsAfter(batches, options)
        expect(other.map(withoutWindow)).toEqual(plain.map(withoutWindow))
        expect(other.map(totalsJson)).toEqual(plain.map(totalsJson))
      }),
      { numRuns: 20 },
    )
  })
})

describe('the window', () => {
  it('counts an invoice once as long as it has a line in it, with the revenue of those lines', async () => {
    const batches = [[line('1'), line('1')], [line('1')], [], [line('2')], []]
    const after = await standingsAfter(batches, { window: 2 })
    expect(after.map((standings) => figures(standings, 'window', 'all'))).toEqual([
      { lines: 2, orders: 1, cancellations: 0, revenue: 5_000 },
      { lines: 3, orders: 1, cancellations: 0, revenue: 7_500 },
      { lines: 1, orders: 1, cancellations: 0, revenue: 2_500 },
      { lines: 1, orders: 1, cancellations: 0, revenue: 2_500 },
      { lines: 1, orders: 1, cancellations: 0, revenue: 2_500 },
    ])
  })

  it('counts an invoice again that comes back after it had left', async () => {
    const after = await standingsAfter([[line('1')], [], [], [line('1')]], { window: 2 })
    expect(after.map((standings) => figures(standings, 'window', 'country', 'France')?.orders)).toEqual([1, 1, 0, 1])
    expect(figures(after.at(-1), 'total', 'country', 'France')?.orders).toBe(1)
  })

  it('is empty when nothing came for its length, and keeps the totals', async () => {
    const [, , last] = await standingsAfter([[line('1'), line('C2'), 'x'], [], []], { window: 2 })
    expect(last?.map(([, { window }]) => window.lines)).toEqual(last?.map(() => 0))
    expect(figures(last, 'total', 'all')).toMatchObject({ lines: 2, orders: 1, cancellations: 1 })
  })

  it('comes to the recomputation of the lines in it, after every batch, for any lines in any batches and partitions', async () => {
    const anyWindow = fc.integer({ min: 1, max: 9 })
    await fc.assert(
      fc.asyncProperty(anyBatches, anyWindow, anyPartitions, async (batches, window, partitions) => {
        const after = await standingsAfter(batches, { window, partitions })
        const expected = naiveWindows(batches, window)
        expect(after.map(windowTotals)).toEqual(expected.map((lines) => toJson(recompute(lines))))
        for (const customer of ['17850.0', '13047.0']) {
          const own = expected.map((lines) => recompute(lines.filter((text) => customerOf(text) === customer)))
          expect(after.map((standings) => figures(standings, 'window', 'customer', customer)?.orders ?? 0)).toEqual(
            own.map(({ orders }) => orders),
          )
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('suspicious customers', () => {
  const order = (invoice: string, customer: string) => line(invoice, '22633', 'France', customer)

  it('are those with more orders than the limit in the window, as long as they are in it', async () => {
    const batches = [
      [order('1', 'a'), order('1', 'a'), order('2', 'b')],
      [order('3', 'a'), order('1', 'a')],
      [order('4', 'a'), order('5', 'b')],
      [],
      [],
    ]
    const { suspicious } = await run(batches, { window: 3, maxOrders: 2 })
    // The fourth window has invoices 1, 3 and 4 of customer a; in the fifth there is only 4.
    const a = { customer: 'a', orders: 3, cancellations: 0 }
    expect(suspicious).toEqual([[], [], [{ ...a, revenue: 12_500 }], [{ ...a, revenue: 7_500 }], []])
  })

  it('are those with more cancellations than the limit, and each is there once', async () => {
    const batches = [[order('C1', 'a'), order('C2', 'a'), order('C3', 'b'), order('4', 'a')]]
    const flagged = async (limits: RunOptions): Promise<string[] | undefined> =>
      (await run(batches, limits)).suspicious[0]?.map(({ customer }) => customer).sort()
    expect(await flagged({ maxCancellations: 2 })).toEqual([])
    expect(await flagged({ maxCancellations: 1 })).toEqual(['a'])
    expect(await flagged({ maxCancellations: 0 })).toEqual(['a', 'b'])
    expect(await flagged({ maxCancellations: 0, maxOrders: 0 })).toEqual(['a', 'b'])
  })

  it('are never those whom the shop did not know, nor anything else with many orders', async () => {
    const batches = [Array.from({ length: 20 }, (_, i) => order(String(i), ''))]
    expect((await run(batches, { maxOrders: 10 })).suspicious).toEqual([[]])
  })
})

describe('the blacklist', () => {
  const order = (invoice: string, customer: string, quantity = 2) =>
    line(invoice, '22633', 'France', customer, quantity)

  it('marks orders of the customers in it, each invoice once a batch, and no cancellations', async () => {
    const batches = [[order('1', 'a', 2), order('1', 'a', 4), order('2', 'b'), order('C3', 'a'), order('4', ''), 'x']]
    const { blacklisted } = await run(batches, { blacklists: [['a', 'nobody']] })
    expect(blacklisted).toEqual([[{ invoice: '1', customer: 'a', revenue: 7_500 }]])
  })

  it('is read again for every batch, and holds from that batch on', async () => {
    const batch = [order('1', 'a'), order('2', 'b')]
    const { blacklisted } = await run([batch, batch, batch, batch], { blacklists: [[], ['a'], ['a', 'b'], ['b']] })
    const names = blacklisted.map((orders) => orders.map(({ customer }) => customer).sort())
    expect(names).toEqual([[], ['a'], ['a', 'b'], ['b']])
  })

  it('gives distinct orders of the batch, the window and all batches', async () => {
    const batches = [[order('1', 'a')], [order('1', 'a'), order('2', 'a')], [], []]
    const after = await standingsAfter(batches, { window: 2, blacklists: batches.map(() => ['a']) })
    const orders = (period: keyof Standing) =>
      after.map((standings) => figures(standings, period, 'blacklisted', 'a')?.orders)
    expect(orders('batch')).toEqual([1, 1, 0, 0])
    expect(orders('window')).toEqual([1, 2, 2, 0])
    expect(orders('total')).toEqual([1, 2, 2, 2])
  })
})

const toJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
