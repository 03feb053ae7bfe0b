/** Measures two ways of computing the same, side by side in one process, and checks that they do compute the same. */
import { checksum } from './checksum.js'
import type { Row } from './row.js'
import { median, spreadOf } from './stats.js'

/** Ours against a reference. */
export interface Contest {
  readonly name: string
  /** Least ratio wanted. */
  readonly aim: number
  /** What is counted, e.g. `words`. */
  readonly noun: string
  /** How many of them one run handles. */
  readonly count: number
  /** Makes what the next run of that side takes; not timed. */
  prepare?(side: Side): unknown
  ours(): unknown
  reference(): unknown
  /** What that side has made, where its run does not give it; not timed. */
  made?(side: Side): unknown
}

export type Side = 'ours' | 'reference'

export interface Repeats {
  /** Runs of each side that do not count. */
  readonly warmUp: number
  /** Pairs of runs that count. */
  readonly rounds: number
}

interface Cost {
  readonly cpuMs: number
  readonly wallMs: number
}

interface Pair {
  readonly ours: Cost
  readonly reference: Cost
}

/**
 * Runs all contests interleaved: in each round every contest once, ours first in one round (A B) and the reference first
 * in the next (B A). The heap is collected before each run, so that nobody pays for another's garbage.
 */
export async function measure(contests: readonly Contest[], { warmUp, rounds }: Repeats): Promise<Row[]> {
  const pairs = contests.map((): Pair[] => [])
  for (let round = -warmUp; round < rounds; round++) {
    for (const [i, contest] of contests.entries()) {
      const pair = await runPair(contest, round % 2 !== 0)
      if (round >= 0) pairs[i]?.push(pair)
    }
  }
  return contests.map((contest, i) => rowOf(contest, pairs[i] ?? []))
}

async function runPair(contest: Contest, isReferenceFirst: boolean): Promise<Pair> {
  const [first, second] = isReferenceFirst ? (['reference', 'ours'] as const) : (['ours', 'reference'] as const)
  const a = await runSide(contest, first)
  const b = await runSide(contest, second)
  if (a.sum !== b.sum) throw new Error(`${contest.name}: ours and the reference computed different results`)
  return isReferenceFirst ? { ours: b, reference: a } : { ours: a, reference: b }
}

async function runSide(contest: Contest, side: Side): Promise<Timed> {
  await contest.prepare?.(side)
  const { result, ...cost } = await timed(() => contest[side]())
  return { ...cost, sum: checksum(contest.made === undefined ? result : await contest.made(side)) }
}

interface Timed extends Cost {
  readonly sum: number
}

const QUIET_LOOK_MS = 20
const QUIET_CPU_MICROS = 2_000
const MOST_LOOKS = 50

/** Waits until the collector's threads have swept: else what is left of that is billed to whoever runs next. */
async function quiet(): Promise<void> {
  for (let look = 0; look < MOST_LOOKS; look++) {
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, QUIET_LOOK_MS))
    const { user, system } = process.cpuUsage(before)
    if (user + system < QUIET_CPU_MICROS) return
  }
}

async function timed(run: () => unknown): Promise<Cost & { readonly result: unknown }> {
  globalThis.gc?.()
  await quiet()
  const wall = performance.now()
  const cpu = process.cpuUsage()
  const result = await run()
  const { user, system } = process.cpuUsage(cpu)
  const wallMs = performance.now() - wall
  return { cpuMs: (user + system) / 1_000, wallMs, result }
}

function rowOf({ name, aim, noun, count }: Contest, pairs: readonly Pair[]): Row {
  const ratios = pairs.map(({ ours, reference }) => reference.cpuMs / ours.cpuMs)
  const { median: ratio, low, high } = spreadOf(ratios)
  const rate = (costs: readonly number[]): number => count / 1_000 / median(costs)
  return {
    name,
    ratio,
    low,
    high,
    unit: `M ${noun} per CPU second`,
    ours: rate(pairs.map(({ ours }) => ours.cpuMs)),
    reference: rate(pairs.map(({ reference }) => reference.cpuMs)),
    aim,
    met: ratio >= aim,
    wallRatio: median(pairs.map(({ ours, reference }) => reference.wallMs / ours.wallMs)),
    rounds: pairs.length,
  }
}
