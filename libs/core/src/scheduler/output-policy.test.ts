/** Outputs of one batch: how many run at a time, and which are tried again. */
import { describe, expect, test } from 'vitest'
import { milliseconds } from '../time/duration.js'
import { Gate, harness, until } from '../testing/harness.js'

describe('concurrentJobs', () => {
  test('outputs of a batch run one after another by default, in the order of their declaration', async () => {
    const h = harness()
    const stream = h.ssc.queueStream([[1]])
    const seen: string[] = []
    for (const name of ['a', 'b', 'c']) {
      stream.foreachRDD(async (rdd) => {
        seen.push(`${name} begins`)
        await rdd.collect()
        seen.push(`${name} ends`)
      })
    }
    await h.ssc.start()
    await h.batch()
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
    await h.ssc.stop({ graceful: false })
  })

  test('E2: with concurrentJobs 2, two outputs of one batch overlap, and the next batch waits for both', async () => {
    const h = harness({ concurrentJobs: 2 })
    const stream = h.ssc.queueStream([[1], [2]])
    const gate = new Gate()
    const begun: string[] = []
    for (const name of ['a', 'b', 'c']) {
      stream.foreachRDD(async (_rdd, time) => {
        begun.push(`${name}@${String(time)}`)
        if (time === 1000 && name !== 'c') await gate.opened
      })
    }
    await h.ssc.start()
    await h.clock.advance(2000)
    await until(() => begun.length === 2, 'two outputs run')
    await h.clock.settle(20)
    expect(begun).toEqual(['a@1000', 'b@1000'])
    gate.open()
    await until(() => h.completed.length === 2, 'both batches are done')
    expect(begun).toEqual(['a@1000', 'b@1000', 'c@1000', 'a@2000', 'b@2000', 'c@2000'])
    await h.ssc.stop({ graceful: false })
  })

  test('is refused when it is no whole number of at least 1', () => {
    expect(() => harness({ concurrentJobs: 0 })).toThrow(/concurrentJobs must be a whole number/)
  })
})

describe('E13: outputs that failed', () => {
  test('only unfinished outputs are retried, and state is evaluated once for all tries', async () => {
    const h = harness({ outputRetry: { retries: 2, minDelay: milliseconds(10) } })
    let evaluated = 0
    const counts = h.ssc
      .queueStream([['x', 'x', 'y']])
      .map((word) => [word, 1])
      .updateStateByKey<number>((values, state) => {
        evaluated++
        return (state ?? 0) + values.length
      })
    const runs = { good: 0, bad: 0 }
    const results: unknown[] = []
    counts.foreachRDD(async (rdd) => {
      runs.good++
      await rdd.collect()
    })
    counts.foreachRDD(async (rdd) => {
      const records = await rdd.collect()
      if (++runs.bad < 3) throw new Error('not yet')
      results.push(records)
    })
    await h.ssc.start()
    await h.clock.advance(1000)
    for (let i = 0; i < 10; i++) await h.clock.advance(10)
    await until(() => h.completed.length === 1, 'the batch is committed')
    expect(runs).toEqual({ good: 1, bad: 3 })
    expect(results).toEqual([
      [
        ['x', 2],
        ['y', 1],
      ],
    ])
    expect(evaluated).toBe(2)
    await h.ssc.stop({ graceful: false })
  })

  test('without retries, the first failure ends the application', async () => {
    const h = harness()
    let runs = 0
    h.ssc.queueStream([[1], [2]]).foreachRDD((): void => {
      runs++
      throw new Error('no')
    })
    await h.ssc.start()
    const end = h.end()
    await h.clock.advance(2000)
    await expect(end).resolves.toMatchObject({ message: expect.stringContaining('no') as string })
    expect(runs).toBe(1)
  })

  test('an error that no retry can help is not retried', async () => {
    const h = harness({ outputRetry: { retries: 5, minDelay: milliseconds(1) } })
    let runs = 0
    h.ssc.queueStream([[1]]).foreachRDD(async (rdd) => {
      runs++
      await rdd.map((n) => Promise.resolve(n) as unknown as number).collect()
    })
    await h.ssc.start()
    const end = h.end()
    await h.clock.advance(1000)
    await expect(end).resolves.toMatchObject({ code: 'ASYNC_FUNCTION' })
    expect(runs).toBe(1)
  })
})
