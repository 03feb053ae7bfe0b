import { ManualClock } from '@sluice/core/testing'
import type { BatchTime } from '@sluice/core'
import { describe, expect, test } from 'vitest'
import { Progress } from './progress.js'

const at = (ms: number): BatchTime => ms as BatchTime

describe('what may be committed', () => {
  test('is at once what was stored, where that is safe', () => {
    const progress = new Progress(true)
    progress.stored('orders-0', 7n, new ManualClock(1_000))
    expect(progress.safe('orders-0')).toBe(7n)
    expect(progress.safe('orders-1')).toBeUndefined()
  })

  test('is what was stored before the time of a batch that is done, where a crash would take the rest', async () => {
    const [progress, clock] = [new Progress(false), new ManualClock(1_000)]
    progress.stored('orders-0', 5n, clock)
    await clock.advance(500)
    progress.stored('orders-0', 7n, clock)
    await clock.advance(500)
    progress.stored('orders-0', 9n, clock)
    expect(progress.safe('orders-0')).toBeUndefined()
    progress.batchDone(at(1_000))
    expect(progress.safe('orders-0')).toBeUndefined()
    progress.batchDone(at(2_000))
    // What was stored at the very time of the batch may be in the next one.
    expect(progress.safe('orders-0')).toBe(7n)
    progress.batchDone(at(3_000))
    expect(progress.safe('orders-0')).toBe(9n)
  })

  test('never goes back: others may have had the partition meanwhile', () => {
    const [progress, clock] = [new Progress(false), new ManualClock(1_000)]
    progress.stored('orders-0', 5n, clock)
    progress.begins('orders-0', 8n)
    progress.batchDone(at(2_000))
    expect(progress.safe('orders-0')).toBe(8n)
  })
})
