/** Rules about the runs of a receiver: start, stop, failure, and the next run. */
import assert from 'node:assert/strict'
import { systemClock } from '@sluice/core'
import { assertHelpful, type Outcome } from '../suite/checks.js'
import type { Rule } from '../suite/runner.js'
import type { ReceiverBench } from './receiver-bench.js'
import type { Told } from './receiver-run.js'

type Bench = ReceiverBench<unknown>

export const runRules: readonly Rule<Bench>[] = [
  {
    name: 'onStop releases everything, also when nothing was received',
    async run(bench) {
      const held = bench.need('held')
      await bench.start()
      await bench.eventually('a running receiver holds something at its source', async () => (await held()) > 0)
      await bench.stop()
      await bench.expectReleased()
    },
  },
  {
    name: 'onStop releases everything while records flow',
    async run(bench) {
      bench.need('held')
      await bench.start()
      await bench.send(bench.records(1_000))
      await bench.untilStored(1)
      await bench.stop()
      await bench.expectReleased()
    },
  },
  {
    name: 'a store that rejects with STOPPED is a normal end: nothing is told, everything released',
    run: endsNormally,
  },
  {
    name: 'a stop while onStart goes on ends it, and onStop releases everything',
    async run(bench) {
      for (let turns = 0; turns < 3; turns++) {
        bench.begin()
        for (let turn = 0; turn < turns; turn++) await systemClock.yield()
        await bench.stop()
        await bench.quiet()
        await bench.expectReleased()
        assert.equal(bench.run.lateStores, 0, 'nothing is stored after onStop')
      }
    },
  },
  { name: 'nothing is stored after onStop', run: storesNothingLate },
  {
    name: 'a new run after onStop receives again, and uses its own context',
    async run(bench) {
      const all: unknown[] = []
      for (let n = 0; n < 3; n++) {
        const run = await bench.start()
        const records = bench.records(20)
        all.push(...records)
        await bench.send(records)
        await bench.expectStored(all)
        assert.deepEqual(run.told, [])
        await bench.stop()
      }
      for (const run of bench.runs) assert.equal(run.lateStores, 0, 'the context of an ended run is not used')
    },
  },
  {
    name: 'a start that fails is told, and onStop after it releases everything',
    async run(bench) {
      const [breakIt, repair] = [bench.need('break'), bench.need('repair')]
      await breakIt()
      const outcome = await beginBroken(bench)
      assertTold(bench, outcome)
      await bench.stop()
      await bench.expectReleased()
      await repair()
    },
  },
  {
    name: 'after a start that failed the next run receives',
    async run(bench) {
      const [breakIt, repair] = [bench.need('break'), bench.need('repair')]
      await breakIt()
      await beginBroken(bench)
      await bench.stop()
      await repair()
      await receivesAfter(bench)
    },
  },
  {
    name: 'a source that breaks in the middle is told, and the next run receives',
    async run(bench) {
      const [breakIt, repair] = [bench.need('break'), bench.need('repair')]
      const run = await bench.start()
      const records = bench.records(5)
      await bench.send(records)
      await bench.expectStored(records)
      await breakIt()
      await bench.eventually('the receiver tells that its source broke', () => run.told.length > 0)
      assertTold(bench, { rejected: false })
      await bench.stop()
      await bench.expectReleased()
      await repair()
      await receivesAfter(bench)
    },
  },
  {
    name: 'what goes wrong is told as a SluiceError with component and remedy',
    async run(bench) {
      const [breakIt, repair] = [bench.need('break'), bench.need('repair')]
      await breakIt()
      const outcome = await beginBroken(bench)
      const error = outcome.rejected ? outcome.error : bench.run.told[0]?.error
      assertHelpful(error)
      await bench.stop()
      await repair()
    },
  },
  { name: 'no promise is left to reject unhandled at any end', run: leavesNoPromise },
]

async function endsNormally(bench: Bench): Promise<void> {
  bench.need('held')
  const run = await bench.start()
  run.hold()
  await bench.send(bench.records(100))
  await bench.eventually('a store is pending', () => run.pending > 0)
  await bench.stop()
  await bench.quiet()
  assert.deepEqual(run.told, [], 'the end of a run is no problem to be told')
  await bench.expectReleased()
  assert.deepEqual(bench.stored, [])
}

async function storesNothingLate(bench: Bench): Promise<void> {
  const run = await bench.start()
  const records = bench.records(10)
  await bench.send(records)
  await bench.expectStored(records)
  await bench.stop()
  const before = bench.stored.length
  await bench.send(bench.records(10))
  await bench.quiet()
  assert.equal(run.lateStores, 0, 'store was called after onStop had returned')
  assert.equal(bench.stored.length, before)
}

/** Begins a run on a broken source and waits until it fails, or tells of it. */
async function beginBroken(bench: Bench): Promise<Outcome> {
  const run = bench.begin()
  const told = bench.eventually('the receiver tells that it cannot start', () => run.told.length > 0)
  told.catch(() => undefined)
  const outcome = await bench.started()
  if (!outcome.rejected) await told
  // Not waited for: it ends by itself when something is told, else at its deadline.
  else run.report('onStart rejected', outcome.error)
  return outcome
}

/** Either the start rejected, or what was told has its message. */
function assertTold(bench: Bench, outcome: Outcome): void {
  if (outcome.rejected) return
  const told: Told | undefined = bench.run.told[0]
  assert.ok(told !== undefined, 'a problem must be told')
  assert.match(told.message, /\S/, 'what is told has a message')
}

async function receivesAfter(bench: Bench): Promise<void> {
  const before = [...bench.stored]
  await bench.start()
  const records = bench.records(20)
  await bench.send(records)
  await bench.expectStored([...before, ...records])
}

/** Each test looks for such promises; this one goes through the ends at which they are most often forgotten. */
async function leavesNoPromise(bench: Bench): Promise<void> {
  bench.begin()
  await bench.stop()
  const held = await bench.start()
  held.hold()
  for (let i = 0; i < 5; i++) await bench.send(bench.records(20))
  await bench.quiet()
  await bench.stop()
  const refusing = await bench.start()
  refusing.refuse(new Error('the disk is full'))
  for (let i = 0; i < 5; i++) await bench.send(bench.records(5))
  await bench.quiet()
  await bench.stop()
  await bench.quiet()
}
