import { expect, test } from 'vitest'
import { absent } from '../input/queue-source.js'
import type { InputSource } from '../input/input.js'
import { Gate, harness, until } from '../testing/harness.js'
import { seconds } from '../time/duration.js'

/** A source whose plans a test can hold up or break. */
function scriptedSource(plan: (time: number) => Promise<void>, calls: string[] = []): InputSource<number, number> {
  return {
    '~sluice': 'input/1',
    name: 'scripted',
    replayable: true,
    start: () => Promise.resolve(void calls.push('start')),
    async plan(time) {
      await plan(time)
      calls.push(`plan ${String(time)}`)
      return { data: time, records: 1 }
    },
    partitions: (data) => [data],
    read: (partition: number) => [[partition]],
    commit: (_data, time) => Promise.resolve(void calls.push(`commit ${String(time)}`)),
    stop: () => Promise.resolve(void calls.push('stop')),
  }
}

test('E2: batches do not overlap: the next starts when the one before is committed', async () => {
  const { ssc, clock, events, completed } = harness()
  let running = 0
  ssc.queueStream([[1], [2], [3]]).foreachRDD(async () => {
    expect(++running).toBe(1)
    await clock.sleep(2_500)
    running--
  })
  await ssc.start()
  await clock.advance(9_000)
  await until(() => completed.length >= 3)
  const life = events.filter((event) => /^(started|completed)/.test(event)).slice(0, 6)
  expect(life).toEqual([
    'started 1000',
    'completed 1000',
    'started 2000',
    'completed 2000',
    'started 3000',
    'completed 3000',
  ])
  const stopping = ssc.stop({ graceful: false })
  await clock.advance(3_000)
  await stopping
})

test('E3: inputs plan at each tick, also while a batch runs; RDDs are made when their batch starts', async () => {
  const { ssc, clock, events, completed } = harness()
  const gate = new Gate()
  const calls: string[] = []
  const stream = ssc.inputStream(scriptedSource(() => Promise.resolve(), calls))
  stream.foreachRDD(async (_rdd, time) => {
    if (time === 1_000) await gate.opened
  })
  await ssc.start()
  await clock.advance(3_000)
  expect(calls).toEqual(['start', 'plan 1000', 'plan 2000', 'plan 3000'])
  expect(events.filter((event) => event.startsWith('started'))).toEqual(['started 1000'])
  gate.open()
  await until(() => completed.length === 3)
  expect(calls.slice(-3)).toEqual(['commit 1000', 'commit 2000', 'commit 3000'])
  await ssc.stop({ graceful: false })
})

test('E12: at most maxPendingBatches wait while one runs; ticks beyond are planned in order when there is room', async () => {
  const { ssc, clock, events, completed } = harness({ maxPendingBatches: 2 })
  const gates = [new Gate(), new Gate()]
  ssc.queueStream([]).foreachRDD(async (_rdd, time) => {
    await gates[time / 1_000 - 1]?.opened
  })
  await ssc.start()
  await clock.advance(6_400)
  const submitted = (): string[] => events.filter((event) => event.startsWith('submitted'))
  expect(submitted()).toEqual(['submitted 1000', 'submitted 2000', 'submitted 3000'])
  gates[0]?.open()
  await until(() => submitted().length === 4)
  gates[1]?.open()
  await until(() => completed.length === 6)
  expect(completed).toEqual([1_000, 2_000, 3_000, 4_000, 5_000, 6_000])
  await ssc.stop({ graceful: false })
})

test('with maxPendingBatches: 1, a batch is still planned while another runs', async () => {
  const { ssc, clock, events } = harness({ maxPendingBatches: 1 })
  const gate = new Gate()
  ssc.queueStream([]).foreachRDD(() => gate.opened)
  await ssc.start()
  await clock.advance(5_000)
  expect(events.filter((event) => event.startsWith('submitted'))).toEqual(['submitted 1000', 'submitted 2000'])
  gate.open()
  await ssc.stop({ graceful: false })
})

test.each([0, -1, NaN])('maxPendingBatches: %s is refused', (maxPendingBatches) => {
  expect(() => harness({ maxPendingBatches })).toThrowError(/maxPendingBatches must be at least 1/)
})

test('the first batch that fails stops the context, and nothing later runs', async () => {
  const { ssc, clock, events, end } = harness()
  const broken = new Error('broken')
  const ran: number[] = []
  ssc.queueStream([]).foreachRDD(async (_rdd, time) => {
    ran.push(time)
    await clock.sleep(3_500)
    if (time === 2_000) throw broken
  })
  await ssc.start()
  const ended = end()
  await clock.advance(20_000)
  expect(await ended).toBe(broken)
  expect(ran).toEqual([1_000, 2_000])
  expect(events.filter((event) => /^(completed|failed)/.test(event))).toEqual(['completed 1000', 'failed 2000'])
  expect(ssc.state).toBe('stopped')
  expect(clock.sleeping).toBe(0)
})

test('of two outputs, the one after the failed one does not run', async () => {
  const { ssc, clock, end } = harness()
  let ran = false
  const stream = ssc.queueStream([[1]])
  stream.foreachRDD(() => {
    throw new Error('first')
  })
  stream.foreachRDD(() => {
    ran = true
  })
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toMatchObject({ message: 'first' })
  expect(ran).toBe(false)
})

test('a batch that fails during a graceful stop: no later batch runs, and a plan under way is not made one', async () => {
  const { ssc, clock, events, end } = harness()
  const [running, planning] = [new Gate(), new Gate()]
  const source = scriptedSource((time) => (time === 2_000 ? planning.opened : Promise.resolve()))
  ssc.inputStream(source).foreachRDD(async () => {
    await running.opened
    throw new Error('broken')
  })
  await ssc.start()
  const ended = end()
  await clock.advance(2_000)
  const stopping = ssc.stop()
  running.open()
  await until(() => events.includes('failed 1000'))
  planning.open()
  await stopping
  expect(await ended).toMatchObject({ message: 'broken' })
  expect(events.filter((event) => event.startsWith('started'))).toEqual(['started 1000'])
})

test('an input that cannot plan ends the application with its error', async () => {
  const { ssc, clock, end } = harness()
  const lost = new Error('range past retention')
  ssc.inputStream(scriptedSource((time) => (time === 2_000 ? Promise.reject(lost) : Promise.resolve()))).print()
  await ssc.start()
  const ended = end()
  await clock.advance(2_000)
  expect(await ended).toBe(lost)
})

test('several inputs: a batch has of each what it planned; where one is absent, outputs of that one do not run', async () => {
  const { ssc, batches } = harness()
  const seen: string[] = []
  const note = (name: string) => async (rdd: { collect(): Promise<unknown[]> }, time: number) => {
    seen.push(`${name}@${String(time)}: ${(await rdd.collect()).join()}`)
  }
  ssc.queueStream([['a'], absent, ['b']]).foreachRDD(note('letters'))
  ssc.queueStream([[1], [2], absent]).foreachRDD(note('numbers'))
  await ssc.start()
  await batches(4)
  await ssc.stop({ graceful: false })
  expect(seen).toEqual([
    'letters@1000: a',
    'numbers@1000: 1',
    'numbers@2000: 2',
    'letters@3000: b',
    'letters@4000: ',
    'numbers@4000: ',
  ])
})

test('a queue that is drained gives all that there is, absent marks aside', async () => {
  const { ssc, batches } = harness()
  const queue: (readonly number[] | typeof absent)[] = [[1], absent, [2, 3]]
  const seen: number[][] = []
  ssc.queueStream(queue, { oneAtATime: false }).foreachRDD(async (rdd) => void seen.push(await rdd.collect()))
  await ssc.start()
  await batches(1)
  queue.push([4])
  await batches(2)
  queue.push(absent)
  await batches(1)
  expect(seen).toEqual([[1, 2, 3], [4], []])
  await ssc.stop({ graceful: false })
})

test('a source reads with the signal of the application', async () => {
  const { ssc, batch } = harness()
  const signals: (AbortSignal | undefined)[] = []
  const source: InputSource<number> = {
    ...scriptedSource(() => Promise.resolve()),
    read: (_partition, signal) => {
      signals.push(signal)
      return [[1]]
    },
  }
  ssc.inputStream(source).print()
  await ssc.start()
  await batch()
  expect(signals[0]?.aborted).toBe(false)
  await ssc.stop({ graceful: false })
  expect(signals[0]?.aborted).toBe(true)
})

test('time that starting takes makes no overdue batches', async () => {
  const { ssc, clock, events } = harness()
  const slow: InputSource<number> = { ...scriptedSource(() => Promise.resolve()), start: () => clock.sleep(30_000) }
  ssc.inputStream(slow).print()
  const starting = ssc.start()
  await clock.advance(30_000)
  await starting
  await clock.advance(1_000)
  expect(events.filter((event) => event.startsWith('submitted'))).toEqual(['submitted 31000'])
  await ssc.stop({ graceful: false })
})

test('a batch interval below 10 ms is refused, and one of 10 ms works', async () => {
  expect(() => harness({ batchInterval: seconds(0.009) })).toThrowError(/batchInterval must be at least 10 ms/)
  const { ssc, batches, completed } = harness({ batchInterval: seconds(0.01) })
  ssc.queueStream([]).print()
  await ssc.start()
  await batches(3)
  expect(completed).toEqual([10, 20, 30])
  await ssc.stop({ graceful: false })
})
