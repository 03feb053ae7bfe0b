/** What a line of the data set is: an order line, or one that is rejected with a reason. */
import { parseCsvLine } from './csv.js'

/** Money is counted in whole thousandths of a pound: integers add up exactly, in any order. */
export type Thousandths = number

/** One accepted line: so many pieces of one product on one invoice. */
export interface OrderLine {
  readonly kind: 'accepted'
  readonly invoice: string
  /** Whether the invoice is a cancellation: its number begins with `C`. Any other invoice is an order. */
  readonly isCancellation: boolean
  /** First two characters of the stock code, in upper case. */
  readonly group: string
  /** Quantity times price; below zero for goods that came back. */
  readonly revenue: Thousandths
  /** Undefined where the shop did not know the customer. */
  readonly customer: string | undefined
  readonly country: string
}

export interface RejectedLine {
  readonly kind: 'rejected'
  /** The line as it came. */
  readonly line: string
  readonly reason: RejectReason
}

/** Why a line is rejected; the first that applies, in this order. */
type RejectReason =
  | 'field count not eight'
  | 'quantity not an integer'
  | 'price not a number'
  | 'date not a date'
  | 'revenue not in exact thousandths'

/** Whether a line names the columns. No invoice number reads so. */
export function isHeader(line: string): boolean {
  return line.startsWith('InvoiceNo,')
}

/**
 * Reads one line of the data set: invoice number, stock code, description, quantity, date, price, customer, country.
 *
 * A quantity is digits with or without a sign, a price decimal digits with or without a sign and a point, a date a day of the
 * calendar and a time as in `2010-12-01 08:26:00`. What is a number, but no whole number of thousandths (`0.0005`) or
 * too large to be exact, is rejected too: better a line that everybody can see than a sum that nobody can check.
 */
export function parseLine(line: string): OrderLine | RejectedLine {
  const fields = parseCsvLine(line)
  if (fields?.length !== 8) return { kind: 'rejected', line, reason: 'field count not eight' }
  const [invoice, stockCode, , quantityText, date, priceText, customer, country] = fields as EightFields
  if (!/^[+-]?\d+$/.test(quantityText)) return { kind: 'rejected', line, reason: 'quantity not an integer' }
  const price = parseDecimal(priceText)
  if (price === undefined) return { kind: 'rejected', line, reason: 'price not a number' }
  if (!isDateTime(date)) return { kind: 'rejected', line, reason: 'date not a date' }
  const revenue = Number(quantityText) * price.thousandths + 0 // + 0 makes a zero of -0
  if (!price.isExact || !Number.isSafeInteger(revenue)) {
    return { kind: 'rejected', line, reason: 'revenue not in exact thousandths' }
  }
  return {
    kind: 'accepted',
    invoice,
    isCancellation: isCancellation(invoice),
    group: productGroup(stockCode),
    revenue,
    customer: customer === '' ? undefined : customer,
    country,
  }
}

export function isCancellation(invoice: string): boolean {
  return invoice.startsWith('C')
}

type EightFields = [string, string, string, string, string, string, string, string]

function productGroup(stockCode: string): string {
  return Array.from(stockCode).slice(0, 2).join('').toUpperCase()
}

/** A decimal number in thousandths, read from its digits: no binary fraction is ever involved. */
function parseDecimal(text: string): { readonly thousandths: Thousandths; readonly isExact: boolean } | undefined {
  const match = /^([+-]?)(?=\.?\d)(\d*)(?:\.(\d*))?$/.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = ''] = match
  const magnitude = Number(whole + fraction.slice(0, 3).padEnd(3, '0'))
  const isExact = Number.isSafeInteger(magnitude) && /^0*$/.test(fraction.slice(3))
  return { thousandths: sign === '-' ? -magnitude : magnitude, isExact }
}

const DAYS_OF_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Whether `text` is a time of a real day: `2011-02-29 08:26:00` is not. */
function isDateTime(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d$/.exec(text)
  if (match === null) return false
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const days = month === 2 && isLeapYear ? 29 : (DAYS_OF_MONTH[month - 1] ?? 0)
  return day >= 1 && day <= days
}
