/** The rows of the files that each batch gives. */
import type { BatchTime, Pair } from '@sluice/core'
import type { Figures, Standing, Subject } from './figures.js'
import type { BlacklistedOrder } from './metrics.js'
import type { RejectedLine } from './orders.js'
import type { SuspiciousCustomer } from './suspicious.js'

/** What has a line in the batch or in the window; customers in the batch only, as they are many. */
export function isInFiles([[by], { batch, window }]: Pair<Subject, Standing>): boolean {
  return batch.lines > 0 || (by !== 'customer' && window.lines > 0)
}

/** A subject's figures in a batch and in the window that ends with it, as they stand in files. */
export function metricsRow([[by, name], { batch, window }]: Pair<Subject, Standing>): object {
  return { by, name, ...figuresRow(batch), window: figuresRow(window) }
}

function figuresRow({ lines, orders, cancellations, revenue }: Figures): object {
  return { lines, orders, cancellations, revenueThousandths: revenue }
}

export function rejectedRow({ line, reason }: RejectedLine, batchTime: BatchTime): object {
  return { line, reason, batchTime }
}

export function suspiciousRow({ revenue, ...customer }: SuspiciousCustomer, batchTime: BatchTime): object {
  return { ...customer, revenueThousandths: revenue, batchTime }
}

export function blacklistedRow({ revenue, ...order }: BlacklistedOrder, batchTime: BatchTime): object {
  return { ...order, revenueThousandths: revenue, batchTime }
}
