import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isHeader, parseLine } from './orders.js'

/** A line that is accepted, with some of its fields changed. */
function line(changes: Record<number, string> = {}): string {
  const fields = [
    '536365',
    '85123A',
    'WHITE HANGING HEART',
    '6',
    '2010-12-01 08:26:00',
    '2.55',
    '17850.0',
    'United Kingdom',
  ]
  return Object.assign(fields, changes).join(',')
}
const QUANTITY = 3
const DATE = 4
const PRICE = 5

const revenueOf = (quantity: string, price: string): number | string => {
  const parsed = parseLine(line({ [QUANTITY]: quantity, [PRICE]: price }))
  return parsed.kind === 'accepted' ? parsed.revenue : parsed.reason
}

describe('parseLine', () => {
  it('reads an order line', () => {
    expect(parseLine(line())).toEqual({
      kind: 'accepted',
      invoice: '536365',
      isCancellation: false,
      group: '85',
      revenue: 15_300,
      customer: '17850.0',
      country: 'United Kingdom',
    })
  })

  it('reads a cancellation, a missing customer, a group in upper case, and a comma in quotes', () => {
    const text = 'C536379,m,"Manual, ""by hand""",-1,2010-12-01 09:41:00,27.5,,"Korea, South"'
    expect(parseLine(text)).toEqual({
      kind: 'accepted',
      invoice: 'C536379',
      isCancellation: true,
      group: 'M',
      revenue: -27_500,
      customer: undefined,
      country: 'Korea, South',
    })
  })

  it('counts any invoice number that does not begin with an upper case C as an order', () => {
    for (const invoice of ['A563185', 'c536379', '536C', '']) {
      expect(parseLine(line({ 0: invoice }))).toMatchObject({ invoice, isCancellation: false })
    }
  })

  it.each([
    ['', 'field count not eight'],
    ['536365,85123A', 'field count not eight'],
    [`${line()},`, 'field count not eight'],
    [line({ 2: '"A' }), 'field count not eight'],
    ...['', ' 6', '6.0', '1e3', 'six', '--6', '6-', '0x6', '٦'].map((text) => [
      line({ [QUANTITY]: text }),
      'quantity not an integer',
    ]),
    ...['', '.', '-', ' 2.55', '2.55 ', '2,55', '1e3', 'NaN', 'Infinity', '£2.55', '2.5.5', '0x2'].map((text) => [
      line({ [PRICE]: text.includes(',') ? `"${text}"` : text }),
      'price not a number',
    ]),
    ...[
      '',
      '2010-12-01',
      '2010-13-01 08:26:00',
      '2010-00-01 08:26:00',
      '2010-12-00 08:26:00',
      '2010-11-31 08:26:00',
      '2011-02-29 08:26:00',
      '1900-02-29 08:26:00',
      '2010-12-01 24:00:00',
      '2010-12-01 08:60:00',
      '2010-12-01 08:26:60',
      '2010-12-01T08:26:00',
      '12/1/2010 8:26',
    ].map((text) => [line({ [DATE]: text }), 'date not a date']),
    [line({ [QUANTITY]: 'x', [PRICE]: 'x', [DATE]: 'x' }), 'quantity not an integer'],
    [line({ [PRICE]: 'x', [DATE]: 'x' }), 'price not a number'],
  ])('rejects %j: %s', (text, reason) => {
    expect(parseLine(text!)).toEqual({ kind: 'rejected', line: text, reason })
  })

  it('accepts every day of the calendar', () => {
    const noon = fc.date({ min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    fc.assert(
      fc.property(noon, (date) => {
        const text = date.toISOString().slice(0, 19).replace('T', ' ')
        expect(parseLine(line({ [DATE]: text }))).toMatchObject({ kind: 'accepted' })
      }),
    )
  })

  it.each([
    ['6', '2.55', 15_300],
    ['+6', '+2.55', 15_300],
    ['-6', '2.55', -15_300],
    ['6', '-11062.06', -66_372_360],
    ['3', '0.001', 3],
    ['3', '.1', 300],
    ['3', '2.', 6_000],
    ['3', '2.10000', 6_300],
    ['007', '02', 14_000],
    ['-1', '0', 0],
    ['0', '-1', 0],
    ['1', '9007199254740.991', Number.MAX_SAFE_INTEGER],
  ])('computes %s × %s exactly', (quantity, price, revenue) => {
    expect(revenueOf(quantity, price)).toBe(revenue)
  })

  it.each([
    ['2000', '0.0005'],
    ['1', '2.5501'],
    ['1', '9007199254740.992'],
    ['9007199254740993', '0.001'],
    ['9'.repeat(400), '1'],
    ['9'.repeat(400), '0'],
  ])('rejects %s × %s, which thousandths cannot hold exactly', (quantity, price) => {
    expect(revenueOf(quantity, price)).toBe('revenue not in exact thousandths')
  })

  it('computes as integers do, for any quantity and price', () => {
    const price = fc.integer({ min: -10_000_000, max: 10_000_000 })
    fc.assert(
      fc.property(fc.integer({ min: -100_000, max: 100_000 }), price, (quantity, thousandths) => {
        const digits = String(Math.abs(thousandths)).padStart(4, '0')
        const text = `${thousandths < 0 ? '-' : ''}${digits.slice(0, -3)}.${digits.slice(-3)}`
        expect(revenueOf(String(quantity), text)).toBe(quantity * thousandths + 0)
      }),
    )
  })

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.string(), { minLength: 8, maxLength: 8 }).map((f) => f.join(',')),
        ),
        (text) => {
          const parsed = parseLine(text)
          if (parsed.kind === 'rejected') expect(parsed.line).toBe(text)
        },
      ),
    )
  })
})

describe('isHeader', () => {
  it('knows the line that names the columns', () => {
    expect(isHeader('InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country')).toBe(true)
    expect(isHeader('InvoiceNo')).toBe(false)
    expect(isHeader(line())).toBe(false)
  })
})
