/** Orders: the objects, CSV lines and pairs that the benchmarks run over. */
import { mulberry32 } from './words.js'

export interface Order {
  readonly id: number
  readonly customer: string
  readonly country: string
  readonly day: number
  readonly amount: number
  readonly isPaid: boolean
}

export interface OrderOptions {
  readonly orders: number
  readonly customers: number
}

const COUNTRIES = ['AT', 'BE', 'CH', 'DE', 'ES', 'FR', 'IT', 'NL', 'PL', 'PT', 'SE', 'UK'] as const

/** Orders of random customers over 30 days; one in eight is not paid. Amounts have cents. */
export function makeOrders({ orders, customers }: OrderOptions): Order[] {
  const random = mulberry32(7)
  const integer = (below: number): number => Math.floor(random() * below)
  const names = Array.from({ length: customers }, (_, i) => `customer-${String(i)}`)
  return Array.from({ length: orders }, (_, id) => ({
    id,
    customer: names[integer(customers)] as string,
    country: COUNTRIES[integer(COUNTRIES.length)] as string,
    day: integer(30),
    amount: (integer(100_000) + 1) / 100,
    isPaid: integer(8) > 0,
  }))
}

/** The same as lines of comma-separated values. */
export function makeCsvLines(options: OrderOptions): string[] {
  return makeOrders(options).map(({ id, customer, country, day, amount, isPaid }) =>
    // Flat strings, as lines that were read are.
    Buffer.from([id, customer, country, day, amount, isPaid ? 'paid' : 'open'].join(',')).toString('latin1'),
  )
}
