/** Rules about what comes through: partitions of every size and order, contents of every kind. */
import assert from 'node:assert/strict'
import { seededRandom } from '@sluice/core'
import { assertSameOrder, countsOf, textOf } from '../suite/checks.js'
import { chunksOf, rule, type SinkBench, type SinkRule } from './sink-bench.js'

type Bench = SinkBench<unknown>

const DEFAULT_MANY = 100_000
const ENGINE_CHUNK = 1_000

export const contentRules: readonly SinkRule[] = [
  rule('it declares contract, name, target, guarantee and unit', async ({ sink, target }) => {
    assert.equal(sink['~sluice'], 'sink/1')
    assert.match(sink.name, /\S/, 'name')
    assert.match(sink.target, /\S/, 'target')
    assert.doesNotMatch(sink.target, /:\/\/|@/, 'the target names neither host nor credentials: part of the output id')
    assert.equal((await target.reopen()).target, sink.target, 'the target is the same for the same place')
    assert.ok(['exactly-once', 'effectively-once', 'at-least-once'].includes(sink.guarantee.level), 'guarantee.level')
    assert.match(sink.guarantee.condition, /\w+ \w+/, 'guarantee.condition is a sentence')
    assert.ok([undefined, 'partition', 'batch'].includes(sink.unit), 'unit')
  }),
  rule('a committed batch is there', async (bench) => {
    await bench.open()
    const partitions = [bench.records(5), bench.records(1), bench.records(7)]
    await bench.batch(partitions)
    await bench.expect(partitions.flat())
  }),
  rule('a committed batch outlives the sink', async (bench) => {
    await bench.open()
    const partitions = [bench.records(5), bench.records(3)]
    await bench.batch(partitions)
    await bench.closeSink(bench.sink)
    await bench.reopen({ epoch: 2 })
    await bench.expect(partitions.flat())
  }),
  rule('partitions may come in any order', async (bench) => {
    await bench.open()
    const random = seededRandom(7)
    const partitions = Array.from({ length: 8 }, (_, i) => bench.records(i + 1))
    const order = partitions.map((_, i) => i).sort(() => random.next() - 0.5)
    for (const partition of order) await bench.write(partitions[partition] ?? [], { id: { partitions: 8, partition } })
    await bench.commit({ partitions: 8 })
    await bench.expect(partitions.flat())
  }),
  rule('partitions may be written in parallel, unless the unit is the batch', async (bench) => {
    await bench.open()
    if (bench.sink.unit === 'batch') return
    const partitions = Array.from({ length: 8 }, (_, i) => bench.records(5 + i))
    await Promise.all(
      partitions.map((records, partition) => bench.write(records, { id: { partitions: 8, partition } })),
    )
    await bench.commit({ partitions: 8 })
    await bench.expect(partitions.flat())
  }),
  rule('nothing is there before commitBatch where the unit is the batch', async (bench) => {
    await bench.open()
    const partitions = [bench.records(3), bench.records(2)]
    for (const [partition, records] of partitions.entries())
      await bench.write(records, { id: { partitions: 2, partition } })
    if (bench.sink.unit === 'batch') await bench.expect([])
    await bench.commit({ partitions: 2 })
    await bench.expect(partitions.flat())
  }),
  rule('a partition without records is written as the others', async (bench) => {
    await bench.open()
    const partitions = [bench.records(2), [], bench.records(3), []]
    await bench.batch(partitions)
    await bench.expect(partitions.flat())
    await bench.batch([[], []], { batchTime: bench.time(2), planDigest: 'plan-2' })
    await bench.batch([[], []], { batchTime: bench.time(2), planDigest: 'plan-2', attempt: 1 })
    await bench.expect(partitions.flat())
  }),
  rule('a batch without partitions is committed, and the next one follows', async (bench) => {
    await bench.open()
    await bench.batch([])
    await bench.batch([], { attempt: 1 })
    await bench.expect([])
    const next = bench.records(2)
    await bench.batch([next], { batchTime: bench.time(2), planDigest: 'plan-2' })
    await bench.expect(next)
  }),
  rule('many records come through', async (bench) => {
    await bench.open()
    const records = bench.records(bench.options.manyRecords ?? DEFAULT_MANY)
    await bench.write(records, { source: chunksOf(records, ENGINE_CHUNK) })
    await bench.commit()
    await bench.expect(records)
  }),
  rule('how records are cut into chunks means nothing', async (bench) => {
    await bench.open()
    const records = bench.records(60)
    await bench.write(records, { source: unevenChunks(records) })
    await bench.commit()
    await bench.expect(records)
  }),
  rule('chunks are left as they were', async (bench) => {
    await bench.open()
    const records = bench.records(30)
    const texts = records.map(textOf)
    const chunks = [records.slice(0, 20), records.slice(20)].map((chunk) => Object.freeze(chunk))
    await bench.write(records, { source: givenChunks(chunks) })
    await bench.commit()
    assert.deepEqual(records.map(textOf), texts, 'other outputs read the same records')
    await bench.expect(records)
  }),
  rule('awkward contents come back as they were given', async (bench) => {
    const records = bench.need('awkward')
    await bench.open()
    await bench.batch([records, []])
    await bench.expect(records)
  }),
  rule('the records of a partition keep their order', keepsOrder),
]

async function keepsOrder(bench: Bench): Promise<void> {
  await bench.open()
  const partitions = [bench.records(50), bench.records(40)]
  await bench.batch(partitions)
  const found = await bench.readBack()
  for (const records of partitions) {
    const own = countsOf(records.map(textOf))
    assertSameOrder(
      found.filter((record) => own.has(textOf(record))),
      records,
    )
  }
}

async function* unevenChunks(records: readonly unknown[]): AsyncGenerator<readonly unknown[]> {
  yield []
  yield records.slice(0, 1)
  await Promise.resolve()
  yield records.slice(1, 8)
  yield []
  yield records.slice(8)
  yield []
}

async function* givenChunks(chunks: readonly (readonly unknown[])[]): AsyncGenerator<readonly unknown[]> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}
