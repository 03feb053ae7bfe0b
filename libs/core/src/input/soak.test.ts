/** Overload and idleness on the real clock, a few seconds each. */
import { expect, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import { until } from '../testing/harness.js'
import { unpackLines } from '../rdd/engine-functions.js'
import { milliseconds, seconds } from '../time/duration.js'
import { systemClock } from '../time/system-clock.js'
import { chunk } from './receiver-forms.js'
import type { Receiver, ReceiverContext } from './receiver.js'

const MIB = 2 ** 20
const LENGTH_MS = 3_000

function realContext(batchIntervalMs: number, maxPendingBatches?: number): StreamingContext {
  const batchInterval = milliseconds(batchIntervalMs)
  return new StreamingContext({ batchInterval, maxPendingBatches, log: 'error', signals: false })
}

test.for(['one by one', 'in chunks', 'packed'])(
  'a sender that is faster than the job, %s: it is held, and memory stays flat',
  async (how) => {
    const ssc = realContext(100)
    const recordBytes = 1_000
    const maxHeldBytes = 16 * MIB
    let sent = 0
    let processed = 0
    let mostHeld = 0
    const record = (): string => {
      mostHeld = Math.max(mostHeld, ++sent - processed)
      return `${String(sent)}:`.padEnd(recordBytes, '.')
    }
    async function* sender({ signal }: ReceiverContext<string>): AsyncGenerator<string> {
      while (!signal.aborted) {
        if (how === 'one by one') yield record()
        else yield* chunk(Array.from({ length: 500 }, record))
      }
    }
    const packed: Receiver<string> = {
      '~sluice': 'receiver/1',
      unpack: unpackLines,
      onStart: (context) => void sendPacked(context),
      onStop: () => undefined,
    }
    async function sendPacked(context: ReceiverContext<string>): Promise<void> {
      while (!context.signal.aborted) {
        const lines = Array.from({ length: 500 }, record)
        await context.storePacked(Buffer.from(lines.map((line) => `${line}\n`).join('')), { records: 500 })
      }
    }
    ssc.receiverStream(how === 'packed' ? packed : sender, { maxHeldBytes }).foreachRDD(async (rdd) => {
      const count = await rdd.count()
      await systemClock.sleep(200)
      processed += count
    })
    const rss: number[] = []
    ssc.addListener({ onBatchCompleted: () => void rss.push(process.memoryUsage.rss()) })
    await ssc.start()
    await systemClock.sleep(LENGTH_MS)
    await ssc.stop()
    // Nothing that was sent is lost, and it was more than there is room for at once.
    expect(processed).toBe(sent)
    expect(sent).toBeGreaterThan((2 * maxHeldBytes) / recordBytes)
    // One chunk more than there is room for is taken.
    expect(mostHeld).toBeLessThan((1.1 * maxHeldBytes) / recordBytes + 500)
    expect(Math.max(...rss) - (rss[0] ?? 0)).toBeLessThan(200 * MIB)
  },
)

test('a job that is slower than the interval: pending batches are bounded, and it recovers when the load drops', async () => {
  const maxPendingBatches = 4
  const ssc = realContext(50, maxPendingBatches)
  let jobMs = 150
  let submitted = 0
  let completed = 0
  let mostPending = 0
  const delays: number[] = []
  ssc.addListener({
    onBatchSubmitted: () => (mostPending = Math.max(mostPending, ++submitted - completed)),
    onBatchCompleted: ({ schedulingDelayMs = 0 }) => {
      completed++
      delays.push(schedulingDelayMs)
    },
  })
  let sent = 0
  let processed = 0
  async function* sender({ clock, signal }: ReceiverContext<number>): AsyncGenerator<number> {
    while (!signal.aborted) {
      yield sent++
      await clock.sleep(5, signal)
    }
  }
  ssc.receiverStream(sender).foreachRDD(async (rdd) => {
    processed += await rdd.count()
    await systemClock.sleep(jobMs)
  })
  await ssc.start()
  await systemClock.sleep(LENGTH_MS)
  expect(mostPending).toBe(maxPendingBatches + 1)
  expect(Math.max(...delays)).toBeLessThan(LENGTH_MS)
  jobMs = 0
  await until(() => submitted - completed <= 1 && (delays.at(-1) ?? Infinity) < 50, 'it has recovered')
  expect(mostPending).toBe(maxPendingBatches + 1)
  await ssc.stop()
  expect(processed).toBe(sent)
})

test('ten idle receivers cost next to no CPU time', async () => {
  const ssc = realContext(1_000)
  const idle = (): Receiver<string> => ({
    '~sluice': 'receiver/1',
    onStart: () => undefined,
    onStop: () => undefined,
  })
  async function* waiting({ clock, signal }: ReceiverContext<string>): AsyncGenerator<string> {
    await clock.sleep(3_600_000, signal)
    yield 'never'
  }
  const receivers = Array.from({ length: 5 }, () => [idle(), waiting]).flat()
  ssc.receiverStream(receivers, { name: 'idle' }).foreachRDD(async (rdd) => void (await rdd.count()))
  await ssc.start()
  // The first batch compiles what runs.
  await systemClock.sleep(seconds(1.5))
  const before = process.cpuUsage()
  await systemClock.sleep(LENGTH_MS)
  const { user, system } = process.cpuUsage(before)
  const share = (user + system) / 1_000 / LENGTH_MS
  // Measured: 0.1 % here, 0.3 % in a process of its own. Wanted is 1 %; others may hold the machine up.
  expect(share).toBeLessThan(0.02)
  await ssc.stop({ graceful: false })
})
