import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { ReceiverInfo } from '../observe/listener.js'
import { Gate, harness, until, type Harness } from '../testing/harness.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { Receiver, ReceiverContext } from './receiver.js'
import type { ReceiverStreamOptions } from './receiver-stream.js'

type Context = ReceiverContext<unknown>

/** A receiver in the test's hands: one context for each of its runs. */
class TestReceiver implements Receiver<unknown> {
  readonly '~sluice' = 'receiver/1'
  readonly name: string
  readonly contexts: Context[] = []
  stops = 0
  onStartOf: (context: Context, run: number) => void | Promise<void>
  onStopOf: () => void | Promise<void> = () => undefined

  constructor(name = 'test', onStart: TestReceiver['onStartOf'] = () => undefined) {
    this.name = name
    this.onStartOf = onStart
  }

  onStart(context: Context): void | Promise<void> {
    this.contexts.push(context)
    return this.onStartOf(context, this.contexts.length)
  }

  onStop(): void | Promise<void> {
    this.stops++
    return this.onStopOf()
  }

  get context(): Context {
    return this.contexts.at(-1)!
  }
}

interface Run extends Harness {
  /** Records of each batch. */
  readonly seen: unknown[][]
  /** Records of each partition of each batch. */
  readonly partitions: unknown[][][]
  readonly infos: ReceiverInfo[]
}

async function started(
  receivers: TestReceiver | readonly TestReceiver[],
  options?: ReceiverStreamOptions,
  context: Parameters<typeof harness>[0] = {},
): Promise<Run> {
  const run = harness(context)
  const seen: unknown[][] = []
  const partitions: unknown[][][] = []
  const infos: ReceiverInfo[] = []
  run.ssc.addListener({
    onReceiverStarted: (info) => void infos.push(info),
    onReceiverError: (info) => void infos.push(info),
    onReceiverStopped: (info) => void infos.push(info),
  })
  run.ssc.receiverStream<unknown>(receivers, options).foreachRDD(async (rdd) => {
    const parts: unknown[][] = []
    await rdd.foreachPartition((records, { partition }) => void (parts[partition] = [...records]))
    partitions.push(parts)
    seen.push(await rdd.collect())
  })
  await run.ssc.start()
  await run.clock.settle()
  return { ...run, seen, partitions, infos }
}

const refused = (error: unknown): boolean => isSluiceError(error, 'STOPPED')

test('what a receiver stores comes in the next batch, in order; blocks are cut by the interval, one partition each', async () => {
  const receiver = new TestReceiver()
  const { clock, batch, partitions, ssc } = await started(receiver)
  await receiver.context.store('a')
  await receiver.context.store('b')
  await clock.advance(250)
  await receiver.context.storeAll(['c', 'd'])
  await clock.advance(100)
  await receiver.context.store('e')
  await clock.advance(500)
  await receiver.context.store('f')
  await clock.advance(150)
  await until(() => partitions.length === 1)
  await batch()
  expect(partitions).toEqual([[['a', 'b'], ['c', 'd', 'e'], ['f']], []])
  await ssc.stop({ graceful: false })
})

test('the block interval is an option', async () => {
  const receiver = new TestReceiver()
  const { clock, partitions, ssc } = await started(receiver, { blockInterval: milliseconds(50) })
  for (let i = 0; i < 4; i++) {
    await receiver.context.store(i)
    await clock.advance(50)
  }
  await clock.advance(800)
  await until(() => partitions.length === 1)
  expect(partitions[0]).toEqual([[0], [1], [2], [3]])
  await ssc.stop({ graceful: false })
})

test('several receivers of one stream are united, each in its own order', async () => {
  const receivers = [new TestReceiver('one'), new TestReceiver('two')]
  const { batch, seen, ssc, infos } = await started(receivers)
  await receivers[1]!.context.store('b1')
  await receivers[0]!.context.store('a1')
  await receivers[1]!.context.storeAll(['b2', 'b3'])
  await receivers[0]!.context.store('a2')
  await batch()
  expect(seen).toEqual([['a1', 'a2', 'b1', 'b2', 'b3']])
  expect(infos.map(({ name, receiver, streamId }) => [name, receiver, streamId])).toEqual([
    ['one', 0, 0],
    ['two', 1, 0],
  ])
  await ssc.stop({ graceful: false })
})

test("the same array stored twice is stored twice, and single records beside it do not change the receiver's array", async () => {
  const receiver = new TestReceiver()
  const { batch, seen, ssc } = await started(receiver)
  const chunk = Object.freeze(['x', 'y'])
  await receiver.context.storeAll(chunk)
  await receiver.context.storeAll(chunk)
  await receiver.context.store('z')
  await receiver.context.storeAll([])
  await batch()
  expect(seen).toEqual([['x', 'y', 'x', 'y', 'z']])
  expect(chunk).toEqual(['x', 'y'])
  await ssc.stop({ graceful: false })
})

test('E16: store waits when there is no room, and goes on when a batch is committed', async () => {
  const receiver = new TestReceiver()
  const { clock, batch, seen, ssc } = await started(receiver, { maxHeldBytes: 10_000 })
  let stored = 0
  const sending = (async () => {
    for (let i = 0; i < 60; i++) {
      await receiver.context.store(`${String(i)}:`.padEnd(1_000, '.'))
      stored++
    }
  })()
  await clock.advance(900)
  // One more is taken than there is room for: its store waits.
  expect(stored).toBe(9)
  await batch()
  await clock.settle()
  expect(stored).toBe(19)
  while (stored < 60) await batch()
  await sending
  await batch()
  expect(seen.flat().map((text) => Number.parseInt(String(text), 10))).toEqual(Array.from({ length: 60 }, (_, i) => i))
  for (const records of seen) expect(records.length).toBeLessThanOrEqual(10)
  await ssc.stop({ graceful: false })
})

test('E16: while a batch runs its records still take room', async () => {
  const receiver = new TestReceiver()
  const gate = new Gate()
  const run = harness()
  run.ssc.receiverStream<unknown>(receiver, { maxHeldBytes: 1_000 }).foreachRDD(() => gate.opened)
  await run.ssc.start()
  let stored = false
  const big = receiver.context.storeAll(['x'.repeat(2_000)]).then(() => (stored = true))
  await run.clock.advance(3_000)
  expect(stored).toBe(false)
  gate.open()
  await big
  await run.ssc.stop({ graceful: false })
})

test('E16: a store that waits for room at a stop is completed, and its record is processed', async () => {
  const receiver = new TestReceiver()
  const { ssc, seen } = await started(receiver, { maxHeldBytes: 100 })
  let result = 'waiting'
  const storing = receiver.context.storeAll(['x'.repeat(500)]).then(() => (result = 'stored'))
  await ssc.stop()
  await storing
  expect(result).toBe('stored')
  expect(seen.flat()).toHaveLength(1)
})

test('E16: a store after the stop rejects with STOPPED, and its record is not counted', async () => {
  const receiver = new TestReceiver()
  const { ssc, seen } = await started(receiver)
  const records: number[] = []
  ssc.addListener({ onBatchCompleted: (info) => void records.push(info.records) })
  await receiver.context.store('in time')
  receiver.onStopOf = async () => {
    await expect(receiver.context.store('late')).rejects.toSatisfy(refused)
    await expect(receiver.context.storeAll(['late'])).rejects.toSatisfy(refused)
  }
  await ssc.stop()
  expect(seen).toEqual([['in time']])
  expect(records).toEqual([1])
  expect(receiver.stops).toBe(1)
  await expect(receiver.context.store('far too late')).rejects.toSatisfy(refused)
})

test('onStart that throws or rejects: onStop is called, and the receiver starts anew after the delay', async () => {
  const receiver = new TestReceiver('flaky', (_context, run) => {
    if (run === 1) throw new Error('no address')
    return run === 2 ? Promise.reject(new Error('refused')) : undefined
  })
  const { clock, batch, infos, seen, ssc } = await started(receiver, { restartDelay: milliseconds(300) })
  expect([receiver.contexts.length, receiver.stops]).toEqual([1, 1])
  await clock.advance(299)
  expect(receiver.contexts).toHaveLength(1)
  await clock.advance(1)
  expect([receiver.contexts.length, receiver.stops]).toEqual([2, 2])
  await clock.advance(600)
  expect([receiver.contexts.length, receiver.stops]).toEqual([3, 2])
  await receiver.context.store('at last')
  await batch()
  expect(seen.flat()).toEqual(['at last'])
  expect(infos.map(({ active, starts, lastErrorMessage }) => [active, starts, lastErrorMessage])).toEqual([
    [false, 1, 'could not start: no address'],
    [false, 2, 'could not start: refused'],
    [true, 3, 'could not start: refused'],
  ])
  await ssc.stop({ graceful: false })
})

test('restart ends the run and starts a new one after its own delay; called twice it counts once', async () => {
  const receiver = new TestReceiver()
  const { clock, infos, ssc } = await started(receiver)
  const first = receiver.context
  first.restart('connection reset', new Error('ECONNRESET'), 50)
  first.restart('again', undefined, 1)
  first.stop('and stop')
  expect(first.signal.aborted).toBe(true)
  await clock.advance(49)
  expect([receiver.contexts.length, receiver.stops]).toEqual([1, 1])
  await clock.advance(1)
  expect([receiver.contexts.length, receiver.stops]).toEqual([2, 1])
  await clock.advance(10_000)
  expect(receiver.contexts).toHaveLength(2)
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toEqual([
    undefined,
    'connection reset',
    'connection reset',
  ])
  await expect(first.store('of the old run')).rejects.toSatisfy(refused)
  await ssc.stop({ graceful: false })
})

test('restarts are two seconds apart at first, then twice as long with each failure in a row, up to a minute', async () => {
  const starts: number[] = []
  const receiver = new TestReceiver('test', (context) => {
    starts.push(context.clock.now())
    context.restart('not yet')
  })
  const { clock, ssc } = await started(receiver)
  await clock.advance(190_000)
  expect(starts).toEqual([0, 2_000, 6_000, 14_000, 30_000, 62_000, 122_000, 182_000])
  await ssc.stop({ graceful: false })
})

test('after a run that went well the delay starts over', async () => {
  const starts: number[] = []
  const receiver = new TestReceiver('test', async (context, run) => {
    starts.push(context.clock.now())
    if (run === 3) {
      await context.store('a record')
      void context.clock.sleep(10_000).then(() => {
        context.restart('broken again')
      })
    } else {
      context.restart('not yet')
    }
  })
  const { clock, ssc } = await started(receiver)
  await clock.advance(18_000)
  expect(starts).toEqual([0, 2_000, 6_000, 18_000])
  await ssc.stop({ graceful: false })
})

test('what was stored before a restart is not lost, and stays in front of what comes after', async () => {
  const receiver = new TestReceiver()
  const { clock, batch, seen, ssc } = await started(receiver)
  await receiver.context.store('before')
  receiver.context.restart('new run', undefined, 10)
  await clock.advance(10)
  await receiver.context.store('after')
  await batch()
  expect(seen).toEqual([['before', 'after']])
  await ssc.stop({ graceful: false })
})

test('E14: a new run sees the position of the last record stored', async () => {
  const receiver = new TestReceiver()
  const { clock, ssc } = await started(receiver)
  expect(receiver.context.position).toEqual({})
  await receiver.context.storeAll(['a'], { position: { p0: 5n } })
  await receiver.context.storeAll(['b'], { position: { p1: 1n } })
  await receiver.context.storeAll(['c'], { position: { p0: 6n } })
  receiver.context.restart('again', undefined, 10)
  await clock.advance(10)
  expect(receiver.context.position).toEqual({ p0: 6n, p1: 1n })
  await ssc.stop({ graceful: false })
})

test('a receiver may stop itself; what it stored is processed, and the others go on', async () => {
  const receivers = [new TestReceiver('one'), new TestReceiver('two')]
  const { batches, seen, infos, ssc } = await started(receivers)
  await receivers[0]!.context.store('last words')
  receivers[0]!.context.stop()
  await batches(1)
  await receivers[1]!.context.store('still here')
  await batches(1)
  expect(seen).toEqual([['last words'], ['still here']])
  expect(receivers.map(({ stops }) => stops)).toEqual([1, 0])
  expect(infos.at(-1)).toMatchObject({ name: 'one', active: false, lastErrorMessage: undefined })
  await ssc.stop({ graceful: false })
})

test('report tells listeners of a problem, and receiving goes on', async () => {
  const receiver = new TestReceiver()
  const { batch, clock, seen, infos, log, ssc } = await started(receiver)
  const problem = new Error('bad line')
  const toldMs = clock.now()
  receiver.context.report('skipped a line', problem)
  await receiver.context.store('next')
  await batch()
  expect(infos.map(({ lastErrorMs }) => lastErrorMs)).toEqual([undefined, toldMs])
  expect(infos.at(-1)).toMatchObject({ active: true, lastErrorMessage: 'skipped a line', lastError: problem })
  expect(log).toContain('warn: [test] skipped a line')
  expect(seen.flat()).toEqual(['next'])
  await ssc.stop({ graceful: false })
})

test('onStart that hangs does not hold up the stop for longer than its share of the time', async () => {
  const receiver = new TestReceiver('slow', () => new Promise<void>(() => undefined))
  const { clock, ssc, seen, log, end } = await started(receiver, {}, { stopTimeout: seconds(4) })
  await receiver.context.store('stored while starting')
  const ended = end()
  const stopping = ssc.stop()
  await clock.advance(1_000)
  await stopping
  expect(await ended).toBeUndefined()
  expect(seen.flat()).toEqual(['stored while starting'])
  expect(log).toContain('warn: [slow] onStart has not returned within 1000 ms and is left behind')
})

test('onStop that hangs does not lose what was stored', async () => {
  const receiver = new TestReceiver('stuck')
  receiver.onStopOf = () => new Promise<void>(() => undefined)
  const { clock, ssc, seen, log, end } = await started(receiver, {}, { stopTimeout: seconds(4) })
  await receiver.context.store('stored')
  const ended = end()
  const stopping = ssc.stop()
  await clock.advance(1_000)
  await stopping
  expect(await ended).toBeUndefined()
  expect(seen.flat()).toEqual(['stored'])
  expect(log).toContain('warn: [stuck] onStop has not returned within 1000 ms and is left behind')
  expect(clock.sleeping).toBe(0)
})

test('onStop that throws is reported, and the receiver is stopped all the same', async () => {
  const receiver = new TestReceiver()
  receiver.onStopOf = () => {
    throw new Error('already closed')
  }
  const { ssc, infos } = await started(receiver)
  await ssc.stop()
  expect(infos.slice(-2)).toMatchObject([
    { lastErrorMessage: 'onStop failed: already closed' },
    { lastErrorMessage: 'onStop failed: already closed', active: false },
  ])
})

test('a stop during the delay before a restart ends it there', async () => {
  const receiver = new TestReceiver()
  const { clock, ssc } = await started(receiver)
  receiver.context.restart('wait', undefined, 60_000)
  await clock.settle()
  await ssc.stop()
  expect([receiver.contexts.length, receiver.stops]).toEqual([1, 1])
  expect(clock.sleeping).toBe(0)
})

test('blocks are removed when their batch cannot be asked for any more', async () => {
  const receiver = new TestReceiver()
  const { ssc, clock, completed } = await started(receiver)
  const { blocks } = ssc.sluiceContext.engine
  for (let i = 0; i < 50; i++) {
    await receiver.context.store(i)
    await clock.advance(500)
  }
  await until(() => completed.length === 25)
  expect(blocks.stats().blocks).toBeLessThanOrEqual(3)
  await ssc.stop({ graceful: false })
})

test('an idle receiver costs no timers', async () => {
  const receiver = new TestReceiver()
  const { clock, ssc, batch } = await started(receiver)
  await receiver.context.store('a')
  await batch()
  // The next tick is all that is waited for.
  expect(clock.sleeping).toBe(1)
  await ssc.stop({ graceful: false })
})

test('something that is no receiver is refused, as is none at all', () => {
  const { ssc } = harness()
  expect(() => ssc.receiverStream({} as unknown as Receiver<number>)).toThrowError(/knows 'receiver\/1'/)
  expect(() => ssc.receiverStream([])).toThrowError(/at least one receiver/)
})
