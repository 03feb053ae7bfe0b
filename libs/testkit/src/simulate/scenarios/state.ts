/** Programs with state, and with windows. */
import { seconds, StreamingContext } from '@sluice/core'
import type { SimBatch } from '../contents.js'
import { recordsOf, soon, sumsOf, wordAndNumber, type Scenario } from './scenario.js'

const add = (a: number, b: number): number => a + b
const pairsOf = (batch: SimBatch): readonly (readonly [string, number])[] => recordsOf(batch, 'pairs')

/** Sums of everything up to each batch. */
function totals(batches: readonly SimBatch[]): [string, number][][] {
  return batches.map((_, i) => sumsOf(batches.slice(0, i + 1).flatMap(pairsOf)))
}

/** For each batch those whose time lies in the window that ends with it. */
function windows(batches: readonly SimBatch[], lengthMs: number): (readonly SimBatch[])[] {
  return batches.map(({ time: end }) => batches.filter(({ time }) => time > end - lengthMs && time <= end))
}

export const updateState: Scenario = {
  name: 'update-state',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim
      .source(ssc, 'pairs', wordAndNumber)
      .updateStateByKey<number>((values, sum = 0) => values.reduce(add, sum), { partitions: 2 })
      .to(sim.sink('totals'), soon)
    return ssc
  },
  expected: (batches) => ({ totals: totals(batches) }),
}

const IDLE_MS = 2_000

export const mapState: Scenario = {
  name: 'map-state-with-time-outs',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const mapped = sim.source(ssc, 'pairs', wordAndNumber, { perBatch: 2 }).mapWithState<number, string>(
      (key, n = 0, state) => {
        if (state.isTimingOut()) return `${key} leaves with ${String(state.get())}`
        state.update((state.getOption() ?? 0) + n)
        return `${key} has ${String(state.get())}`
      },
      { partitions: 2, timeout: seconds(IDLE_MS / 1_000) },
    )
    mapped.to(sim.sink('mapped'), soon)
    mapped.stateSnapshots().to(sim.sink('snapshots'), soon)
    return ssc
  },
  expected: (batches) => {
    const states = new Map<string, { sum: number; time: number }>()
    const snapshots: [string, number][][] = []
    const mapped = batches.map((batch) => {
      const texts: string[] = []
      for (const [key, n] of pairsOf(batch)) {
        const sum = (states.get(key)?.sum ?? 0) + n
        states.set(key, { sum, time: batch.time })
        texts.push(`${key} has ${String(sum)}`)
      }
      for (const [key, { sum, time }] of states) {
        if (time >= batch.time - IDLE_MS) continue
        states.delete(key)
        texts.push(`${key} leaves with ${String(sum)}`)
      }
      snapshots.push(Array.from(states, ([key, { sum }]) => [key, sum]))
      return texts
    })
    return { mapped, snapshots }
  },
}

export const inverseWindow: Scenario = {
  name: 'inverse-window',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim
      .source(ssc, 'pairs', wordAndNumber)
      .reduceByKeyAndWindow(add, { window: seconds(3), slide: seconds(1), inverse: (a, b) => a - b, partitions: 2 })
      .to(sim.sink('sums'), soon)
    return ssc
  },
  expected: (batches) => ({
    sums: windows(batches, 3_000).map((inside) => sumsOf(inside.flatMap(pairsOf))),
  }),
}

/** A window over what can be read again, and one over state, whose slices are kept. */
export const rawWindows: Scenario = {
  name: 'raw-window-over-state',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const pairs = sim.source(ssc, 'pairs', wordAndNumber, { perBatch: 2 })
    pairs.window(seconds(2)).to(sim.sink('recent'), soon)
    pairs
      .updateStateByKey<number>((values, sum = 0) => values.reduce(add, sum), { partitions: 1 })
      .window(seconds(3))
      .to(sim.sink('states'), soon)
    return ssc
  },
  expected: (batches) => {
    const states = totals(batches)
    return {
      recent: windows(batches, 2_000).map((inside) => inside.flatMap(pairsOf)),
      states: windows(batches, 3_000).map((inside) => inside.flatMap((batch) => states[batches.indexOf(batch)] ?? [])),
    }
  },
}

/** A graceful stop in the middle: what was received becomes a batch before its time. */
export const stopWhileRunning: Scenario = {
  ...updateState,
  name: 'stop-while-running',
  stop: { atMs: 2_200, downMs: 0 },
}

/** Ticks that fell in the down time each have their batch. */
export const catchUpEach: Scenario = {
  ...inverseWindow,
  name: 'catch-up-each',
  stop: { atMs: 1_700, downMs: 2_500 },
  build: (sim) => inverseWindow.build({ ...sim, options: { ...sim.options, catchUp: 'each' } }),
}

/** The next batch covers them all. */
export const catchUpOne: Scenario = {
  ...inverseWindow,
  name: 'catch-up-one',
  stop: { atMs: 1_700, downMs: 2_500 },
}
