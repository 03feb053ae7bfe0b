/** Statistics of the last batches, after Spark's `StatsReportListener`. */
import type { BatchInfo, StreamingListener } from './listener.js'
import type { Logger } from './logger.js'

const DEFAULT_BATCHES = 10
const SHARES = [0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1]

/**
 * A listener that logs, after each batch, how the total delays and processing times of the last `batches` (default 10) are
 * distributed: smallest, 5 %, 10 %, 25 %, 50 %, 75 %, 90 %, 95 %, largest, in ms. Give it to `ssc.addListener`.
 */
export function statsReportListener(logger: Logger, batches = DEFAULT_BATCHES): StreamingListener {
  const last: BatchInfo[] = []
  return {
    onBatchCompleted: (info) => {
      last.push(info)
      if (last.length > batches) last.shift()
      logger.info(lineOf('total delay', last, ({ totalDelayMs }) => totalDelayMs))
      logger.info(lineOf('processing time', last, ({ processingDelayMs }) => processingDelayMs))
    },
  }
}

function lineOf(what: string, batches: readonly BatchInfo[], of: (info: BatchInfo) => number | undefined): string {
  const sorted = batches.map((info) => of(info) ?? 0).sort((a, b) => a - b)
  const quantiles = SHARES.map((share) => `${label(share)} ${String(quantile(sorted, share))}`)
  return `${what} of the last ${String(batches.length)} batches in ms: ${quantiles.join(', ')}`
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

function label(share: number): string {
  if (share === 0) return 'min'
  return share === 1 ? 'max' : `${String(Math.round(share * 100))} %`
}
