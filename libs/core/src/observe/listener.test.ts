import { expect, test } from 'vitest'
import { harness, memoryLogger, recordEvents } from '../testing/harness.js'
import type { BatchInfo, OutputInfo } from './listener.js'
import { ListenerBus } from './listener.js'
import { consoleLogger } from './logger.js'
import { progressListener } from './progress.js'

test('the events of a run come in order', async () => {
  const { ssc, events, batches } = harness()
  const numbers = ssc.queueStream([[1], [2]])
  numbers.print()
  numbers.foreachRDD(() => undefined, { name: 'nothing' })
  await ssc.start()
  await batches(2)
  await ssc.stop({ graceful: false })
  const ofBatch = (time: number): string[] => [
    `submitted ${String(time)}`,
    `started ${String(time)}`,
    `output-started ${String(time)} print-0`,
    `output-completed ${String(time)} print-0`,
    `output-started ${String(time)} nothing`,
    `output-completed ${String(time)} nothing`,
    `completed ${String(time)}`,
  ]
  expect(events).toEqual(['streaming-started', ...ofBatch(1_000), ...ofBatch(2_000), 'streaming-stopped'])
})

test('a batch tells its inputs, its records and its delays', async () => {
  const { ssc, clock } = harness()
  const infos: BatchInfo[] = []
  ssc.addListener({ onBatchCompleted: (info) => void infos.push(info) })
  ssc.queueStream([['a', 'b']], { name: 'words' }).foreachRDD(() => clock.sleep(40))
  ssc.queueStream([[1]], { name: 'numbers' }).print()
  await ssc.start()
  await clock.advance(1_000)
  await clock.advance(40)
  expect(infos[0]).toMatchObject({
    batchTime: 1_000,
    records: 3,
    inputs: [
      { streamId: 0, name: 'words', records: 2 },
      { streamId: 1, name: 'numbers', records: 1 },
    ],
    submittedMs: 1_000,
    startedMs: 1_000,
    endedMs: 1_040,
    schedulingDelayMs: 0,
    processingDelayMs: 40,
    totalDelayMs: 40,
    outputs: [
      { index: 0, id: 'foreachRDD-0', startedMs: 1_000, endedMs: 1_040, error: undefined },
      { index: 1, id: 'print-0', startedMs: 1_040 },
    ],
  })
  await ssc.stop({ graceful: false })
})

test('E12: delays are true though the clock is set back meanwhile', async () => {
  const { ssc, clock } = harness()
  const infos: BatchInfo[] = []
  ssc.addListener({ onBatchCompleted: (info) => void infos.push(info) })
  ssc.queueStream([[1]]).foreachRDD(() => clock.sleep(30))
  await ssc.start()
  await clock.advance(1_000)
  clock.jumpTo(0)
  await clock.advance(30)
  expect(infos[0]).toMatchObject({ processingDelayMs: 30, totalDelayMs: 30 })
  await ssc.stop({ graceful: false })
})

test('a failed output is told with its error, and its batch as failed', async () => {
  const { ssc, clock, events, end } = harness()
  const outputs: OutputInfo[] = []
  ssc.addListener({ onOutputCompleted: (info) => void outputs.push(info) })
  const broken = new Error('broken')
  ssc.queueStream([[1]]).foreachRDD(() => {
    throw broken
  })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toBe(broken)
  expect(outputs[0]?.error).toBe(broken)
  expect(events.slice(-2)).toEqual(['failed 1000', 'streaming-stopped'])
})

test('what a listener throws, or rejects with, is logged and stops neither the batch nor other listeners', async () => {
  const { ssc, log, events, batch } = harness()
  ssc.addListener({
    onBatchStarted: () => {
      throw new Error('listener is broken')
    },
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- listeners are written so all the same
    onBatchCompleted: async () => {
      await Promise.resolve()
      throw new Error('asynchronously broken')
    },
  })
  const late: string[] = []
  ssc.addListener(recordEvents(late))
  ssc.queueStream([[1]]).print()
  await ssc.start()
  await batch()
  expect(log.filter((line) => line.startsWith('error'))).toEqual([
    'error: [listener] onBatchStarted threw: listener is broken',
    'error: [listener] onBatchCompleted threw: asynchronously broken',
  ])
  expect(late).toEqual(events)
  await ssc.stop()
})

test('a listener that was removed hears nothing more, also from within an event', () => {
  const bus = new ListenerBus(memoryLogger())
  const heard: string[] = []
  const once = {
    onStreamingStarted: () => {
      heard.push('once')
      bus.remove(once)
    },
  }
  bus.add(once)
  bus.add({ onStreamingStarted: () => void heard.push('always') })
  bus.post('onStreamingStarted', { timeMs: 0 })
  bus.post('onStreamingStarted', { timeMs: 1 })
  expect(heard).toEqual(['once', 'always', 'always'])
})

const info: BatchInfo = {
  batchTime: new Date(2020, 1, 2, 12, 0, 5).getTime(),
  inputs: [],
  records: 1_204,
  submittedMs: 0,
  startedMs: 0,
  endedMs: 35,
  schedulingDelayMs: 0,
  processingDelayMs: 35,
  totalDelayMs: 35,
  outputs: [],
}

test('progress is one line per batch with records, with the time it waited if it did', () => {
  const logger = memoryLogger()
  const progress = progressListener(logger)
  progress.onBatchCompleted?.(info)
  progress.onBatchCompleted?.({ ...info, records: 0 })
  progress.onBatchCompleted?.({ ...info, schedulingDelayMs: 7 })
  progress.onBatchFailed?.({ ...info, error: new Error('x') })
  expect(logger.lines).toEqual([
    'info: batch 12:00:05  1,204 records  35 ms',
    'info: batch 12:00:05  1,204 records  35 ms, waited 7 ms',
    'error: batch 12:00:05 failed after 35 ms',
  ])
})

test('the console logger writes lines of its level and above, results never', () => {
  const lines: string[] = []
  const all = (level: Parameters<typeof consoleLogger>[0]): void => {
    const logger = consoleLogger(level, (line) => void lines.push(line))
    logger.debug('d')
    logger.info('i')
    logger.warn('w')
    logger.error('e')
  }
  all('debug')
  all('warn')
  all('silent')
  expect(lines).toEqual(['debug: d\n', 'i\n', 'warn: w\n', 'error: e\n', 'warn: w\n', 'error: e\n'])
})
