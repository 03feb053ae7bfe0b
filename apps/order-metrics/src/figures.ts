/** Figures, what they are about, and how they add up. */
import type { Thousandths } from './orders.js'

/**
 * What figures are about: everything, one country, one product group, one customer, the orders of one blacklisted
 * customer, or one reason to reject a line.
 */
export type Subject = readonly [by: SubjectKind, name: string]
export type SubjectKind = 'all' | 'country' | 'group' | 'customer' | 'blacklisted' | 'rejected'

export interface Figures {
  readonly lines: number
  /**
   * Distinct invoices that are orders. In the figures of one batch: those that had their first line here in it. In those of
   * a window: those that have a line here in it.
   */
  readonly orders: number
  /** The same for invoices that are cancellations. */
  readonly cancellations: number
  readonly revenue: Thousandths
}

/** The figures of a subject in one batch, and in all batches up to it. */
export interface Running {
  readonly batch: Figures
  readonly total: Figures
}

/** And in the window that ends with that batch. */
export interface Standing extends Running {
  readonly window: Figures
}

export const NO_FIGURES: Figures = { lines: 0, orders: 0, cancellations: 0, revenue: 0 }

export function addFigures(a: Figures, b: Figures): Figures {
  return {
    lines: a.lines + b.lines,
    orders: a.orders + b.orders,
    cancellations: a.cancellations + b.cancellations,
    revenue: addExactly(a.revenue, b.revenue),
  }
}

/** Throws a RangeError when the sum cannot be exact. */
export function addExactly(a: Thousandths, b: Thousandths): Thousandths {
  const sum = a + b
  if (!Number.isSafeInteger(sum))
    throw new RangeError(`revenue is too large to be exact: ${String(a)} + ${String(b)} thousandths`)
  return sum
}
