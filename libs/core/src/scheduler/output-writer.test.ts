import { expect, test } from 'vitest'
import { isSluiceError, SluiceError, type ErrorCode } from '../errors.js'
import type { BatchId, BatchPartitionId, OutputOptions, Sink, WriteContext } from '../sink/sink.js'
import { Gate, harness, until, type Harness } from '../testing/harness.js'
import { milliseconds, seconds } from '../time/duration.js'

type Write = (id: BatchPartitionId, chunks: AsyncIterable<readonly number[]>, context: WriteContext) => Promise<void>

/** A sink whose behaviour is the test's. */
function sinkOf(writePartition: Write, more: Partial<Sink<number>> = {}): Sink<number> {
  return {
    '~sluice': 'sink/1',
    name: 'test-sink',
    target: 'somewhere',
    guarantee: { level: 'exactly-once', condition: 'it is a test' },
    writePartition,
    ...more,
  }
}

/** A run with one batch of these records, in so many partitions. */
async function started(
  sink: Sink<number>,
  options?: OutputOptions,
  { records = [1, 2, 3, 4, 5, 6], partitions = 1 } = {},
): Promise<Harness> {
  const run = harness()
  run.ssc.queueStream([records], { partitions }).to(sink, options)
  await run.ssc.start()
  return run
}

async function drain(chunks: AsyncIterable<readonly number[]>): Promise<number[]> {
  const all: number[] = []
  for await (const chunk of chunks) all.push(...chunk)
  return all
}

const code = (error: unknown): ErrorCode | undefined => (isSluiceError(error) ? error.code : undefined)

test('every partition is written, then the batch is committed, under its identity', async () => {
  const calls: unknown[] = []
  const ids: (BatchPartitionId | BatchId)[] = []
  const sink = sinkOf(
    async (id, chunks) => {
      ids.push(id)
      calls.push([id.partition, await drain(chunks)])
    },
    {
      commitBatch(id, { offsets }) {
        ids.push(id)
        calls.push(['commit', offsets])
        return Promise.resolve()
      },
    },
  )
  const { batch, ssc } = await started(sink, { name: 'out' }, { partitions: 2 })
  await batch()
  expect(calls).toEqual([
    [0, [1, 2, 3]],
    [1, [4, 5, 6]],
    ['commit', { 'inputStream-0': { first: 0, count: 1 } }],
  ])
  expect(ids[0]).toMatchObject({ output: 'out', batchTime: 1_000, partition: 0, partitions: 2, epoch: 0, attempt: 0 })
  expect(new Set(ids.map(({ app }) => app)).size).toBe(1)
  expect(new Set(ids.map(({ planDigest }) => planDigest)).size).toBe(1)
  expect(ids[0]?.planDigest).toMatch(/^[0-9a-f]{32}$/)
  await ssc.stop({ graceful: false })
})

test('records come in chunks of batchSize; an empty partition has none', async () => {
  const sizes: number[][] = []
  const sink = sinkOf(async (_id, chunks) => {
    const own: number[] = []
    sizes.push(own)
    for await (const chunk of chunks) own.push(chunk.length)
  })
  const { batches, ssc } = await started(sink, { batchSize: 4 }, { records: Array.from({ length: 9 }, (_, i) => i) })
  await batches(2)
  expect(sizes).toEqual([[4, 4, 1], []])
  await ssc.stop({ graceful: false })
})

test('at most maxInFlight partitions are written at the same time', async () => {
  for (const [options, most] of [
    [{ maxInFlight: 3 }, 3],
    [undefined, 1],
  ] as const) {
    let now = 0
    let seen = 0
    const sink = sinkOf(async (_id, chunks) => {
      seen = Math.max(seen, ++now)
      await drain(chunks)
      await new Promise((resolve) => setImmediate(resolve))
      now--
    })
    const { batch, ssc } = await started(sink, options, { partitions: 6 })
    await batch()
    expect(seen).toBe(most)
    await ssc.stop({ graceful: false })
  }
})

test('a write that fails is tried again, after a pause that doubles up to its bound', async () => {
  const tries: (readonly [number, number])[] = []
  const { clock, ssc } = await started(
    sinkOf(async ({ attempt }, chunks) => {
      tries.push([attempt, clock.now()])
      await drain(chunks)
      if (attempt < 4) throw new Error('not yet')
    }),
    { retry: { retries: 4, minDelay: milliseconds(10), maxDelay: milliseconds(35) } },
  )
  await clock.advance(1_000)
  await clock.advance(200)
  expect(tries).toEqual([
    [0, 1_000],
    [1, 1_010],
    [2, 1_030],
    [3, 1_065],
    [4, 1_100],
  ])
  await ssc.stop({ graceful: false })
})

test('each try reads all records anew, and only the failed partition is written again', async () => {
  const written: string[] = []
  const { clock, ssc } = await started(
    sinkOf(async ({ partition, attempt }, chunks) => {
      const records = await drain(chunks)
      written.push(`${String(partition)}#${String(attempt)}: ${records.join()}`)
      if (partition === 1 && attempt === 0) throw new Error('not yet')
    }),
    {},
    { partitions: 2 },
  )
  await clock.advance(1_000)
  await clock.advance(100)
  expect(written).toEqual(['0#0: 1,2,3', '1#0: 4,5,6', '1#1: 4,5,6'])
  await ssc.stop({ graceful: false })
})

test('when the tries are used up the batch fails with OUTPUT_FAILED, the output and the cause', async () => {
  const cause = new Error('no such table')
  for (const failing of ['writePartition', 'commitBatch'] as const) {
    const fail = (): Promise<void> => Promise.reject(cause)
    const sink = failing === 'commitBatch' ? sinkOf(() => Promise.resolve(), { commitBatch: fail }) : sinkOf(fail)
    const { clock, end } = await started(sink, { name: 'out', retry: { retries: 1 } })
    const ended = end()
    await clock.advance(1_100)
    const error = await ended
    expect([failing, code(error)]).toEqual([failing, 'OUTPUT_FAILED'])
    expect(error).toMatchObject({ component: 'out', cause })
  }
})

test('an error that says it is final is not tried again, one that says it is retryable is', async () => {
  for (const [retryable, tries] of [
    [false, 1],
    [true, 2],
  ] as const) {
    let tried = 0
    const sink = sinkOf(() => {
      tried++
      const message = 'no'
      return Promise.reject(new SluiceError({ code: 'CONNECTION_FAILED', component: 'x', message, retryable }))
    })
    const { clock, end } = await started(sink, { retry: { retries: 1 } })
    const ended = end()
    await clock.advance(1_100)
    expect(code(await ended)).toBe('CONNECTION_FAILED')
    expect(tried).toBe(tries)
  }
})

test('a function before the sink that fails once is tried again like any task', async () => {
  const run = harness()
  let calls = 0
  const written: number[] = []
  const sink = sinkOf(async (_id, chunks) => void written.push(...(await drain(chunks))))
  run.ssc
    .queueStream([[1]])
    .map((n) => {
      if (calls++ === 0) throw new Error('flaky')
      return n
    })
    .to(sink)
  await run.ssc.start()
  await run.clock.advance(1_100)
  await until(() => run.completed.length > 0)
  expect(written).toEqual([1])
  await run.ssc.stop({ graceful: false })
})

test('E9: a time-out aborts the signal and fails the try as TIMEOUT; what lands later is of another attempt', async () => {
  const late = new Gate()
  const signals: AbortSignal[] = []
  const landed: number[] = []
  const { clock, batch, ssc } = await started(
    sinkOf(async ({ attempt }, chunks, { signal }) => {
      signals.push(signal)
      if (attempt === 0) await late.opened
      await drain(chunks)
      landed.push(attempt)
    }),
    { timeoutMs: 500, retry: { minDelay: milliseconds(10) } },
  )
  await clock.advance(1_000)
  await clock.advance(499)
  expect(signals[0]?.aborted).toBe(false)
  await clock.advance(1)
  expect(code(signals[0]?.reason)).toBe('TIMEOUT')
  await clock.advance(10)
  await until(() => landed.length > 0)
  expect(landed).toEqual([1])
  late.open()
  await batch()
  // The late one cannot read records any more: its signal is aborted.
  expect(landed).toEqual([1, 0])
  await ssc.stop({ graceful: false })
})

test('E9: a time-out in the last try fails the batch with TIMEOUT, retryable, naming the remedy', async () => {
  const never = new Promise<void>(() => undefined)
  const { clock, end } = await started(
    sinkOf(() => never),
    { timeoutMs: 300, retry: { retries: 0 } },
  )
  const ended = end()
  await clock.advance(1_000)
  await clock.advance(300)
  expect(await ended).toMatchObject({ code: 'TIMEOUT', retryable: true, component: 'test-sink' })
})

test("unit 'batch': partitions are written in turn, and if the commit fails all are written again", async () => {
  const calls: string[] = []
  let now = 0
  const sink = sinkOf(
    async ({ partition, attempt }, chunks) => {
      expect(++now).toBe(1)
      await drain(chunks)
      await new Promise((resolve) => setImmediate(resolve))
      now--
      calls.push(`${String(partition)}#${String(attempt)}`)
    },
    {
      unit: 'batch',
      commitBatch({ attempt }) {
        calls.push(`commit#${String(attempt)}`)
        return attempt === 0 ? Promise.reject(new Error('conflict')) : Promise.resolve()
      },
    },
  )
  const { clock, completed, ssc } = await started(sink, { maxInFlight: 4 }, { partitions: 2 })
  await clock.advance(1_000)
  await clock.advance(100)
  await until(() => completed.length > 0)
  expect(calls).toEqual(['0#0', '1#0', 'commit#0', '0#1', '1#1', 'commit#1'])
  await ssc.stop({ graceful: false })
})

test('a rejected record fails the batch with RECORD_REJECTED, naming the first, and is not tried again', async () => {
  let tries = 0
  const { clock, end } = await started(
    sinkOf(async (_id, chunks, context) => {
      tries++
      await drain(chunks)
      context.reject(2, new Error('too long'))
      context.reject(4, new Error('no number'))
      await context.settleRejects()
    }),
  )
  const ended = end()
  await clock.advance(1_000)
  const error = await ended
  expect(code(error)).toBe('RECORD_REJECTED')
  expect((error as Error).message).toMatch(/2 record\(s\) of partition 0, the first is number 2: too long/)
  expect(tries).toBe(1)
})

test('a record that a sink rejects and forgets to settle is not dropped in silence', async () => {
  const { clock, end } = await started(
    sinkOf((_id, _chunks, context) => {
      context.reject(0, new Error('forgotten'))
      return Promise.resolve()
    }),
  )
  const ended = end()
  await clock.advance(1_000)
  expect(code(await ended)).toBe('RECORD_REJECTED')
})

test('a stop at once aborts the write and commits nothing', async () => {
  const signals: AbortSignal[] = []
  let committed = false
  const { clock, ssc, events } = await started(
    sinkOf(
      (_id, _chunks, { signal }) => {
        signals.push(signal)
        return new Promise<void>(() => undefined)
      },
      {
        commitBatch: () => {
          committed = true
          return Promise.resolve()
        },
      },
    ),
  )
  await clock.advance(1_000)
  await until(() => signals.length > 0)
  await ssc.stop({ graceful: false })
  expect(signals[0]?.aborted).toBe(true)
  expect(committed).toBe(false)
  expect(events).toContain('failed 1000')
  expect(clock.sleeping).toBe(0)
})

test.each<readonly [OutputOptions, RegExp]>([
  [{ batchSize: 0 }, /batchSize must be at least 1/],
  [{ maxInFlight: NaN }, /maxInFlight/],
  [{ timeoutMs: -1 }, /timeoutMs/],
  [{ retry: { retries: -1 } }, /retries must be at least 0/],
])('options %o are refused where the output is declared', (options, message) => {
  const { ssc } = harness()
  expect(() => {
    ssc.queueStream<number>([]).to(
      sinkOf(() => Promise.resolve()),
      options,
    )
  }).toThrowError(message)
})

test('a sink of another contract version is refused by name', () => {
  const { ssc } = harness()
  const old = { ...sinkOf(() => Promise.resolve()), '~sluice': 'sink/0' } as unknown as Sink<number>
  expect(() => {
    ssc.queueStream<number>([]).to(old)
  }).toThrowError(/'sink\/0', and this core knows 'sink\/1'/)
})

test('sinks are opened before the first batch and closed after the last', async () => {
  const calls: string[] = []
  const sink = sinkOf(() => Promise.resolve(void calls.push('write')), {
    open: ({ output, epoch, lastPlanned }) => {
      calls.push(`open ${output} ${String(epoch)} ${String(lastPlanned)}`)
      return Promise.resolve()
    },
    close: () => Promise.resolve(void calls.push('close')),
  })
  const { batch, ssc } = await started(sink, { retry: { minDelay: seconds(1) } })
  await batch()
  await ssc.stop({ graceful: false })
  expect(calls).toEqual([`open to:${sink.name}:${sink.target}-0 0 undefined`, 'write', 'close'])
})
