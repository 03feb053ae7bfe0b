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
  return `batch ${timeOfDay(batchTime)}  ${grouped(records)} records  ${String(processingDelayMs ?? 0)} ms${waited}`
}

// By hand, as what a locale can do costs a short batch a twentieth of its time.
function timeOfDay(ms: number): string {
  const time = new Date(ms)
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

/** Digits in threes, e.g. `1,204`. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}
