/** Rules about what a receiver gives to the engine: in order, once, and no more than there is room for. */
import assert from 'node:assert/strict'
import { SluiceError } from '@sluice/core'
import { assertHelpful, textOf } from '../suite/checks.js'
import type { Rule } from '../suite/runner.js'
import type { ReceiverBench } from './receiver-bench.js'

type Bench = ReceiverBench<unknown>

export const receivingRules: readonly Rule<Bench>[] = [
  {
    name: 'it declares its contract and, if it has one, its name',
    async run({ target: { receiver } }) {
      assert.equal(receiver['~sluice'], 'receiver/1')
      if (receiver.name !== undefined) assert.match(receiver.name, /\S/, 'name')
      await Promise.resolve()
    },
  },
  {
    name: 'onStart resolves when receiving is set up, before there is anything to receive',
    async run(bench) {
      await bench.start()
      await bench.quiet()
      assert.deepEqual(bench.run.told, [], 'nothing is told where nothing is wrong')
      await bench.expectStored([])
    },
  },
  {
    name: 'records are stored in the order in which they were sent, each once',
    async run(bench) {
      await bench.start()
      const records = bench.records(2_000)
      await bench.send(records)
      await bench.expectStored(records)
    },
  },
  {
    name: 'records that come one by one are stored the same',
    async run(bench) {
      await bench.start()
      const records = bench.records(100)
      for (const [i, record] of records.entries()) {
        await bench.send([record])
        if (i % 10 === 0) await bench.untilStored(i)
      }
      await bench.expectStored(records)
    },
  },
  { name: 'store is awaited: while it is pending, no more calls come than the source declares', run: awaitsStore },
  {
    name: 'what waited for room is stored when there is room, in order',
    async run(bench) {
      const run = await bench.start()
      run.hold()
      const records = bench.records(500)
      for (let at = 0; at < records.length; at += 100) {
        await bench.send(records.slice(at, at + 100))
        await bench.quiet()
      }
      run.release()
      await bench.expectStored(records)
      assert.deepEqual(run.told, [], 'waiting for room is no problem to be told')
    },
  },
  { name: 'a store that fails is told: a report, a restart or a stop with the error', run: tellsFailedStore },
  { name: 'E14: a run goes on above the last safe position, without loss and without doubles', run: resumes },
]

async function awaitsStore(bench: Bench): Promise<void> {
  const run = await bench.start()
  run.hold()
  const records = bench.records(1_000)
  for (let at = 0; at < records.length; at += 50) {
    await bench.send(records.slice(at, at + 50))
    if (at % 250 === 0) await bench.quiet()
  }
  await bench.eventually('the first records are given to store', () => run.pending > 0)
  await bench.quiet()
  assert.ok(
    run.mostPending <= bench.maxPending,
    `${String(run.mostPending)} calls of store were pending at once; at most ${String(bench.maxPending)} may`,
  )
}

async function tellsFailedStore(bench: Bench): Promise<void> {
  const run = await bench.start()
  const full = new SluiceError({ code: 'FILE_SYSTEM_FAILED', component: 'disk', message: 'it is full; free space' })
  run.refuse(full)
  await bench.send(bench.records(10))
  await bench.eventually('the receiver tells of a store that failed', () => run.told.length > 0)
  const { message, error } = run.told[0] ?? { message: '', error: undefined }
  assert.match(message, /\S/, 'what is told has a message')
  assert.ok(error !== undefined, 'what is told has the error')
  assertHelpful(error)
  await bench.stop()
}

async function resumes(bench: Bench): Promise<void> {
  const first = await bench.start()
  const [safe, lost] = [bench.records(20), bench.records(20)]
  await bench.send(safe)
  await bench.expectStored(safe)
  assert.notDeepEqual(first.position, {}, 'records are stored with their position')
  first.hold()
  await bench.send(lost)
  await bench.eventually('further records wait to be stored', () => first.pending > 0)
  await bench.stop()
  await bench.start()
  const next = bench.records(5)
  await bench.send(next)
  await bench.untilStored(45)
  await bench.quiet()
  assert.deepEqual(bench.stored.map(textOf), [...safe, ...lost, ...next].map(textOf))
}
