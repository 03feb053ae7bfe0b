/** Measures two ways of computing the same, side by side, and checks that they do compute the same. */
import { checksum } from './checksum.js'
import type { Row } from './row.js'
import { median, spreadOf } from './stats.js'

/** What is compared. */
interface Subject {
  readonly name: string
  /** Least ratio wanted. */
  readonly aim: number
  /** What is counted, e.g. `words`. */
  readonly noun: string
  /** How many of them one run handles. */
  readonly count: number
}

/** Ours against a reference, both in this process. */
export interface Contest extends Subject {
  /** Makes what the next run of that side takes; not timed. */
  prepare?(side: Side): unknown
  ours(): unknown
  reference(): unknown
  /** What that side has made, where its run does not give it; not timed. */
  made?(side: Side): unknown
}

type Side = 'ours' | 'reference'

/** Ours against a reference, each of which says itself what it cost: see contestant.ts. */
export interface TimedContest extends Subject {
  ours(): Promise<Timed>
  reference(): Promise<Timed>
}

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

/** As {@link measureTimed}. The heap is collected before each run, so that nobody pays for another's garbage. */
export function measure(contests: readonly Contest[], repeats: Repeats): Promise<Row[]> {
  const timedContests = contests.map((contest): TimedContest => {
    const side = (name: Side) => async (): Promise<Timed> => {
      await contest.prepare?.(name)
      const cost = await timed(() => contest[name]())
      return contest.made === undefined ? cost : { ...cost, sum: checksum(await contest.made(name)) }
    }
    return { ...contest, ours: side('ours'), reference: side('reference') }
  })
  return measureTimed(timedContests, repeats)
}

/**
 * Runs all contests interleaved: in each round every contest once, ours first in one round (A B) and the reference first
 * in the next (B A).
 */
export async function measureTimed(contests: readonly TimedContest[], { warmUp, rounds }: Repeats): Promise<Row[]> {
  const pairs = contests.map((): Pair[] => [])
  for (let round = -warmUp; round < rounds; round++) {
    for (const [i, contest] of contests.entries()) {
      const pair = await runPair(contest, round % 2 !== 0)
      if (round >= 0) pairs[i]?.push(pair)
    }
  }
  return contests.map((contest, i) => rowOf(contest, pairs[i] ?? []))
}

async function runPair(contest: TimedContest, isReferenceFirst: boolean): Promise<Pair> {
  const [first, second] = isReferenceFirst ? (['reference', 'ours'] as const) : (['ours', 'reference'] as const)
  const a = await contest[first]()
  const b = await contest[second]()
  if (a.sum !== b.sum) throw new Error(`${contest.name}: ours and the reference computed different results`)
  return isReferenceFirst ? { ours: b, reference: a } : { ours: a, reference: b }
}

export interface Timed extends Cost {
  /** Of the result. */
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

async function timed(run: () => unknown): Promise<Timed> {
  globalThis.gc?.()
  await quiet()
  return costOf(run)
}

/** What a run costs this process, with all its threads. */
export async function costOf(run: () => unknown): Promise<Timed> {
  const wall = performance.now()
  const cpu = process.cpuUsage()
  const result = await run()
  const { user, system } = process.cpuUsage(cpu)
  const wallMs = performance.now() - wall
  return { cpuMs: (user + system) / 1_000, wallMs, sum: checksum(result) }
}

function rowOf({ name, aim, noun, count }: Subject, pairs: readonly Pair[]): Row {
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
