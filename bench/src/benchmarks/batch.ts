/**
 * What a batch costs beside its records: CPU, where batches follow each other at once and where the process sleeps between
 * them (then caches are colder); time from its tick to its end, against a bare timer and loop that follows the same ticks;
 * and whether a short interval is held for minutes. Here the limits are absolute: `reference` is the limit
 * and `ratio` the limit by ours, so that at least 1 is wanted.
 */
import type { Benchmark, Sizes } from '../benchmark.js'
import { limitRow } from '../limit-row.js'
import type { Row } from '../row.js'
import { quantile, spreadOf } from '../stats.js'
import { backToBackCpuMs, bareTicks, streamTicks, TICK_MS, type Ticks } from './batch-ticks.js'

const MOST_CPU_MS = 0.3
/** What p99 of the time to a batch's end may be above that of the bare timer and loop. */
const MOST_OVER_BARE_MS = 2
const BATCHES = 300
/** Batches of each run that do not count. */
const WARM_UP = 100
/** Rounds that do not count: for the first thousand batches of a process V8 compiles, which is half of what they cost. */
const WARM_UP_ROUNDS = 3
const RECORDS = 1_000
const HELD_BATCHES = 30_000
/** By how much the delay of the last fifth may be above that of the first: less is the noise of a shared machine. */
const MOST_GROWTH_MS = { p50: 0.5, p99: 2 }

export const batch: Benchmark = {
  name: 'batch',
  about: 'batches of five operators each 10 ms, without records and with 1,000, against a timer and a loop; 5 minutes',
  run: async (sizes) => [
    ...(await overhead('empty', 0, sizes)),
    ...(await overhead('1,000 records', RECORDS, sizes)),
    ...(await held(sizes.count(HELD_BATCHES))),
  ],
}

/** Ours and the bare loop take turns. */
async function overhead(label: string, count: number, sizes: Sizes): Promise<Row[]> {
  const records = Array.from({ length: count }, (_, i) => i)
  const options = { records, batches: sizes.count(BATCHES), warmUp: WARM_UP }
  const { warmUp, rounds } = sizes.repeats({ warmUp: WARM_UP_ROUNDS, rounds: 7 })
  const hot: number[] = []
  const ours: Ticks[] = []
  const bare: Ticks[] = []
  for (let round = -warmUp; round < rounds; round++) {
    const inTurn = [async () => ours.push(await streamTicks(options)), async () => bare.push(await bareTicks(options))]
    hot.push(await backToBackCpuMs({ records, batches: 10 * options.batches, warmUp: 10 * WARM_UP }))
    for (const run of round % 2 === 0 ? inTurn : inTurn.toReversed()) await run()
  }
  for (const runs of [hot, ours, bare]) runs.splice(0, warmUp)
  const p99 = (runs: readonly Ticks[]): number[] => runs.map(({ endedMs }) => quantile(endedMs, 0.99))
  const cpu = (runs: readonly Ticks[]): number[] => runs.map(({ cpuMs }) => cpuMs / options.batches)
  const over = cpu(ours).map((ms, i) => ms - (cpu(bare)[i] ?? 0))
  const limits = p99(bare).map((ms) => ms + MOST_OVER_BARE_MS)
  return [
    limitRow(`batch/${label}: CPU, back to back`, hot, hot.map(most), 'ms'),
    limitRow(`batch/${label}: CPU each 10 ms, above bare`, over, over.map(most), `ms (bare: ${median(cpu(bare))})`),
    limitRow(`batch/${label}: p99 of tick to end`, p99(ours), limits, `ms (bare: ${median(p99(bare))})`),
  ]
}

async function held(batches: number): Promise<Row[]> {
  const records = Array.from({ length: RECORDS }, (_, i) => i)
  const { batchTimes, startedMs } = await streamTicks({ records, batches, warmUp: WARM_UP })
  const lastingMs = (batchTimes.at(-1) ?? 0) - (batchTimes[0] ?? 0) + TICK_MS
  const distinct = new Set(batchTimes).size
  const fifth = Math.ceil(batches / 5)
  const first = startedMs.slice(0, fifth)
  const last = startedMs.slice(-fifth)
  const whole = (['p50', 'p99', 'max'] as const).map(
    (name) => `${name} ${quantile(startedMs, SHARES[name]).toFixed(2)}`,
  )
  const growth = (name: 'p50' | 'p99'): Row =>
    limitRow(
      `batch/held: ${name} of delay, last fifth`,
      [quantile(last, SHARES[name])],
      [quantile(first, SHARES[name]) + MOST_GROWTH_MS[name]],
      `ms (whole: ${whole.join(', ')})`,
    )
  return [
    limitRow('batch/held: ticks without batch', [lastingMs / TICK_MS - distinct], [0], `of ${String(batches)}`),
    growth('p50'),
    growth('p99'),
  ]
}

const SHARES = { p50: 0.5, p99: 0.99, max: 1 }

const most = (): number => MOST_CPU_MS

const median = (values: readonly number[]): string => spreadOf(values).median.toFixed(2)
