/**
 * Every crash point: a process that dies at each of its I/O operations in turn, before it, after it or in the middle; a machine that
 * loses its power there; and a process from which another one takes over there.
 */
import type { EventLabel } from './event-queue.js'
import type { InjectedFault } from './faults.js'
import { check } from './oracle.js'
import { Run, type RunReport } from './run.js'
import type { Scenario } from './scenarios/scenario.js'
import type { DiskLayout } from './sim-disk.js'
import { traceText } from './trace.js'

export interface CrashPointsOptions {
  readonly layout?: DiskLayout | undefined
  readonly seed?: number | undefined
  /** Batch intervals in which records come. Default: 3. */
  readonly batches?: number | undefined
  /** Each point with each later one, in place of each alone. Default: false. */
  readonly pairs?: boolean | undefined
  /** All losses of power and a take-over at each operation, in place of one of them in turn. Default: false. */
  readonly thorough?: boolean | undefined
  /** Of pairs, how many operations after the first death the second one comes at most. Default: no bound. */
  readonly within?: number | undefined
}

export interface CrashPointsResult {
  /** Operations at which it died. */
  readonly operations: number
  /** Runs. */
  readonly points: number
  readonly failures: readonly string[]
}

type Death = Omit<InjectedFault, 'event'>

/** How it ends at an operation. */
function deathsAt(
  { what, kind }: EventLabel,
  event: number,
  { layout, thorough = false }: CrashPointsOptions,
): Death[] {
  const isCut = what === 'append' || (kind === 'sink' && what === 'write')
  const deaths: Death[] = [
    { kind: 'kill', when: 'before' },
    { kind: 'kill', when: 'after' },
  ]
  if (isCut) deaths.push({ kind: 'kill', when: 'torn' })
  const takeOver: Death = { kind: 'takeOver', when: 'after' }
  // A store of objects forgets nothing.
  if (layout === 'objects') return [...deaths, takeOver]
  const losses: Death[] = [0, 1, undefined].map((pattern) => ({ kind: 'powerLoss', when: 'after', pattern }))
  const others = [...losses, takeOver]
  return [...deaths, ...(thorough ? others : others.slice(event % 4, (event % 4) + 1))]
}

/** What comes first, and what second. */
const PAIRS: readonly (readonly [Death, Death])[] = [
  [
    { kind: 'kill', when: 'after' },
    { kind: 'powerLoss', when: 'before', pattern: 0 },
  ],
  [
    { kind: 'powerLoss', when: 'after' },
    { kind: 'kill', when: 'after' },
  ],
]

export async function crashPoints(scenario: Scenario, options: CrashPointsOptions = {}): Promise<CrashPointsResult> {
  const { pairs = false, thorough = false } = options
  const point = new Points(scenario, options)
  const { world } = await point.run([])
  for (const { event, label } of world.ioEvents) {
    if (!pairs) for (const death of deathsAt(label, event, options)) await point.run([{ event, ...death }])
    else
      for (const [first, second] of thorough ? PAIRS : PAIRS.slice(event % 2, (event % 2) + 1))
        await point.second({ event, ...first }, second)
  }
  return { operations: world.ioEvents.length, points: point.runs, failures: point.failures }
}

class Points {
  readonly failures: string[] = []
  runs = 0
  readonly #scenario: Scenario
  readonly #options: CrashPointsOptions

  constructor(scenario: Scenario, options: CrashPointsOptions) {
    this.#scenario = scenario
    this.#options = options
  }

  async run(trace: readonly InjectedFault[]): Promise<RunReport> {
    const { seed = 1, batches = 3, layout } = this.#options
    const report = await new Run(this.#scenario.build, { ...this.#scenario, seed, batches, layout, trace }).run()
    const problem = check(report, this.#scenario)
    this.runs++
    if (problem !== undefined)
      this.failures.push(
        `${problem}; npm run simulate -- --scenario ${this.#scenario.name} --layout ${layout ?? 'local'} --seed ${String(seed)} --batches ${String(batches)} --trace '${traceText(trace)}'`,
      )
    return report
  }

  /** Dies once, and then at each operation of what comes after. */
  async second(first: InjectedFault, death: Death): Promise<void> {
    const { within = Infinity } = this.#options
    const { world } = await this.run([first])
    const later = world.ioEvents.filter(({ event }) => event > first.event).slice(0, within)
    for (const { event } of later) await this.run([first, { event, ...death }])
  }
}
