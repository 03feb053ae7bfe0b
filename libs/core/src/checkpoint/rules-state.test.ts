/** E5, E6 and E10 over restarts: state comes back as it was, in the order in which it was. */
import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import type { DStream } from '../dstream/dstream.js'
import { hashPartitioner } from '../rdd/partitioner.js'
import { StateOperator } from '../state/state-operator.js'
import type { StateChanges } from '../state/state-columns.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'
import { Checkpoint } from './checkpoint.js'
import { LogImage } from './log-image.js'
import { readSnapshotBase, readSnapshotParts, writeSnapshot } from './snapshots.js'

const forever = new Promise<void>(() => undefined)

afterEach(() => {
  vi.restoreAllMocks()
})

/** Runs programs one after another on one disk; each for some batches. */
async function runBatches(runs: Restarts, batches: number, build: (run: Run) => void): Promise<Run> {
  const run = runs.launch()
  build(run)
  await run.ssc.start()
  await run.batches(batches)
  await run.ssc.stop({ graceful: false })
  return run
}

test('E5: a batch that runs again after a crash starts from the committed state', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const build = (run: Run, hold: boolean): void => {
    run.ssc
      .inputStream(scriptedSource([[['a', 1] as const], [['a', 10] as const], [['a', 100] as const]]))
      .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0), { partitions: 1 })
      .foreachRDD(async (rdd, time) => {
        out.push([time, await rdd.collect()])
        if (hold && time === 2_000) await forever
      })
  }
  for (const hold of [true, true, false]) {
    const run = runs.launch()
    build(run, hold)
    await run.ssc.start()
    if (out.length === 0) await run.batches(1)
    await run.clock.advance(1_000)
    await until(() =>
      hold ? run.events.some((event) => event.startsWith('output-started 2000')) : run.completed.length > 1,
    )
    await until(() => out.length > 1)
    run.kill()
  }
  expect(new Set(out.map((line) => JSON.stringify(line)))).toEqual(
    new Set(['[1000,[["a",1]]]', '[2000,[["a",11]]]', '[3000,[["a",111]]]', '[4000,[["a",111]]]']),
  )
})

test('E6: after a restart plain state is frozen still, and Maps are copies', async () => {
  const runs = new Restarts()
  const seen: unknown[] = []
  const errors: unknown[] = []
  interface Held {
    readonly list: number[]
    readonly map: Map<string, number>
  }
  const build = (run: Run): void => {
    const pairs = run.ssc.inputStream(scriptedSource([['k'], ['k'], ['k'], ['k']])).map((key) => [key, 1] as const)
    const held = pairs.updateStateByKey<Held>((_values, state) => state ?? { list: [1], map: new Map([['x', 1]]) }, {
      partitions: 1,
      name: 'mixed',
    })
    const plain = pairs.updateStateByKey<number[]>((_values, state) => (state as number[] | undefined) ?? [1], {
      partitions: 1,
      name: 'plain',
    })
    held.foreachRDD(
      async (rdd) => {
        for (const [, { list, map }] of await rdd.collect()) {
          seen.push([[...list], [...map]])
          map.set('y', 2)
        }
      },
      { name: 'one' },
    )
    plain.foreachRDD(
      async (rdd) => {
        for (const [, list] of await rdd.collect()) {
          try {
            list.push(2)
          } catch (error) {
            errors.push(error)
          }
        }
      },
      { name: 'two' },
    )
  }
  await runBatches(runs, 2, build)
  await runBatches(runs, 2, build)
  expect(seen).toEqual(Array.from({ length: 4 }, () => [[1], [['x', 1]]]))
  expect(errors).toHaveLength(4)
})

test('E6: dates as keys come back as the same keys, and as copies', async () => {
  const runs = new Restarts()
  const seen: unknown[] = []
  const build = (run: Run): void => {
    run.ssc
      .inputStream(scriptedSource([[0], [0], [0]]))
      .map((ms) => [new Date(ms), 1] as const)
      .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0), { partitions: 1 })
      .foreachRDD(async (rdd) => {
        for (const [date, sum] of await rdd.collect()) {
          seen.push([date.getTime(), sum])
          date.setTime(99)
        }
      })
  }
  await runBatches(runs, 1, build)
  await runBatches(runs, 2, build)
  expect(seen).toEqual([
    [0, 1],
    [0, 2],
    [0, 3],
  ])
})

test('E6: an instance of a class in a state fails its batch, and says what to do', async () => {
  class Total {
    readonly total = 1
  }
  const run = new Restarts().launch()
  const end = run.end()
  run.ssc
    .inputStream(scriptedSource([['k']]))
    .map((key) => [key, 1] as const)
    .updateStateByKey<Total>(() => new Total())
    .print()
  await run.ssc.start()
  await run.clock.advance(1_000)
  expect(await end).toMatchObject({
    code: 'UNSERIALIZABLE',
    message: expect.stringMatching(/\[updateStateByKey-0\] the state cannot be kept.*return plain data/) as string,
  })
})

test('E6: initial state is in the log with the first batch, and is not applied again', async () => {
  const runs = new Restarts()
  const out: unknown[] = []
  const build = (run: Run): void => {
    const pairs = run.ssc.inputStream(scriptedSource([['a'], ['b'], ['a'], []])).map((key) => [key, 1] as const)
    pairs
      .updateStateByKey<number>((values, sum) => values.reduce((a, b) => a + b, sum ?? 0), {
        partitions: 1,
        initialState: [
          ['z', 50],
          ['a', 10],
        ],
      })
      .foreachRDD(
        async (rdd, time) => {
          out.push([time, await rdd.collect()])
        },
        { name: 'sums' },
      )
    pairs
      .mapWithState<number, string>(
        (key, n, state) => {
          if (state.isTimingOut()) return `${key} leaves with ${String(state.get())}`
          state.update((state.getOption() ?? 0) + (n ?? 0))
          return `${key} ${String(state.get())}`
        },
        {
          partitions: 1,
          timeout: seconds(2),
          initialState: [
            ['y', 7],
            ['a', 10],
          ],
        },
      )
      .foreachRDD(
        async (rdd, time) => {
          out.push([time, await rdd.collect()])
        },
        { name: 'mapped' },
      )
  }
  for (let i = 0; i < 4; i++) await runBatches(runs, 1, build)
  const whole = out.splice(0)
  await runBatches(new Restarts(), 4, build)
  expect(whole).toEqual(out)
  expect(whole.at(-2)).toEqual([
    4_000,
    [
      ['z', 50],
      ['a', 12],
      ['b', 1],
    ],
  ])
  expect(whole.at(-1)).toEqual([4_000, ['y leaves with 7']])
})

type Command = readonly [key: number, value: number | undefined]

test('E10: a snapshot that is written while keys are removed and come again, and the changes since, give the same state in the same order', async () => {
  const commands = fc.array(fc.tuple(fc.integer({ min: 0, max: 9_500 }), fc.option(fc.nat(9), { nil: undefined })), {
    maxLength: 12,
  })
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 4 }),
    fc.boolean(),
    fc.integer({ min: 0, max: 9_000 }),
    fc.array(commands, { minLength: 1, maxLength: 14 }),
    async (partitions, watchesIdle, keys, script) => {
      const partitioner = hashPartitioner(partitions)
      const partitionOf = (key: unknown): number => partitioner.partitionOf(key)
      const batches = [...script]
      const newState = (): StateOperator =>
        new StateOperator('state', {
          partitions,
          watchesIdle,
          partitionOf,
          format: { kind: 'test', version: 0, migrate: undefined },
        })
      const state = newState()
      const log: { readonly time: number; readonly changes: StateChanges }[] = []
      let time = 0
      const commit = (batch: readonly Command[]): void => {
        time += 1_000
        for (const [key, value] of batch) {
          const partition = state.partitions[partitionOf(key)]
          partition?.write(partition.cell(key), value)
        }
        for (const partition of state.partitions) for (const changes of partition.changes()) log.push({ time, changes })
        state.commit(time)
      }
      commit(Array.from({ length: keys }, (_, key) => [key, 0]))
      commit(Array.from({ length: keys / 3 }, (_, i) => [i * 2, 1]))
      const before = log.length
      const place = { fileSystem: memoryFileSystem(), folder: '/' }
      const rest = async (): Promise<void> => {
        const batch = batches.shift()
        if (batch !== undefined) commit(batch)
        await Promise.resolve()
      }
      await writeSnapshot(place, 7, [state], () => new LogImage().toData(), rest)
      for (const batch of batches.splice(0)) commit(batch)
      const restored = newState()
      const base = await readSnapshotBase(place)
      if (base === undefined) throw new Error('no snapshot')
      await readSnapshotParts(place, base, () => restored)
      restored.settle()
      for (const { time, changes } of log.slice(before)) restored.restoreChanges(changes, time, 0)
      const contents = (operator: StateOperator): unknown =>
        operator.partitions.map((partition) => [
          [...partition.cells()].map(({ k, v, writtenAt }) => [k, v, writtenAt]),
          partition.idleSince(Infinity).map(({ k }) => k),
        ])
      expect(contents(restored)).toEqual(contents(state))
    },
  )
  await fc.assert(property, { numRuns: 60 })
}, 120_000)

const letters = ['a', 'b', 'c', 'd', 'e', 'f'] as const
type Entry = readonly [key: (typeof letters)[number], value: number]

/** Streams of state, removals and time-outs, into the store. */
function program(run: Run, script: readonly (readonly Entry[])[], partitions: number, runs: Restarts): void {
  const pairs: DStream<Entry> = run.ssc.inputStream(scriptedSource(script))
  pairs
    // A value of 0 removes the key.
    .updateStateByKey<number>(
      (values, sum) => (values.includes(0) ? undefined : values.reduce((a, b) => a + b, sum ?? 0)),
      {
        partitions,
      },
    )
    .to(runs.store.sink('sums'), { name: 'sums' })
  const mapped = pairs.mapWithState<number, string>(
    (key, n, state) => {
      if (state.isTimingOut()) return `${key} leaves with ${String(state.get())}`
      if (n === 0 && state.exists()) state.remove()
      else if (n !== 1) state.update((state.getOption() ?? 0) + (n ?? 0))
      return `${key} ${String(state.getOption())}`
    },
    { partitions, timeout: seconds(2) },
  )
  mapped.to(runs.store.sink('mapped'), { name: 'mapped' })
  mapped.stateSnapshots().to(runs.store.sink('all'), { name: 'all' })
}

test('E10: however it crashes, and whenever snapshots are made, streams of state are what one undisturbed run gives, in the same order', async () => {
  const open = new Set<Checkpoint>()
  let snapshots = 0
  const inner = Reflect.get(Checkpoint.prototype, 'plan') as Checkpoint['plan']
  vi.spyOn(Checkpoint.prototype, 'plan').mockImplementation(function (this: Checkpoint, ...args) {
    open.add(this)
    return inner.apply(this, args)
  })
  const entry = fc.tuple(fc.constantFrom(...letters), fc.nat(3))
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 3 }),
    fc.array(fc.array(entry, { maxLength: 6 }), { minLength: 2, maxLength: 9 }),
    fc.array(fc.constantFrom('batch', 'crash', 'late crash', 'snapshot', 'stop'), { minLength: 20, maxLength: 20 }),
    async (partitions, script, steps) => {
      const undisturbed = new Restarts()
      await runBatches(undisturbed, script.length, (run) => {
        program(run, script, partitions, undisturbed)
      })
      const runs = new Restarts()
      const launch = async (): Promise<Run> => {
        open.clear()
        const run = runs.launch({ catchUp: 'each' })
        program(run, script, partitions, runs)
        await run.ssc.start()
        await until(() => run.clock.now() === 0 || isCaughtUp(run))
        return run
      }
      let run = await launch()
      const todo = [...steps]
      while (run.clock.now() < script.length * 1_000) {
        const step = todo.shift() ?? 'batch'
        if (step === 'snapshot') {
          for (const checkpoint of open) {
            snapshots++
            checkpoint.snapshot().catch(() => undefined)
          }
        }
        if (step === 'crash') run.kill()
        else if (step === 'stop') await run.ssc.stop({ graceful: false })
        else if (step === 'late crash') {
          await run.clock.advance(1_000)
          for (let turn = 0; turn < partitions * 7; turn++) await run.clock.yield()
          run.kill()
        }
        if (step === 'crash' || step === 'stop' || step === 'late crash') run = await launch()
        else {
          await run.clock.advance(1_000)
          await until(() => run.completed.at(-1) === run.clock.now())
        }
      }
      await until(() => isCaughtUp(run))
      await run.ssc.stop({ graceful: false })
      expect(runs.store.contents()).toEqual(undisturbed.store.contents())
    },
  )
  await fc.assert(property, { numRuns: 60 })
  expect(snapshots).toBeGreaterThan(20)
}, 300_000)

/** Whether the batches up to now are committed. */
function isCaughtUp(run: Run): boolean {
  const { completed, clock } = run
  const submitted = run.events.filter((event) => event.startsWith('submitted')).length
  return completed.length === submitted && (submitted === 0 || (completed.at(-1) ?? 0) >= clock.now())
}
