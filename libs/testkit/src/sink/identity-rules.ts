/** Rules about what a batch partition is: run again, run late, run by somebody else (E1, E8). */
import assert from 'node:assert/strict'
import { assertSameRecords, countsOf, settled, textOf } from '../suite/checks.js'
import { onceRule, rule, type SinkBench, type SinkRule } from './sink-bench.js'

type Bench = SinkBench<unknown>

export const identityRules: readonly SinkRule[] = [
  onceRule('E1: a partition written twice by another attempt leaves one effect', async (bench) => {
    await bench.open()
    const [first, second] = [bench.records(5), bench.records(4)]
    await bench.write(first, { id: { partitions: 2, attempt: 0 } })
    await bench.write(first, { id: { partitions: 2, attempt: 1 } })
    // Where the unit is the batch, all partitions are written by the new attempt.
    const attempt = bench.sink.unit === 'batch' ? 1 : 0
    await bench.write(second, { id: { partitions: 2, partition: 1, attempt } })
    await bench.commit({ partitions: 2, attempt })
    await bench.expect([...first, ...second])
  }),
  onceRule('E1: of two attempts the first counts, whatever the second one brings', async (bench) => {
    await bench.open()
    const [first, second] = [bench.records(4), bench.records(4)]
    await bench.batch([first])
    // Never so in a deterministic batch: it shows whether a write that lands late would replace what is there.
    await bench.batch([second], { attempt: 1 })
    if (!bench.relaxed) await bench.expect(first)
  }),
  onceRule('E1: a batch written twice by another epoch leaves one effect', async (bench) => {
    await bench.open()
    const partitions = [bench.records(5), bench.records(4)]
    await bench.batch(partitions)
    await bench.closeSink(bench.sink)
    const again = await bench.reopen({ epoch: 2 })
    await bench.batch(partitions, { epoch: 2 }, again)
    await bench.expect(partitions.flat())
  }),
  onceRule('E1: a batch that a crash cut short before its commit is completed, once', async (bench) => {
    await bench.open()
    const partitions = [bench.records(5), bench.records(4), bench.records(3)]
    for (const partition of [0, 1]) await bench.write(partitions[partition] ?? [], { id: { partitions: 3, partition } })
    // No commit and no close: the process is gone.
    const again = await bench.reopen({ epoch: 2 })
    await bench.batch(partitions, { epoch: 2 }, again)
    await bench.expect(partitions.flat())
  }),
  onceRule('E1: commitBatch again changes nothing, by another attempt and another epoch', async (bench) => {
    await bench.open()
    const partitions = [bench.records(3), bench.records(2)]
    await bench.batch(partitions)
    if (bench.sink.unit !== 'batch') await bench.commit({ partitions: 2, attempt: 1 })
    await bench.closeSink(bench.sink)
    const again = await bench.reopen({ epoch: 2 })
    await bench.batch(partitions, { epoch: 2 }, again)
    if (again.unit !== 'batch') await bench.commit({ partitions: 2, epoch: 2, attempt: 1 }, again)
    await bench.expect(partitions.flat())
  }),
  onceRule('a batch that was applied before a newer one changes nothing when it comes again', async (bench) => {
    await bench.open()
    const [first, second] = [[bench.records(3)], [bench.records(4)]]
    await bench.batch(first, { batchTime: bench.time(1) })
    await bench.batch(second, { batchTime: bench.time(2), planDigest: 'plan-2' })
    // Refused or done already: both are right.
    bench.succeeded(await settled(() => bench.batch(first, { batchTime: bench.time(1), attempt: 1 })))
    await bench.expect([...first, ...second].flat())
  }),
  onceRule('a late older batch is refused', async (bench) => {
    await bench.open()
    const newer = bench.records(4)
    await bench.batch([newer], { batchTime: bench.time(2) })
    await bench.expectRefused('an older batch after a newer one', newer, () =>
      bench.batch([bench.records(3)], { batchTime: bench.time(1) }),
    )
  }),
  onceRule('E1: equal time with another plan digest is an error, never success', async (bench) => {
    await refusesConflict(bench, 'the batch under another plan digest', { planDigest: 'plan-2' }, 2)
  }),
  onceRule('E1: equal time with another partition count is an error, never success', async (bench) => {
    await refusesConflict(bench, 'the batch in another number of partitions', {}, 3)
  }),
  onceRule("E1: another application's batch is never taken as applied", async (bench) => {
    await neverSwallowed(bench, { app: `${bench.app}-other` })
  }),
  onceRule('two outputs on one target do not disturb each other', async (bench) => {
    await neverSwallowed(bench, { output: 'conformance-1' })
  }),
  onceRule('E8: once a higher epoch has opened, a lower one can write no more', async (bench) => {
    await bench.open()
    const first = bench.records(3)
    await bench.batch([first])
    const owner = await bench.reopen({ epoch: 2 })
    await bench.expectRefused('a write by a lower epoch', first, () =>
      bench.batch([bench.records(2)], { batchTime: bench.time(2) }),
    )
    if (bench.relaxed) return
    const second = bench.records(2)
    await bench.batch([second], { batchTime: bench.time(2), epoch: 2 }, owner)
    await bench.expect([...first, ...second])
  }),
  onceRule('E1: open refuses a ledger that is ahead of the log', async (bench) => {
    await bench.open()
    const records = bench.records(3)
    await bench.batch([records], { batchTime: bench.time(3) })
    await bench.closeSink(bench.sink)
    await bench.reopen({ epoch: 2, lastPlanned: bench.time(3) })
    await bench.expectRefused('opening with a log that ends before the ledger', records, () =>
      bench.reopen({ epoch: 3, lastPlanned: bench.time(2) }).then(() => undefined),
    )
  }),
  onceRule('E1: open refuses a ledger of this application when its log has no batch', async (bench) => {
    await bench.open()
    const records = bench.records(3)
    await bench.batch([records])
    await bench.closeSink(bench.sink)
    await bench.expectRefused('opening with an empty log', records, () =>
      bench.reopen({ epoch: 2, lastPlanned: undefined }).then(() => undefined),
    )
  }),
  rule('batches follow each other', async (bench) => {
    await bench.open()
    const all: unknown[] = []
    for (let n = 1; n <= 10; n++) {
      const partitions = [bench.records(n), bench.records(2)]
      await bench.batch(partitions, { batchTime: bench.time(n), planDigest: `plan-${String(n)}` })
      all.push(...partitions.flat())
    }
    await bench.expect(all)
  }),
]

async function refusesConflict(
  bench: Bench,
  what: string,
  other: { planDigest?: string },
  count: number,
): Promise<void> {
  await bench.open()
  const partitions = [bench.records(3), bench.records(3)]
  await bench.batch(partitions)
  const others = Array.from({ length: count }, () => bench.records(2))
  await bench.expectRefused(what, partitions.flat(), () => bench.batch(others, { ...other, attempt: 1 }))
}

/** The other batch is refused and changes nothing, or it is there beside the first; it never vanishes in a success. */
async function neverSwallowed(bench: Bench, identity: { app?: string; output?: string }): Promise<void> {
  await bench.open()
  const partitions = [bench.records(3), bench.records(2)]
  await bench.batch(partitions)
  const other = await bench.target.reopen()
  const others = [bench.records(4), bench.records(1)]
  const outcome = await settled(async () => {
    await bench.open(other, identity)
    await bench.batch(others, identity, other)
  })
  const wanted = bench.succeeded(outcome) ? [...partitions, ...others] : partitions
  await bench.expect(wanted.flat())
  // The first goes on as if nothing had been.
  const next = bench.records(2)
  await bench.batch([next], { batchTime: bench.time(2), planDigest: 'plan-2' })
  await bench.expect([...wanted.flat(), ...next])
}

/** Nothing of these records is there, or all of them. */
export function assertAllOrNothing(found: readonly unknown[], records: readonly unknown[]): void {
  const have = countsOf(found.map(textOf))
  const there = records.filter((record) => have.has(textOf(record)))
  assert.ok(
    there.length === 0 || there.length === records.length,
    `half of a partition is there: ${String(there.length)} of ${String(records.length)} records`,
  )
  assertSameRecords(found, there)
}
