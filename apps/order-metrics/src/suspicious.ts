/** Customers who order or cancel too much in too little time: scalpers. */
import type { Pair } from '@sluice/core'
import type { Standing, Subject } from './figures.js'
import type { Thousandths } from './orders.js'

/** More than these in the window are too many. */
export interface Limits {
  readonly orders: number
  readonly cancellations: number
}

/** A suspicious customer's figures in the window. */
export interface SuspiciousCustomer {
  readonly customer: string
  readonly orders: number
  readonly cancellations: number
  readonly revenue: Thousandths
}

/** The customer that a subject is, if suspicious. */
export function suspicionsOf([[by, name], { window }]: Pair<Subject, Standing>, limits: Limits): SuspiciousCustomer[] {
  if (by !== 'customer') return []
  const { orders, cancellations, revenue } = window
  if (orders <= limits.orders && cancellations <= limits.cancellations) return []
  return [{ customer: name, orders, cancellations, revenue }]
}
