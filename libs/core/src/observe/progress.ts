/** Progress on the console: one line per batch. */
import type { BatchInfo, StreamingListener } from './listener.js'
import type { Logger } from './logger.js'

/** Logs `batch 12:00:05  1,204 records  35 ms` for every batch that had records, and every failure. */
export function progressListener(logger: Logger): StreamingListener {
  return {
    onBatchCompleted: (info) => {
      if (info.records > 0) logger.info(progressLine(info))
    },
    onBatchFailed: (info) => {
      logger.error(`batch ${timeOfDay(info.batchTime)} failed after ${String(info.processingDelayMs ?? 0)} ms`)
    },
  }
}

function progressLine({ batchTime, records, processingDelayMs, schedulingDelayMs }: BatchInfo): string {
  const waited = (schedulingDelayMs ?? 0) > 0 ? `, waited ${String(schedulingDelayMs)} ms` : ''
  return `batch ${timeOfDay(batchTime)}  ${records.toLocaleString('en-US')} records  ${String(processingDelayMs ?? 0)} ms${waited}`
}

function timeOfDay(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8)
}
