/** Rules about plans: what they cover, what they are made of, that they stay as they are. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { assertSameRecords, textOf } from '../suite/checks.js'
import type { Rule } from '../suite/runner.js'
import { assertPlain, assertSamePartitions, throughBytes, type InputBench } from './input-bench.js'

type Bench = InputBench<unknown>

export const planRules: readonly Rule<Bench>[] = [
  {
    name: 'plans cover everything that was added, each record once',
    async run(bench) {
      await bench.start()
      const all: unknown[] = []
      const covered: unknown[] = []
      for (const count of [5, 1, 30, 0, 7]) {
        const records = bench.records(count)
        if (count > 0) await bench.add(records)
        all.push(...records)
        covered.push(...(await bench.next()))
      }
      covered.push(...(await bench.next()))
      assertSameRecords(covered, all)
    },
  },
  {
    name: 'what was added several times between two plans is covered once',
    async run(bench) {
      await bench.start()
      const groups = [bench.records(4), bench.records(3), bench.records(6)]
      for (const records of groups) await bench.add(records)
      const covered: unknown[] = []
      // One element of a queue in each batch is allowed.
      for (let batch = 0; batch <= groups.length; batch++) covered.push(...(await bench.next()))
      assertSameRecords(covered, groups.flat())
    },
  },
  {
    name: 'a plan with nothing new is empty',
    async run(bench) {
      await bench.start()
      assert.deepEqual(await bench.next(), [])
      await bench.add(bench.records(5))
      await bench.next()
      assert.deepEqual(await bench.next(), [])
      assert.deepEqual(await bench.next(), [])
    },
  },
  {
    name: 'the records of a partition keep their order',
    async run(bench) {
      await bench.start()
      const records = bench.records(500)
      await bench.add(records)
      const index = new Map(records.map((record, i) => [textOf(record), i]))
      for (const partition of await bench.read(await bench.planData())) {
        const found = partition.map((record) => index.get(textOf(record)) ?? NaN)
        assert.deepEqual(
          found,
          [...found].sort((a, b) => a - b),
        )
      }
    },
  },
  {
    name: 'what is added after a plan is not in it',
    async run(bench) {
      await bench.start()
      const [first, second] = [bench.records(5), bench.records(4)]
      await bench.add(first)
      const data = await bench.planData()
      await bench.add(second)
      assertSameRecords((await bench.read(data)).flat(), first)
      assertSameRecords(await bench.next(), second)
    },
  },
  { name: 'a plan is plain data, and after a way through bytes it covers the same', run: isPlain },
  { name: 'a plan is not changed by what comes after it', run: staysAsItWas },
  {
    name: 'the number of records that a plan tells is right',
    async run(bench) {
      await bench.start()
      for (const count of [5, 0, 12]) {
        if (count > 0) await bench.add(bench.records(count))
        const plan = await bench.plan()
        if (plan?.records === undefined) continue
        assert.equal((await bench.read(plan.data)).flat().length, plan.records)
      }
    },
  },
  { name: 'setRate, where it is there, bounds the next plans, and the rest comes later', run: obeysRate },
]

async function isPlain(bench: Bench): Promise<void> {
  await bench.start()
  await bench.add(bench.records(20))
  const data = await bench.planData()
  assertPlain(data)
  const copy = throughBytes(data)
  assert.deepEqual(copy, data)
  assertSamePartitions(await bench.read(copy), await bench.read(data))
}

async function staysAsItWas(bench: Bench): Promise<void> {
  await bench.start()
  await bench.add(bench.records(8))
  const data = await bench.planData()
  const before = throughBytes(data)
  await bench.read(data)
  await bench.add(bench.records(8))
  await bench.next()
  await bench.commit(data, bench.time - bench.intervalMs)
  await bench.next()
  assert.ok(
    isDeepStrictEqual(data, before),
    'the data of a plan belongs to the engine; make a new object for each plan',
  )
}

const RATE = 100

async function obeysRate(bench: Bench): Promise<void> {
  const { source } = bench
  await bench.start()
  if (source.setRate === undefined) return
  const records = bench.records(5 * RATE)
  source.setRate(RATE)
  await bench.add(records)
  const covered: unknown[] = []
  const most = Math.ceil((RATE * bench.intervalMs) / 1_000)
  for (let batch = 0; batch < 5; batch++) {
    const plan = await bench.plan()
    const partitions = plan === undefined ? [] : await bench.read(plan.data)
    const count = partitions.flat().length
    // Each partition may round up.
    assert.ok(
      count <= most + partitions.length,
      `a plan covers ${String(count)} records; the rate allows ${String(most)}`,
    )
    covered.push(...partitions.flat())
  }
  source.setRate(1_000 * RATE)
  covered.push(...(await bench.next()), ...(await bench.next()))
  assertSameRecords(covered, records)
}
