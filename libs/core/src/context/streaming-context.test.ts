import { expect, test } from 'vitest'
import { isSluiceError, type ErrorCode } from '../errors.js'
import type { InputSource } from '../input/input.js'
import type { Sink } from '../sink/sink.js'
import { Gate, harness, until } from '../testing/harness.js'
import { milliseconds, seconds } from '../time/duration.js'
import { SluiceContext } from './sluice-context.js'

const codeIs = (code: ErrorCode) => (error: unknown) => isSluiceError(error, code)

/** A push source in the test's hands. */
function pushed(): { readonly records: number[]; source: InputSource<number, readonly number[]>; calls: string[] } {
  const records: number[] = []
  const calls: string[] = []
  return {
    records,
    calls,
    source: {
      '~sluice': 'input/1',
      name: 'pushed',
      replayable: false,
      start: () => Promise.resolve(void calls.push('start')),
      plan: () => ({ data: records.splice(0) }),
      partitions: (data) => [data],
      read: (partition: readonly number[]) => [partition],
      stop: () => Promise.resolve(void calls.push('stop')),
    },
  }
}

function sinkOf(more: Partial<Sink<unknown>>): Sink<unknown> {
  return {
    '~sluice': 'sink/1',
    name: 'test-sink',
    target: 'somewhere',
    guarantee: { level: 'exactly-once', condition: 'it is a test' },
    writePartition: () => Promise.resolve(),
    ...more,
  }
}

test('E12: a graceful stop runs all that was received, without waiting for the next tick', async () => {
  const { ssc, clock, batch, completed } = harness()
  const { source, records, calls } = pushed()
  const seen: number[] = []
  ssc.inputStream(source).foreachRDD(async (rdd) => void seen.push(...(await rdd.collect())))
  await ssc.start()
  records.push(1)
  await batch()
  records.push(2, 3)
  await clock.advance(100)
  await ssc.stop()
  expect(seen).toEqual([1, 2, 3])
  expect(completed).toEqual([1_000, 2_000])
  expect(calls).toEqual(['start', 'stop'])
  expect(ssc.state).toBe('stopped')
  expect(clock.sleeping).toBe(0)
  await expect(ssc.awaitTermination()).resolves.toBe(true)
})

test('a graceful stop runs every batch that was planned', async () => {
  const { ssc, clock, completed } = harness()
  const gate = new Gate()
  ssc.queueStream([]).foreachRDD(() => gate.opened)
  await ssc.start()
  await clock.advance(4_000)
  const stopping = ssc.stop()
  expect(ssc.state).toBe('stopping')
  gate.open()
  await stopping
  expect(completed).toEqual([1_000, 2_000, 3_000, 4_000, 5_000])
})

test('a graceful stop that takes too long ends at once, with TIMEOUT', async () => {
  const { ssc, clock, events, end } = harness({ stopTimeout: seconds(5) })
  ssc.queueStream([]).foreachRDD(() => new Promise<void>(() => undefined))
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  const stopping = ssc.stop()
  await clock.advance(5_000)
  await clock.advance(2_000)
  await stopping
  expect(await ended).toSatisfy(codeIs('TIMEOUT'))
  expect(events).not.toContain('completed 1000')
  expect(ssc.state).toBe('stopped')
})

test('a stop at once leaves the running batch uncommitted, though its function goes on', async () => {
  const { ssc, clock, events } = harness()
  const gate = new Gate()
  ssc.queueStream([]).foreachRDD(() => gate.opened)
  await ssc.start()
  await clock.advance(3_000)
  const stopping = ssc.stop({ graceful: false })
  gate.open()
  await stopping
  expect(events.filter((event) => /^(started|completed|failed)/.test(event))).toEqual(['started 1000', 'failed 1000'])
  await expect(ssc.awaitTermination()).resolves.toBe(true)
  expect(clock.sleeping).toBe(0)
})

test('a stop at once waits two seconds for a function that never ends, then leaves it behind', async () => {
  const { ssc, clock, log } = harness()
  ssc.queueStream([]).foreachRDD(() => new Promise<void>(() => undefined))
  await ssc.start()
  await clock.advance(1_000)
  const stopping = ssc.stop({ graceful: false })
  await clock.advance(2_000)
  await stopping
  expect(ssc.state).toBe('stopped')
  expect(log).toContain('warn: [scheduler] left behind what does not end: a function of the batch, or an input')
})

test('a stop at once cuts a graceful one short', async () => {
  const { ssc, clock, events, completed } = harness()
  const gate = new Gate()
  ssc.queueStream([]).foreachRDD(() => gate.opened)
  await ssc.start()
  await clock.advance(2_000)
  const graceful = ssc.stop()
  const atOnce = ssc.stop({ graceful: false })
  gate.open()
  await Promise.all([graceful, atOnce])
  expect(completed).toEqual([])
  expect(events.filter((event) => event === 'streaming-stopped')).toHaveLength(1)
  await expect(ssc.awaitTermination()).resolves.toBe(true)
})

for (const graceful of [true, false]) {
  test(`stop called twice (graceful: ${String(graceful)}) waits for the same end, and once more changes nothing`, async () => {
    const { ssc, batch, events } = harness()
    const { source, calls } = pushed()
    ssc.inputStream(source).print()
    await ssc.start()
    await batch()
    await Promise.all([ssc.stop({ graceful }), ssc.stop({ graceful }), ssc.stop({ graceful: false })])
    await ssc.stop({ graceful })
    await ssc.stop({ graceful: false })
    expect(ssc.state).toBe('stopped')
    expect(events.filter((event) => event === 'streaming-stopped')).toHaveLength(1)
    expect(calls).toEqual(['start', 'stop'])
  })
}

test('stop while a failure ends the application ends it once', async () => {
  const { ssc, clock, events, end } = harness()
  ssc.queueStream([]).foreachRDD(() => {
    throw new Error('broken')
  })
  ssc.addListener({ onBatchFailed: () => void ssc.stop() })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toMatchObject({ message: 'broken' })
  expect(events.filter((event) => event === 'streaming-stopped')).toHaveLength(1)
  expect(ssc.state).toBe('stopped')
})

test('stop before start ends the context: it cannot be started or added to', async () => {
  const { ssc, events } = harness()
  const stream = ssc.queueStream([])
  stream.print()
  await ssc.stop()
  await ssc.stop()
  expect(ssc.state).toBe('stopped')
  await expect(ssc.start()).rejects.toSatisfy(codeIs('STOPPED'))
  expect(() => {
    stream.print()
  }).toThrowError(expect.toSatisfy(codeIs('GRAPH_CHANGED_AFTER_START')))
  await expect(ssc.awaitTermination()).resolves.toBe(true)
  expect(events).toEqual([])
})

test('start called twice is an error, and the first goes on', async () => {
  const { ssc, batch, completed } = harness()
  ssc.queueStream([]).print()
  await ssc.start()
  await expect(ssc.start()).rejects.toSatisfy(codeIs('STOPPED'))
  await batch()
  expect(completed).toEqual([1_000])
  await ssc.stop()
  await expect(ssc.start()).rejects.toSatisfy(codeIs('STOPPED'))
})

test('streams and outputs cannot be added after start', async () => {
  const { ssc } = harness()
  const stream = ssc.queueStream([[1]])
  stream.print()
  await ssc.start()
  for (const add of [
    () => ssc.queueStream([]),
    () => stream.map((n) => n),
    () => {
      stream.print()
    },
    () => {
      stream.to(sinkOf({}))
    },
  ]) {
    expect(add).toThrowError(expect.toSatisfy(codeIs('GRAPH_CHANGED_AFTER_START')))
  }
  await ssc.stop({ graceful: false })
})

test('a graph without output is refused, and may be completed', async () => {
  const { ssc } = harness()
  const stream = ssc.queueStream([])
  await expect(ssc.start()).rejects.toSatisfy(codeIs('GRAPH_INVALID'))
  expect(ssc.state).toBe('initialized')
  stream.print()
  await ssc.start()
  await ssc.stop({ graceful: false })
})

test('names are unique, not empty and without slash', () => {
  const { ssc } = harness()
  const stream = ssc.queueStream([[1]])
  stream.print({ name: 'mine' })
  for (const name of ['mine', '', 'a/b']) {
    expect(() => {
      stream.print({ name })
    }).toThrowError(expect.toSatisfy(codeIs('ARGUMENT_INVALID')))
  }
})

test('a start that fails as a sink opens leaves nothing running: it and sinks opened before are closed, inputs never started', async () => {
  const { ssc, clock, events, end } = harness()
  const { source, calls } = pushed()
  const refused = new Error('access denied')
  const stream = ssc.inputStream(source)
  stream.to(sinkOf({ close: () => Promise.resolve(void calls.push('close first')) }))
  stream.to(sinkOf({ open: () => Promise.reject(refused), close: () => Promise.resolve(void calls.push('close')) }))
  await expect(ssc.start()).rejects.toBe(refused)
  expect(ssc.state).toBe('stopped')
  expect(calls).toEqual(['close', 'close first'])
  expect(clock.sleeping).toBe(0)
  expect(await end()).toBe(refused)
  await clock.advance(10_000)
  expect(events).toEqual(['streaming-stopped'])
})

test('a sink that cannot be closed either, after it could not be opened: the first error counts, the other is logged', async () => {
  const { ssc, log } = harness()
  const refused = new Error('access denied')
  const sink = sinkOf({ open: () => Promise.reject(refused), close: () => Promise.reject(new Error('not connected')) })
  ssc.queueStream([]).to(sink)
  await expect(ssc.start()).rejects.toBe(refused)
  expect(log.filter((line) => line.includes('close failed: not connected'))).toHaveLength(1)
  await ssc.awaitTermination().catch(() => undefined)
})

test('a start that fails as an input starts stops those that were started, each once', async () => {
  const { ssc, end } = harness()
  const [first, last] = [pushed(), pushed()]
  const broken: InputSource<number> = {
    ...pushed().source,
    start: () => Promise.reject(new Error('no broker')),
    stop: () => Promise.reject(new Error('was never there')),
  }
  ssc.inputStream(first.source).print()
  ssc.inputStream(broken).print()
  ssc.inputStream(last.source).print()
  await expect(ssc.start()).rejects.toThrow('no broker')
  expect(first.calls).toEqual(['start', 'stop'])
  expect(last.calls).toEqual([])
  await end()
})

test('a stop while a sink opens ends the start, also when the sink does not heed its signal', async () => {
  const { ssc, clock } = harness()
  const opening = new Gate()
  const calls: string[] = []
  const { source, calls: inputCalls } = pushed()
  ssc.inputStream(source).to(
    sinkOf({
      open: async ({ signal }) => {
        await opening.opened
        calls.push(`opened, aborted: ${String(signal.aborted)}`)
      },
      close: () => Promise.resolve(void calls.push('closed')),
    }),
  )
  const starting = ssc.start()
  await clock.settle()
  await Promise.all([ssc.stop(), expect(starting).rejects.toSatisfy(codeIs('STOPPED'))])
  expect(ssc.state).toBe('stopped')
  opening.open()
  await until(() => calls.length === 2)
  expect(calls).toEqual(['opened, aborted: true', 'closed'])
  expect(inputCalls).toEqual([])
})

test('awaitTermination with a time-out says whether it has ended', async () => {
  const { ssc, clock } = harness()
  ssc.queueStream([]).print()
  await ssc.start()
  const waiting = ssc.awaitTermination(milliseconds(500))
  await clock.advance(500)
  await expect(waiting).resolves.toBe(false)
  const second = ssc.awaitTermination(seconds(100))
  await ssc.stop()
  await expect(second).resolves.toBe(true)
  expect(clock.sleeping).toBe(0)
})

test('an error while closing is logged and given to awaitTermination', async () => {
  const { ssc, log, end } = harness()
  ssc.queueStream([]).to(sinkOf({ close: () => Promise.reject(new Error('cannot flush')) }))
  await ssc.start()
  await ssc.stop()
  expect(log).toContain('error: the context could not be closed: cannot flush')
  expect(await end()).toMatchObject({ message: 'cannot flush' })
})

test('a shared context is not stopped with the streams', async () => {
  const context = new SluiceContext({ log: 'silent' })
  const { ssc } = harness({ context })
  ssc.queueStream([]).print()
  await ssc.start()
  await ssc.stop()
  expect(await context.parallelize([1, 2]).count()).toBe(2)
  await context.stop()
})

test('at start it says what runs, and what each output promises', async () => {
  const { ssc, log } = harness({ appName: 'shop' })
  ssc.queueStream<string>([]).saveAsTextFiles('out/wc', 'txt')
  await ssc.start()
  expect(log).toContain('info: shop: batches every 1 s')
  expect(log.find((line) => line.includes(' → text-file-sink out/wc.txt'))).toMatch(/at-most-once/)
  await ssc.stop({ graceful: false })
})

test('signal handlers are there while it runs, and gone afterwards, however it ended', async () => {
  const before = process.listenerCount('SIGINT')
  const { ssc } = harness({ signals: true })
  ssc.queueStream([]).print()
  await ssc.start()
  expect(process.listenerCount('SIGINT')).toBe(before + 1)
  await ssc.stop()
  expect(process.listenerCount('SIGINT')).toBe(before)

  const stoppedAtStart = harness({ signals: true }).ssc
  const { source } = pushed()
  stoppedAtStart
    .inputStream({ ...source, start: () => Promise.resolve(void stoppedAtStart.stop({ graceful: false })) })
    .print()
  await expect(stoppedAtStart.start()).rejects.toSatisfy(codeIs('STOPPED'))
  expect(process.listenerCount('SIGINT')).toBe(before)
})
