/**
 * The job itself: from lines of the data set to figures of every batch and of all batches so far.
 *
 * An invoice may be spread over any number of batches, so nothing can be counted from one batch alone. The first state
 * remembers which invoices each subject has already seen; only what an invoice adds in this batch goes on to the second,
 * which keeps the running figures. Their sums are the same however the lines fall into batches and partitions.
 */
import type { DStream, Pair } from '@sluice/core'
import { isCancellation, parseLine, type OrderLine, type RejectedLine, type Thousandths } from './orders.js'

/** What figures are about: everything, one country, one product group, one customer, or one reason to reject a line. */
export type Subject = readonly [by: SubjectKind, name: string]
export type SubjectKind = 'all' | 'country' | 'group' | 'customer' | 'rejected'

export interface Figures {
  readonly lines: number
  /** Invoices that are orders, counted in the batch in which they first had a line here. */
  readonly orders: number
  /** The same for invoices that are cancellations. */
  readonly cancellations: number
  readonly revenue: Thousandths
}

/** The figures of a subject in one batch, and in all batches up to it. */
export interface Standing {
  readonly batch: Figures
  readonly total: Figures
}

export interface OrderMetrics {
  /** Every subject there has ever been, in every batch. */
  readonly standings: DStream<Pair<Subject, Standing>>
  /** The rejected lines of each batch. */
  readonly rejected: DStream<RejectedLine>
}

/** Declares the graph over a stream of the data set's lines. */
export function orderMetrics(lines: DStream<string>): OrderMetrics {
  const parsed = lines.map(parseLine, { name: 'parse' })
  const standings = parsed
    .flatMap(sharesOf, { name: 'shares' })
    .reduceByKey(addShares)
    .updateStateByKey<SeenShare>(([share], seen) => nextSeen(share, seen), { name: 'invoices' })
    .filter(([, share]) => share.lines > 0)
    .map(figuresOf)
    .reduceByKey(addFigures)
    .updateStateByKey<Standing>(([figures], standing) => nextStanding(figures, standing), { name: 'standings' })
  const rejected = parsed.filter((line) => line.kind === 'rejected')
  return { standings, rejected }
}

/** One invoice's part of a subject. A rejected line has no invoice that could be trusted. */
type InvoiceOfSubject = readonly [...Subject, invoice: string]

/** What an invoice brings to a subject in one batch. */
interface Share {
  readonly lines: number
  readonly revenue: Thousandths
}

interface SeenShare extends Share {
  /** Whether this batch is the first in which the subject sees the invoice. */
  readonly isNew: boolean
}

function sharesOf(line: OrderLine | RejectedLine): Pair<InvoiceOfSubject, Share>[] {
  if (line.kind === 'rejected') return [[['rejected', line.reason, ''], { lines: 1, revenue: 0 }]]
  const { invoice, country, group, customer, revenue } = line
  const share = { lines: 1, revenue }
  const shares: Pair<InvoiceOfSubject, Share>[] = [
    [['all', '', invoice], share],
    [['country', country, invoice], share],
    [['group', group, invoice], share],
  ]
  if (customer !== undefined) shares.push([['customer', customer, invoice], share])
  return shares
}

function addShares(a: Share, b: Share): Share {
  return { lines: a.lines + b.lines, revenue: addExactly(a.revenue, b.revenue) }
}

const NOTHING_NEW: SeenShare = { isNew: false, lines: 0, revenue: 0 }

function nextSeen(share: Share | undefined, seen: SeenShare | undefined): SeenShare {
  if (share !== undefined) return { ...share, isNew: seen === undefined }
  return seen?.lines === 0 ? seen : NOTHING_NEW
}

function figuresOf([[by, name, invoice], share]: Pair<InvoiceOfSubject, SeenShare>): Pair<Subject, Figures> {
  const newInvoices = share.isNew && by !== 'rejected' ? 1 : 0
  const cancellations = isCancellation(invoice) ? newInvoices : 0
  const figures = {
    lines: share.lines,
    orders: newInvoices - cancellations,
    cancellations,
    revenue: share.revenue,
  }
  return [[by, name], figures]
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

function nextStanding(figures: Figures | undefined, standing: Standing | undefined): Standing {
  const before = standing ?? { batch: NO_FIGURES, total: NO_FIGURES }
  if (figures !== undefined) return { batch: figures, total: addFigures(before.total, figures) }
  return before.batch.lines === 0 ? before : { batch: NO_FIGURES, total: before.total }
}

function addExactly(a: Thousandths, b: Thousandths): Thousandths {
  const sum = a + b
  if (!Number.isSafeInteger(sum))
    throw new RangeError(`revenue is too large to be exact: ${String(a)} + ${String(b)} thousandths`)
  return sum
}
