/**
 * The job itself: from lines of the data set to figures of every batch, of the last minutes, and of all batches so far.
 *
 * An invoice may be spread over any number of batches, so nothing can be counted from one batch alone. Everything begins with
 * shares: what one invoice brings to one subject in one batch. One state remembers which invoices a subject has already
 * seen; only what an invoice adds in this batch goes on to the next, which keeps the running figures. The window
 * holds the shares themselves and counts them anew for every result. So an invoice counts once in each, and the figures are
 * the same however the lines fall into partitions; those of all batches also however they fall into batches.
 */
import type { Duration, DStream, Pair, State } from '@sluice/core'
import {
  addExactly,
  addFigures,
  NO_FIGURES,
  type Figures,
  type Running,
  type Standing,
  type Subject,
} from './figures.js'
import { isCancellation, parseLine, type OrderLine, type RejectedLine, type Thousandths } from './orders.js'
import { suspicionsOf, type Limits, type SuspiciousCustomer } from './suspicious.js'

/** What a blacklisted customer ordered on one invoice in one batch. */
export interface BlacklistedOrder {
  readonly invoice: string
  readonly customer: string
  readonly revenue: Thousandths
}

export interface MetricsOptions {
  /** A multiple of the batch interval. */
  readonly window: Duration
  readonly limits: Limits
  /** Who is blacklisted; asked in every batch. Undefined: nobody, ever. */
  readonly blacklist: (() => Promise<readonly string[]>) | undefined
}

export interface OrderMetrics {
  /** Every subject there has ever been, in every batch. */
  readonly standings: DStream<Pair<Subject, Standing>>
  /** Customers with too many orders or cancellations in the window, in every batch. */
  readonly suspicious: DStream<SuspiciousCustomer>
  /** The orders of blacklisted customers in each batch. */
  readonly blacklisted: DStream<BlacklistedOrder>
  /** The rejected lines of each batch. */
  readonly rejected: DStream<RejectedLine>
}

/** Declares the graph over a stream of the data set's lines. */
export function orderMetrics(lines: DStream<string>, { window, limits, blacklist }: MetricsOptions): OrderMetrics {
  const parsed = lines.map(parseLine, { name: 'parse' })
  const shares = sharesIn(parsed, blacklist).reduceByKey(addShares).cache()
  const running = shares
    .mapWithState(newFigures, { name: 'invoices' })
    .reduceByKey(addFigures)
    .updateStateByKey<Running>(([figures], before) => nextRunning(figures, before), { name: 'standings' })
  const inWindow = shares
    .reduceByKeyAndWindow(addShares, { window, inverse: subtractShares, name: 'window' })
    .map(([[by, name, invoice], share]): Pair<Subject, Figures> => [[by, name], figuresOf(by, invoice, share)])
    .reduceByKey(addFigures)
  // Both sides lie in the partitions of their subjects already: nothing is moved.
  const standings = running
    .leftOuterJoin(inWindow)
    .mapValues(([{ batch, total }, figures]): Standing => ({ batch, window: figures ?? NO_FIGURES, total }))
    .cache()
  return {
    standings,
    suspicious: standings.flatMap((standing) => suspicionsOf(standing, limits)),
    blacklisted: shares.filter(([[by]]) => by === 'blacklisted').map(blacklistedOrder),
    rejected: parsed.filter((line) => line.kind === 'rejected'),
  }
}

/** One invoice's part of a subject. A rejected line has no invoice that could be trusted. */
type InvoiceOfSubject = readonly [...Subject, invoice: string]

/** What an invoice brings to a subject in one batch, or in a window. */
interface Share {
  readonly lines: number
  readonly revenue: Thousandths
}

const NOBODY: ReadonlySet<string> = new Set()

/**
 * The lines' shares. The blacklist is joined in as what it is, a small set: every partition has the whole of it, and no line
 * is moved. A batch that is run again sees the list of its first run, as the engine records it.
 */
function sharesIn(
  lines: DStream<OrderLine | RejectedLine>,
  blacklist: MetricsOptions['blacklist'],
): DStream<Pair<InvoiceOfSubject, Share>> {
  if (blacklist === undefined) return lines.flatMap((line) => sharesOf(line, NOBODY), { name: 'shares' })
  return lines.transform(
    (rdd, _batchTime, customers) => {
      const blacklisted = new Set(customers)
      return rdd.flatMap((line) => sharesOf(line, blacklisted))
    },
    { name: 'blacklist', sideData: blacklist },
  )
}

function sharesOf(line: OrderLine | RejectedLine, blacklisted: ReadonlySet<string>): Pair<InvoiceOfSubject, Share>[] {
  if (line.kind === 'rejected') return [[['rejected', line.reason, ''], { lines: 1, revenue: 0 }]]
  const { invoice, country, group, customer, revenue } = line
  const share = { lines: 1, revenue }
  const shares: Pair<InvoiceOfSubject, Share>[] = [
    [['all', '', invoice], share],
    [['country', country, invoice], share],
    [['group', group, invoice], share],
  ]
  if (customer === undefined) return shares
  shares.push([['customer', customer, invoice], share])
  if (!line.isCancellation && blacklisted.has(customer)) shares.push([['blacklisted', customer, invoice], share])
  return shares
}

function addShares(a: Share, b: Share): Share {
  return { lines: a.lines + b.lines, revenue: addExactly(a.revenue, b.revenue) }
}

function subtractShares(a: Share, b: Share): Share {
  return { lines: a.lines - b.lines, revenue: addExactly(a.revenue, -b.revenue) }
}

/** What a share adds to its subject's figures: its invoice only if the subject has not seen it in an earlier batch. */
function newFigures(
  [by, name, invoice]: InvoiceOfSubject,
  share: Share | undefined,
  seen: State<true>,
): Pair<Subject, Figures> | undefined {
  if (share === undefined) return undefined
  const figures = figuresOf(by, invoice, share)
  if (seen.exists()) return [[by, name], { ...figures, orders: 0, cancellations: 0 }]
  seen.update(true)
  return [[by, name], figures]
}

/** The figures of one invoice. */
function figuresOf(by: Subject[0], invoice: string, { lines, revenue }: Share): Figures {
  const invoices = by === 'rejected' ? 0 : 1
  const cancellations = isCancellation(invoice) ? invoices : 0
  return { lines, orders: invoices - cancellations, cancellations, revenue }
}

function blacklistedOrder([[, customer, invoice], { revenue }]: Pair<InvoiceOfSubject, Share>): BlacklistedOrder {
  return { invoice, customer, revenue }
}

function nextRunning(figures: Figures | undefined, running: Running | undefined): Running {
  const before = running ?? { batch: NO_FIGURES, total: NO_FIGURES }
  if (figures !== undefined) return { batch: figures, total: addFigures(before.total, figures) }
  return before.batch.lines === 0 ? before : { batch: NO_FIGURES, total: before.total }
}
