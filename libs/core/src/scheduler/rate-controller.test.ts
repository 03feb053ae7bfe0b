import { expect, test } from 'vitest'
import type { ReceiverContext } from '../input/receiver.js'
import type { InputStream } from '../input/input-stream.js'
import type { BatchInfo } from '../observe/listener.js'
import { harness, until, type Harness } from '../testing/harness.js'
import { seconds, type BatchTime } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { rateController } from './rate-controller.js'

/** An input that only notes its rates. */
function noted(streamId: number): { readonly input: InputStream; readonly rates: number[] } {
  const rates: number[] = []
  return { input: { streamId, setRate: (rate: number) => void rates.push(rate) } as unknown as InputStream, rates }
}

function completed(records: Readonly<Record<number, number>>, more: Partial<BatchInfo> = {}): BatchInfo {
  return {
    batchTime: 0 as BatchTime,
    inputs: Object.entries(records).map(([id, count]) => ({
      streamId: Number(id),
      name: '',
      records: count,
      description: undefined,
    })),
    records: 0,
    submittedMs: 0,
    startedMs: 0,
    endedMs: 0,
    schedulingDelayMs: 0,
    processingDelayMs: 500,
    totalDelayMs: 500,
    outputs: [],
    ...more,
  }
}

test('each input has its own estimate, handed on as a whole number', async () => {
  const clock = new ManualClock()
  const [a, b] = [noted(0), noted(1)]
  const listener = rateController([a.input, b.input], 1_000, clock, {})
  for (const records of [
    { 0: 1_000, 1: 500 },
    { 0: 900, 1: 0 },
    { 0: 333, 1: 501 },
  ]) {
    await clock.advance(1_000)
    listener.onBatchCompleted?.(completed(records))
  }
  expect(a.rates).toEqual([1_800, 666])
  expect(b.rates).toEqual([1_002])
  await clock.advance(1_000)
  listener.onBatchCompleted?.(completed({ 0: 100, 7: 5 }, { processingDelayMs: 333 }))
  // 300.3/s
  expect(a.rates.at(-1)).toBe(300)
})

test('a wall clock that is set back does not stop the control', async () => {
  const clock = new ManualClock(1e12)
  const { input, rates } = noted(0)
  const listener = rateController([input], 1_000, clock, {})
  for (let i = 0; i < 4; i++) {
    await clock.advance(1_000)
    clock.jumpTo(clock.now() - 3_600_000)
    listener.onBatchCompleted?.(completed({ 0: 1_000 }, { endedMs: clock.now() }))
  }
  expect(rates).toEqual([2_000, 2_000, 2_000])
})

test('the caps hold from the first batch on: initialRate and maxRate', async () => {
  for (const [initialRate, maxRate, expected] of [
    [200, undefined, 200],
    [200, 50, 50],
    [undefined, 300, 300],
  ] as const) {
    const run = harness({ backpressure: initialRate === undefined ? true : { initialRate } })
    const counts: number[] = []
    run.ssc.receiverStream(endless, { maxRate }).foreachRDD(async (rdd) => void counts.push(await rdd.count()))
    await run.ssc.start()
    for (let i = 0; i < 3; i++) await run.batch()
    for (const count of counts) expect(Math.abs(count - expected)).toBeLessThanOrEqual(1)
    await run.ssc.stop({ graceful: false })
  }
})

async function* endless(): AsyncGenerator<number> {
  for (let i = 0; ; i++) yield i
}

test.for([{ initialRate: 0 }, { initialRate: -1 }, { initialRate: Number.NaN }, { minRate: 0 }])(
  'start() refuses %o',
  async (backpressure) => {
    const run = harness({ backpressure })
    run.ssc.receiverStream(endless).print()
    await expect(run.ssc.start()).rejects.toThrowError(/backpressure/)
  },
)

test('a direct source is told the initial rate after its start, and then each new one', async () => {
  const told: (string | number)[] = []
  const run = harness({ backpressure: { initialRate: 500 } })
  run.ssc
    .inputStream<number>({
      '~sluice': 'input/1',
      name: 'told',
      replayable: true,
      start: async () => void told.push('started'),
      plan: () => ({ data: undefined, records: 100 }),
      partitions: () => [],
      read: () => [],
      setRate: (rate) => void told.push(rate),
    })
    .foreachRDD(() => run.clock.sleep(100))
  await run.ssc.start()
  for (let i = 0; i < 3; i++) {
    await run.clock.advance(1_000)
    await run.clock.advance(100)
  }
  await until(() => run.completed.length === 3)
  expect(told).toEqual(['started', 500, 1_000, 1_000])
  await run.ssc.stop({ graceful: false })
})

interface Step {
  /** When it ended, in seconds. */
  readonly at: number
  readonly records: number
  readonly schedulingDelayMs: number
  readonly pending: number
}

/** A sender that is always faster; a job whose cost for each record depends on the time. */
async function simulate(forSeconds: number, costMs: (second: number) => number): Promise<Step[]> {
  const run = harness({ backpressure: { initialRate: 500, minRate: 50 } })
  const { clock, ssc } = run
  const steps: Step[] = []
  let submitted = 0
  ssc.addListener({
    onBatchSubmitted: () => submitted++,
    onBatchCompleted: ({ records, schedulingDelayMs = 0 }) => {
      steps.push({ at: clock.now() / 1_000, records, schedulingDelayMs, pending: submitted - steps.length })
    },
  })
  ssc.receiverStream(sender).foreachRDD(async (rdd) => {
    await clock.sleep((await rdd.count()) * costMs(clock.now() / 1_000))
  })
  await ssc.start()
  while (clock.now() < forSeconds * 1_000) await clock.advance(100)
  await stopAtOnce(run)
  return steps
}

/** The job sleeps and does not heed the stop: time must pass until it is left behind. */
async function stopAtOnce({ ssc, clock }: Harness): Promise<void> {
  const stopping = ssc.stop({ graceful: false })
  await clock.advance(2_000)
  await stopping
}

async function* sender({ signal }: ReceiverContext<number>): AsyncGenerator<number> {
  for (let i = 0; !signal.aborted; i++) yield i
}

test('a step in load, four times the cost and back: the queue stays bounded, and the rate settles each time', async () => {
  const steps = await simulate(130, (second) => (second >= 20 && second < 90 ? 4 : 1))
  // What can be done is 1 000 records a second, and 250 while each costs four times as much.
  const settled = (from: number, to: number, capacity: number): void => {
    const phase = steps.filter(({ at }) => at > from && at <= to)
    expect(phase.length).toBeGreaterThanOrEqual(to - from - 1)
    for (const { records, schedulingDelayMs } of phase) {
      expect(Math.abs(records - capacity)).toBeLessThanOrEqual(0.05 * capacity)
      expect(schedulingDelayMs).toBeLessThanOrEqual(100)
    }
  }
  settled(5, 20, 1_000)
  // Until the first slow batch ends nothing is known of it. The five that came meanwhile take 20 s.
  settled(55, 90, 250)
  settled(96, 130, 1_000)
  expect(Math.max(...steps.map(({ pending }) => pending))).toBeLessThanOrEqual(11)
  expect(Math.max(...steps.map(({ schedulingDelayMs }) => schedulingDelayMs))).toBeLessThanOrEqual(16_000)
}, 60_000)

test('without control the same step fills the queue', async () => {
  const run = harness({ maxPendingBatches: 10, batchInterval: seconds(1) })
  let most = 0
  let submitted = 0
  run.ssc.addListener({ onBatchSubmitted: () => (most = Math.max(most, ++submitted - run.completed.length)) })
  run.ssc.receiverStream(sender, { maxRate: 1_000 }).foreachRDD(async (rdd) => {
    await run.clock.sleep((await rdd.count()) * 4)
  })
  await run.ssc.start()
  for (let i = 0; i < 40; i++) await run.clock.advance(1_000)
  expect(most).toBeGreaterThanOrEqual(11)
  await stopAtOnce(run)
})
