/**
 * What the job must come to, computed without it: one plain loop over all lines, with sets, a regular expression for the
 * fields, and big integers for the money. It shares no code with the job.
 */

interface ExpectedTally {
  orders: number
  revenueThousandths: number
}

export interface ExpectedTotals {
  lines: number
  accepted: number
  rejected: number
  orders: number
  cancellations: number
  revenueThousandths: number
  customers: number
  byCountry: Record<string, ExpectedTally>
  byGroup: Record<string, ExpectedTally>
}

interface Part {
  readonly orders: Set<string>
  revenue: bigint
}

/** The totals of these lines, in the shape of `totals.json`. */
export function recompute(lines: readonly string[]): ExpectedTotals {
  const invoices = new Set<string>()
  const customers = new Set<string>()
  const all: Part = { orders: new Set(), revenue: 0n }
  const countries = new Map<string, Part>()
  const groups = new Map<string, Part>()
  let rejected = 0
  for (const line of lines) {
    const fields = splitFields(line)
    if (reasonToReject(fields) !== undefined) {
      rejected++
      continue
    }
    const [invoice = '', stockCode = '', , quantity = '', , price = '', customer = '', country = ''] = fields
    const revenue = BigInt(quantity) * thousandths(price)
    const group = stockCode.substring(0, 2).toUpperCase()
    invoices.add(invoice)
    if (customer.length > 0) customers.add(customer)
    for (const part of [all, partOf(countries, country), partOf(groups, group)]) {
      if (!invoice.startsWith('C')) part.orders.add(invoice)
      part.revenue += revenue
    }
  }
  return {
    lines: lines.length,
    accepted: lines.length - rejected,
    rejected,
    orders: all.orders.size,
    cancellations: invoices.size - all.orders.size,
    revenueThousandths: Number(all.revenue),
    customers: customers.size,
    byCountry: tallies(countries),
    byGroup: tallies(groups),
  }
}

/** Why a line of these fields is no order line; undefined when it is one. */
export function reasonToReject(fields: readonly string[]): string | undefined {
  if (fields.length !== 8) return 'field count not eight'
  if (!/^-?[0-9]+$/.test(fields[3] ?? '')) return 'quantity not an integer'
  if (!/^-?[0-9]+(\.[0-9]+)?$/.test(fields[5] ?? '')) return 'price not a number'
  const date = (fields[4] ?? '').replace(' ', 'T')
  const parsed = new Date(`${date}Z`)
  const isDate = !Number.isNaN(parsed.getTime()) && parsed.toISOString() === `${date}.000Z`
  return isDate ? undefined : 'date not a date'
}

/** The fields of a line whose quotes match. */
export function splitFields(line: string): string[] {
  const separated = `,${line}`
  return [...separated.matchAll(/,(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)/g)].map(
    ([, quoted, plain]) => quoted?.split('""').join('"') ?? plain ?? '',
  )
}

function thousandths(price: string): bigint {
  const [whole = '', fraction = ''] = price.replace('-', '').split('.')
  const magnitude = BigInt(whole) * 1_000n + BigInt(`${fraction}000`.substring(0, 3))
  return price.includes('-') ? -magnitude : magnitude
}

function partOf(parts: Map<string, Part>, name: string): Part {
  const part = parts.get(name) ?? { orders: new Set<string>(), revenue: 0n }
  parts.set(name, part)
  return part
}

function tallies(parts: ReadonlyMap<string, Part>): Record<string, ExpectedTally> {
  return Object.fromEntries(
    [...parts].map(([name, { orders, revenue }]) => [
      name,
      { orders: orders.size, revenueThousandths: Number(revenue) },
    ]),
  )
}
