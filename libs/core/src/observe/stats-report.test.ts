import { expect, test } from 'vitest'
import { memoryLogger } from '../testing/harness.js'
import type { BatchInfo } from './listener.js'
import { statsReportListener } from './stats-report.js'

const batch = (totalDelayMs: number, processingDelayMs: number): BatchInfo =>
  ({ totalDelayMs, processingDelayMs }) as BatchInfo

test('after each batch the distribution of the last ones is logged, and older ones are forgotten', () => {
  const logger = memoryLogger()
  const { lines } = logger
  const listener = statsReportListener(logger, 4)
  for (let i = 1; i <= 5; i++) listener.onBatchCompleted?.(batch(i * 100, i))
  expect(lines).toHaveLength(10)
  expect(lines.slice(0, 1)).toEqual([
    'info: total delay of the last 1 batches in ms: min 100, 5 % 100, 10 % 100, 25 % 100, 50 % 100, 75 % 100, 90 % 100, 95 % 100, max 100',
  ])
  expect(lines.slice(-2)).toEqual([
    'info: total delay of the last 4 batches in ms: min 200, 5 % 200, 10 % 200, 25 % 300, 50 % 400, 75 % 500, 90 % 500, 95 % 500, max 500',
    'info: processing time of the last 4 batches in ms: min 2, 5 % 2, 10 % 2, 25 % 3, 50 % 4, 75 % 5, 90 % 5, 95 % 5, max 5',
  ])
})
