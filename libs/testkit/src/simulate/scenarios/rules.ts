/** Programs in which a rule can be seen to be broken that others hide: what may differ from one run of a batch to the next. */
import { StreamingContext, type ReceiverContext } from '@sluice/core'
import type { SimBatch } from '../contents.js'
import { batchesOf } from '../oracle.js'
import type { Outside } from '../simulation.js'
import { oneOutputFails } from './outputs.js'
import { plainReceiver } from './receivers.js'
import { recordsOf, soon, word, wordAndNumber, type Scenario } from './scenario.js'
import { catchUpEach } from './state.js'

/** Side data that are others each time they are read: a batch sees one, however often it is run (E3, E10). */
export const sideData: Scenario = {
  name: 'side-data',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim
      .source(ssc, 'words', word)
      .transform((rdd, _time, mark: string) => rdd.map((text) => [text, mark] as const), {
        sideData: () => sim.options.host?.newIdentity() ?? '',
      })
      .to(sim.sink('marked'), soon)
    return ssc
  },
  expected: () => ({}),
  verify: (outside) => {
    for (const batch of batchesOf(outside)) {
      const rows = rowsOf(outside, 'marked', batch)
      const marks = new Set(rows.map((row) => (row as readonly string[])[1]))
      const count = recordsOf(batch, 'words').length
      if (rows.length !== count) return `marked: there are ${String(rows.length)} rows, and not ${String(count)}`
      if (marks.size > 1)
        return `marked: one batch was written with two states of its side data: ${[...marks].join(' ')}`
    }
    return undefined
  },
}

function rowsOf({ stores }: Outside, table: string, { time }: SimBatch): readonly unknown[] {
  return stores.rows(table).flatMap(({ batchTime, record }) => (batchTime === time ? [record] : []))
}

/** Values of a key in the order of the partitions that they come from, whichever of those was read first (E10). */
export const grouped: Scenario = {
  name: 'grouped',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim
      .source(ssc, 'pairs', (i, random) => [word(i, random), i] as const, { partitions: 3, perBatch: 8 })
      .groupByKey({ partitions: 2 })
      .to(sim.sink('groups'), soon)
    return ssc
  },
  expected: (batches) => ({
    groups: batches.map((batch) => {
      const groups = new Map<string, number[]>()
      for (const [key, n] of recordsOf<[string, number]>(batch, 'pairs'))
        groups.set(key, [...(groups.get(key) ?? []), n])
      return [...groups]
    }),
  }),
}

/** Answers that take their time, and come in the order of the questions (E10). */
export const asynchronous: Scenario = {
  name: 'map-async',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const { clock } = sim.options
    sim
      .source(ssc, 'numbers', (i) => i)
      .mapAsync(async (n) => {
        await clock?.sleep((n * 37) % 50)
        return n
      })
      .to(sim.sink('numbers'), soon)
    return ssc
  },
  ordered: ['numbers'],
  expected: (batches) => ({ numbers: batches.map((batch) => recordsOf(batch, 'numbers')) }),
}

/** A function that changes its state in place and then fails, once: the next try begins with what was committed (E5, E6). */
export const failingFunction: Scenario = {
  name: 'failing-function',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    // A task is tried four times.
    let left = 3
    const failed = new Set<number>()
    const fails = (n: number): boolean => {
      if (n % 5 !== 4 || failed.has(n) || left-- <= 0) return false
      failed.add(n)
      return true
    }
    sim
      .source(ssc, 'pairs', (i, random) => ['ab'[random.integer(2)] ?? 'a', i] as const)
      .mapWithState<Map<number, number>, readonly [string, number]>(
        (key, n = 0, state) => {
          const seen = (state.getOption() ?? new Map<number, number>()) as Map<number, number>
          seen.set(n, (seen.get(n) ?? 0) + 1)
          if (fails(n)) throw new Error('not today')
          state.update(seen)
          return [key, [...seen.values()].reduce((sum, times) => sum + times, 0)]
        },
        { partitions: 2 },
      )
      .to(sim.sink('seen'), soon)
    return ssc
  },
  expected: (batches) => {
    const counts = new Map<string, number>()
    return {
      seen: batches.map((batch) =>
        recordsOf<[string, number]>(batch, 'pairs').map(([key]) => {
          counts.set(key, (counts.get(key) ?? 0) + 1)
          return [key, counts.get(key)]
        }),
      ),
    }
  },
}

/** Two outputs of one state: whoever changes what it is given changes its own copy (E5, E6). */
export const sharedState: Scenario = {
  name: 'shared-state',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const states = sim
      .source(ssc, 'pairs', wordAndNumber)
      .updateStateByKey<Map<string, number>>(
        (values, state) => new Map([['times', (state?.get('times') ?? 0) + values.length]]),
        { partitions: 2 },
      )
    const spoilt = states.map(([key, state]) => [key, spoil(state as Map<string, number>)] as const)
    spoilt.to(sim.sink('spoilt'), { ...soon, name: 'spoilt' })
    states
      .map(([key, state]) => [key, state.get('times') ?? 0] as const)
      .to(sim.sink('times'), { ...soon, name: 'times' })
    return ssc
  },
  expected: (batches) => {
    const counts = new Map<string, number>()
    const times = batches.map((batch) => {
      for (const [key] of recordsOf<[string, number]>(batch, 'pairs')) counts.set(key, (counts.get(key) ?? 0) + 1)
      return [...counts]
    })
    return { times, spoilt: times.map((rows) => rows.map(([key, n]) => [key, n + 1])) }
  },
}

function spoil(state: Map<string, number>): number {
  const times = (state.get('times') ?? 0) + 1
  state.set('times', times)
  return times
}

/** A write that nobody awaits belongs to its batch (E25). */
export const notAwaited: Scenario = {
  name: 'not-awaited',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const saved = sim.sink('saved')
    sim.source(ssc, 'words', word).foreachRDD((rdd) => {
      void rdd.writeTo(saved, { name: 'saved' })
    })
    // A sink that is opened at the start tells the history which owner this is.
    sim.source(ssc, 'others', word).to(sim.sink('others'), soon)
    return ssc
  },
  expected: (batches) => ({ saved: batches.map((batch) => recordsOf(batch, 'words')) }),
}

/** With `catchUp: 'each'` every tick has its batch, unless the wall clock jumps (E12). */
export const everyTick: Scenario = {
  ...catchUpEach,
  name: 'every-tick',
  verify: ({ history, intervalMs, world }) => {
    if (world.trace.some(({ kind }) => kind === 'clockJump')) return undefined
    const times = history.effective().map(({ time }) => time)
    const late = times.find((time, i) => i > 0 && time !== (times[i - 1] ?? 0) + intervalMs)
    return late === undefined ? undefined : `a tick before ${String(late)} has no batch: ${times.join(' ')}`
  },
}

/** An output that fails is run again alone (E13). */
export const failedOutputAlone: Scenario = {
  ...oneOutputFails,
  name: 'failed-output-alone',
  verify: ({ history, world }) => {
    if (world.trace.length > 0) return undefined
    const twice = [...history.writes].find(([key, writes]) => key.startsWith('added ') && writes > 1)
    return twice && `${twice[0]} was written ${String(twice[1])} times, though it was another output that failed`
  },
}

/** A graceful stop plans what was received (E12). */
export const plainReceiverStops: Scenario = {
  ...plainReceiver,
  name: 'plain-receiver-stops',
  stop: { atMs: 2_200, downMs: 0 },
}

/** A server that sends everything again that was not acknowledged: what is in the log already is cut (E14). */
export const resends: Scenario = {
  name: 'resending-server',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim.receiver(ssc, 'numbers', (i) => i, { resends: true }).to(sim.sink('numbers'), soon)
    return ssc
  },
  ordered: ['numbers'],
  expected: (batches) => ({ numbers: batches.map((batch) => recordsOf(batch, 'numbers')) }),
}

/** A source that lets go of what is committed, for good: nobody who was replaced may tell it so (E7). */
export const releasingSource: Scenario = {
  name: 'releasing-source',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim.source(ssc, 'words', word, { releases: true }).to(sim.sink('words'), soon)
    return ssc
  },
  ordered: ['words'],
  expected: (batches) => ({ words: batches.map((batch) => recordsOf(batch, 'words')) }),
}

const HELD_BYTES = 2_000
/** No record takes fewer bytes; and as much again may come with the block that fills the room. */
const MOST_HELD = (2 * HELD_BYTES) / 8

/** A receiver that is faster than its batches waits for them (E16). */
export const boundedRoom: Scenario = {
  name: 'bounded-room',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const { clock } = sim.options
    let stored = 0
    let done = 0
    const pump = async (context: ReceiverContext<number>): Promise<void> => {
      for (; stored < 4 * MOST_HELD && !context.signal.aborted; stored++) await context.store(stored)
    }
    const receiver = {
      '~sluice': 'receiver/1' as const,
      onStart: (context: ReceiverContext<number>) => {
        pump(context).catch(() => undefined)
      },
      onStop: () => undefined,
    }
    ssc.receiverStream<number>(receiver, { name: 'fast', maxHeldBytes: HELD_BYTES }).foreachRDD(async (rdd) => {
      const held = stored - done
      const count = await rdd.count()
      if (count > 0) await clock?.sleep(1_500)
      done += count
      if (held > MOST_HELD) throw new Error(`${String(held)} records are held`)
    })
    sim.source(ssc, 'others', word).to(sim.sink('others'), soon)
    return ssc
  },
  expected: (batches) => ({ others: batches.map((batch) => recordsOf(batch, 'others')) }),
}
