import { expect, test } from 'vitest'
import { digestOf, volatileLog } from './batch-log.js'

test('E1: the digest says what a batch covers: equal for equal plans, another for any other', () => {
  const plan = { time: 1_000, inputs: { 'kafka-0': { orders: [0n, 5n] }, 'receiver-1': { blocks: ['a'] } } }
  expect(digestOf(structuredClone(plan))).toBe(digestOf(plan))
  const others = [
    { ...plan, time: 2_000 },
    { ...plan, inputs: { ...plan.inputs, 'kafka-0': { orders: [0n, 6n] } } },
    { ...plan, inputs: { 'kafka-0': plan.inputs['kafka-0'] } },
    { ...plan, inputs: {} },
  ]
  expect(new Set([plan, ...others].map(digestOf)).size).toBe(5)
  expect(digestOf(plan)).toMatch(/^[0-9a-f]{32}$/)
})

test('E1: without a checkpoint each run is an application of its own, with nothing before it', async () => {
  const [one, two] = [volatileLog(), volatileLog()]
  expect(one.app).not.toBe(two.app)
  expect([one.epoch, one.lastPlanned]).toEqual([0, undefined])
  await one.plan({ time: 1, inputs: {}, records: {}, heads: {} }, true)
  await one.commit(1)
  await one.close()
})
