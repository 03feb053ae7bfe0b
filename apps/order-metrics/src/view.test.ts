import { describe, expect, it } from 'vitest'
import { NO_FIGURES, type Figures, type Standing, type Subject } from './figures.js'
import { formatTotals, totalsOf, type Standings } from './totals.js'
import { pounds, renderBlock, renderTable, renderTotals, viewFor, type Output, type Snapshot } from './view.js'

const figures = (lines: number, orders: number, cancellations: number, revenue: number): Figures => ({
  lines,
  orders,
  cancellations,
  revenue,
})
const standing = (total: Figures, batch: Figures = NO_FIGURES, window: Figures = batch): Standing => ({
  total,
  batch,
  window,
})

const standings: Standings = [
  [
    ['all', ''],
    standing(
      figures(31_000, 1_342, 116, 1_234_567_890),
      figures(260, 7, 1, 1_234_500),
      figures(8_000, 300, 20, 98_765_430),
    ),
  ],
  [['country', 'United Kingdom'], standing(figures(30_000, 1_300, 100, 1_000_000_000), figures(250, 6, 1, 1_000_000))],
  [['country', 'EIRE'], standing(figures(900, 42, 15, 234_567_890), figures(10, 1, 0, 234_500))],
  [['country', 'Narnia\x1b[2J'], standing(figures(100, 0, 1, -5))],
  [['group', '22'], standing(figures(31_000, 1_342, 116, 1_234_567_890), figures(260, 7, 1, 1_234_500))],
  [['group', 'M'], standing(figures(1, 1, 0, 10))],
  [['group', '84'], standing(figures(1, 1, 0, 10))],
  [['customer', '17850.0'], standing(figures(9, 2, 0, 500))],
  [
    ['blacklisted', '12748.0\x1b[2J'],
    standing(figures(9, 3, 0, 4_000), figures(1, 0, 0, 500), figures(5, 2, 0, 3_000)),
  ],
  [['blacklisted', '13047.0'], standing(figures(9, 1, 0, 1_000))],
  [['rejected', 'date not a date'], standing(figures(3, 0, 0, 0), figures(1, 0, 0, 0))],
  [['rejected', 'price not a number'], standing(figures(4, 0, 0, 0))],
]
const snapshot: Snapshot = {
  batchTime: new Date(2010, 11, 1, 8, 26, 0).getTime(),
  windowMs: 300_000,
  standings,
  suspicious: [
    { customer: '15061.0', orders: 0, cancellations: 3, revenue: -5 },
    { customer: '17850.0', orders: 1_234, cancellations: 1, revenue: 5 },
  ],
}

describe('totalsOf and formatTotals', () => {
  it('give totals.json, names in the order of their codes', () => {
    const text = formatTotals(totalsOf(standings))
    expect(text).toBe(`{
  "lines": 31007,
  "accepted": 31000,
  "rejected": 7,
  "orders": 1342,
  "cancellations": 116,
  "revenueThousandths": 1234567890,
  "customers": 1,
  "byCountry": {
    "EIRE": { "orders": 42, "revenueThousandths": 234567890 },
    "Narnia\\u001b[2J": { "orders": 0, "revenueThousandths": -5 },
    "United Kingdom": { "orders": 1300, "revenueThousandths": 1000000000 }
  },
  "byGroup": {
    "22": { "orders": 1342, "revenueThousandths": 1234567890 },
    "84": { "orders": 1, "revenueThousandths": 10 },
    "M": { "orders": 1, "revenueThousandths": 10 }
  }
}
`)
    expect(formatTotals(totalsOf(standings.toReversed()))).toBe(text)
  })

  it('keep a name that JavaScript objects treat in their own way', () => {
    const subject: Subject = ['country', '__proto__']
    const parsed: unknown = JSON.parse(formatTotals(totalsOf([[subject, standing(figures(1, 1, 0, 5))]])))
    expect(parsed).toHaveProperty('byCountry', JSON.parse('{"__proto__":{"orders":1,"revenueThousandths":5}}'))
  })

  it('are zeros before the first line', () => {
    expect(JSON.parse(formatTotals(totalsOf([])))).toEqual({
      lines: 0,
      accepted: 0,
      rejected: 0,
      orders: 0,
      cancellations: 0,
      revenueThousandths: 0,
      customers: 0,
      byCountry: {},
      byGroup: {},
    })
  })
})

describe('pounds', () => {
  it.each([
    [0, '£0.00'],
    [10, '£0.01'],
    [1, '£0.001'],
    [-15_300, '-£15.30'],
    [1_234_567_890, '£1,234,567.89'],
  ])('shows %d thousandths as %s', (thousandths, text) => {
    expect(pounds(thousandths)).toBe(text)
  })
})

describe('renderTable', () => {
  it('shows orders, revenue, cancellations and rejected lines, so far, in the window and in the batch, with the best of each kind', () => {
    expect(`\n${renderTable(snapshot, 21).join('\n')}\n`).toBe(`
Order metrics after batch 08:26:00
                                so far           last 5 min          this batch
                  orders     revenue £  orders    revenue £  orders   revenue £
all                1,342  1,234,567.89     300    98,765.43       7    1,234.50
blacklisted            4          5.00       2         3.00       0        0.50
cancellations        116                    20                    1
lines             31,007                 8,001                  261
rejected lines         7                     1                    1
customers              1
product groups
  22               1,342  1,234,567.89       7     1,234.50       7    1,234.50
  84                   1          0.01       0         0.00       0        0.00
countries
  United Kingdom   1,300  1,000,000.00       6     1,000.00       6    1,000.00
  EIRE                42    234,567.89       1       234.50       1      234.50
top customers
  17850.0              2          0.50       0         0.00       0        0.00
suspicious  17850.0 (1,234 orders, 1 cancellation), 15061.0 (3 cancellations)
blacklisted  12748.0?[2J (2 orders)
`)
  })

  it.each([1, 16, 24, 50])('fits a terminal of %d rows and 80 columns, or is as short as it can be', (rows) => {
    const many = Array.from(
      { length: 30 },
      (_, i) => [['country', `Land ${String(i)}`], standing(figures(1, 1, 1, i))] as const,
    )
    const lines = renderTable({ ...snapshot, standings: [...standings, ...many] }, rows)
    expect(lines.length).toBeLessThan(Math.max(rows, 18))
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(80)
  })

  it('names as many suspicious and blacklisted customers as a row takes, and says how many there are', () => {
    const suspicious = Array.from({ length: 9 }, (_, i) => ({
      customer: `1700${String(i)}.0`,
      orders: 20 - i,
      cancellations: i % 2,
      revenue: 0,
    }))
    const lines = renderTable({ ...snapshot, suspicious: suspicious.toReversed() }, 24)
    expect(lines).toContain('suspicious  17000.0 (20 orders), 17001.0 (19 orders, 1 cancellation) + 7 more')
    expect(renderTable({ ...snapshot, suspicious: [] }, 24).join('\n')).not.toContain('suspicious')
  })

  it('lets no control character of the data through', () => {
    expect(renderTable(snapshot, 40).join('')).toContain('Narnia?[2J')
    expect(renderBlock(snapshot).join('')).not.toContain('\x1b')
  })
})

describe('renderBlock', () => {
  it('shows the same in a few lines', () => {
    expect(renderBlock(snapshot)).toEqual([
      '08:26:00  orders 1,342 (+7)  revenue £1,234,567.89 (+£1,234.50)  cancellations 116 (+1)  lines 31,007 (+261)  rejected 7 (+1)',
      '          last 5 min: orders 300  revenue £98,765.43  cancellations 20',
      '          group 22: orders 1,342 (+7)  revenue £1,234,567.89 (+£1,234.50)',
      '          group 84: orders 1 (+0)  revenue £0.01 (+£0.00)',
      '          country United Kingdom: orders 1,300 (+6)  revenue £1,000,000.00 (+£1,000.00)',
      '          country EIRE: orders 42 (+1)  revenue £234,567.89 (+£234.50)',
      '          customer 17850.0: orders 2 (+0)  revenue £0.50 (+£0.00)',
      '          suspicious  17850.0 (1,234 orders, 1 cancellation), 15061.0 (3 cancellations)',
      '          blacklisted  12748.0?[2J (2 orders)',
    ])
  })
})

describe('renderTotals', () => {
  it('sums a run up', () => {
    expect(renderTotals(totalsOf(standings))).toEqual([
      '1,342 orders and 116 cancellations of 1 customers in 3 countries, revenue £1,234,567.89',
      '31,007 lines: 31,000 accepted, 7 rejected',
    ])
  })
})

describe('viewFor', () => {
  const outputOf = (own: Partial<Output> = {}): Output & { text: string } => ({
    text: '',
    write(text: string) {
      this.text += text
    },
    ...own,
  })

  it('draws over itself on a terminal, and writes messages above', () => {
    const output = outputOf({ isTTY: true, columns: 30, rows: 24 })
    const view = viewFor(output, output, 1_000)
    view.show(snapshot)
    const table = output.text
    expect(table).not.toContain('\x1b')
    expect(table.split('\n').every((line) => line.length < 30)).toBe(true)
    const rows = table.split('\n').length - 1
    output.text = ''
    view.show(snapshot)
    expect(output.text).toBe(`\x1b[${String(rows)}A\x1b[J${table}`)
    output.text = ''
    view.log('a warning')
    expect(output.text).toBe(`\x1b[${String(rows)}A\x1b[Ja warning\n${table}`)
  })

  it('writes a block with the first lines and about every five seconds elsewhere, and messages to the log', () => {
    const output = outputOf()
    const log = outputOf()
    const view = viewFor(output, log, 1_000)
    view.show({ ...snapshot, standings: [] })
    for (let batch = 0; batch < 10; batch++) view.show(snapshot)
    view.log('a warning')
    expect(output.text).toBe(`${renderBlock(snapshot).join('\n')}\n`.repeat(2))
    expect(log.text).toBe('a warning\n')
  })
})
