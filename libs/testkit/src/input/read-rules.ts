/** Rules about reading what was planned, and about the life of a source. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { assertHelpful, assertSameRecords, rejectsHelpfully, settled } from '../suite/checks.js'
import { ingredient, type Rule } from '../suite/runner.js'
import { assertSamePartitions, throughBytes, type InputBench } from './input-bench.js'

type Bench = InputBench<unknown>

export const readRules: readonly Rule<Bench>[] = [
  {
    name: 'it declares contract, name and whether it is replayable',
    async run({ source }) {
      assert.equal(source['~sluice'], 'input/1')
      assert.match(source.name, /\S/, 'name')
      assert.equal(typeof source.replayable, 'boolean', 'replayable')
      await Promise.resolve()
    },
  },
  {
    name: 'a plan is split into the same partitions each time',
    async run(bench) {
      await bench.start()
      await bench.add(bench.records(50))
      const data = await bench.planData()
      const first = bench.source.partitions(data)
      await bench.read(data)
      assert.ok(isDeepStrictEqual(bench.source.partitions(throughBytes(data)), first))
    },
  },
  {
    name: 'a plan that is read again gives the same records in the same order, where the source is replayable',
    async run(bench) {
      await bench.start()
      await bench.add(bench.records(50))
      const data = await bench.planData()
      const first = await bench.read(data)
      if (!bench.source.replayable) return
      await bench.add(bench.records(10))
      const later = await bench.planData()
      assertSamePartitions(await bench.read(data), first)
      await bench.read(later)
      assertSamePartitions(await bench.read(data), first)
    },
  },
  { name: 'E15: a plan is read the same after a restart, where the source is replayable', run: survivesRestart },
  {
    name: 'E15: what was planned and is gone fails the read by name, where the source is replayable',
    async run(bench) {
      if (!bench.source.replayable) return
      const lose = bench.need('lose')
      await bench.start()
      await bench.add(bench.records(20))
      const data = await bench.planData()
      await lose()
      const outcome = await settled(() => bench.read(data))
      assert.ok(outcome.rejected, 'records that are gone must not count as none')
      assertHelpful(outcome.error)
    },
  },
  {
    name: 'read gives bounded chunks, however much was planned',
    async run(bench) {
      await bench.start()
      const records = bench.records(bench.manyRecords)
      await bench.add(records)
      // Each chunk is looked at while it is read.
      assertSameRecords((await bench.read(await bench.planData())).flat(), records)
    },
  },
  { name: 'a read that is left early does no harm', run: leavesEarly },
  {
    name: 'partitions can be read at the same time',
    async run(bench) {
      await bench.start()
      const records = bench.records(80)
      await bench.add(records.slice(0, 40))
      await bench.add(records.slice(40))
      const plans = [await bench.planData(), (await bench.plan())?.data].filter((data) => data !== undefined)
      const readAll = (): Promise<unknown[][]> =>
        Promise.all(
          plans.flatMap((data) => bench.source.partitions(data)).map((partition) => bench.readPartition(partition)),
        )
      const times = bench.source.replayable ? [readAll(), readAll()] : [readAll()]
      for (const read of await Promise.all(times)) assertSameRecords(read.flat(), records)
    },
  },
  { name: 'commit comes after later plans and changes none', run: commitsLate },
  {
    name: 'a source that was never asked for a plan can be stopped',
    async run(bench) {
      await bench.start()
      await bench.stop()
    },
  },
  {
    name: 'a start that cannot work rejects, naming component, problem and remedy, and can be stopped',
    async run(bench) {
      const source = await ingredient(bench.options.broken, 'broken', bench.rule)()
      await rejectsHelpfully('start of a broken source', () => bench.start(source))
      await bench.stop(source)
    },
  },
]

async function survivesRestart(bench: Bench): Promise<void> {
  if (!bench.source.replayable) return
  const reopen = bench.need('reopen')
  await bench.start()
  await bench.add(bench.records(30))
  const data = await bench.planData()
  const before = await bench.read(data)
  const kept = throughBytes(data)
  await bench.stop()
  const again = await reopen()
  await bench.start(again)
  assertSamePartitions(await bench.read(kept, again), before)
}

async function leavesEarly(bench: Bench): Promise<void> {
  await bench.start()
  const records = bench.records(bench.manyRecords)
  await bench.add(records)
  const data = await bench.planData()
  for (const partition of bench.source.partitions(data)) {
    for await (const chunk of bench.chunks(partition)) if (chunk.length > 0) break
  }
  if (bench.source.replayable) assertSameRecords((await bench.read(data)).flat(), records)
  const next = bench.records(5)
  await bench.add(next)
  assertSameRecords(await bench.next(), next)
}

async function commitsLate(bench: Bench): Promise<void> {
  await bench.start()
  const groups = [bench.records(5), bench.records(6), bench.records(7)]
  const plans: { readonly data: unknown; readonly time: number }[] = []
  for (const records of groups) {
    await bench.add(records)
    plans.push({ data: await bench.planData(), time: bench.time })
  }
  for (const [i, { data, time }] of plans.entries()) {
    assertSameRecords((await bench.read(data)).flat(), groups[i] ?? [])
    await bench.commit(data, time)
  }
  assert.deepEqual(await bench.next(), [], 'what is committed is not planned again')
}
