/** Many simulated runs: each seed chooses a scenario, the layout of the disk, and which faults there are at all. */
import { seedOf, seededRandom, systemClock } from '@sluice/core'
import type { FaultKind, Faults } from './faults.js'
import { SimulationFailure } from './failure.js'
import { scenarios, type Scenario } from './scenarios/index.js'
import type { DiskLayout } from './sim-disk.js'
import { engineFaults, simulate } from './simulate.js'

export interface CampaignOptions {
  readonly firstSeed?: number | undefined
  /** How many. Default: no end. */
  readonly seeds?: number | undefined
  /** Real time after which no more are begun. Default: no end. */
  readonly mostMs?: number | undefined
  /** Batch intervals of each run. Default: 20. */
  readonly batches?: number | undefined
  /** Only this one. Default: by the seed. */
  readonly scenario?: string | undefined
  readonly onFailure?: ((failure: string) => void) | undefined
}

/** What was done altogether. */
export interface Totals {
  readonly scenarios: number
  readonly seeds: number
  readonly batches: number
  readonly events: number
  readonly processes: number
  readonly simulatedHours: number
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  /** Real milliseconds. */
  readonly tookMs: number
  /** Messages. */
  readonly failures: readonly string[]
}

/** What a seed stands for, besides the run itself. */
export interface Plan {
  readonly scenario: Scenario
  readonly layout: DiskLayout
  readonly faults: Faults
}

/** The same for the same seed, everywhere. Throws for a scenario that there is not. */
export function planOf(seed: number, name?: string): Plan {
  const random = seededRandom(seedOf(seed, 'plan'))
  const chosen = scenarios[random.integer(scenarios.length)] as Scenario
  const scenario = name === undefined ? chosen : scenarioOf(name)
  const layout = random.next() < 0.25 ? 'objects' : 'local'
  // With all faults in every run some states are never reached: each run has about half of them, more or less often.
  const factor = 0.5 + 2 * random.next()
  const kinds = Object.entries(engineFaults).filter(() => random.next() < 0.5)
  const faults: Faults = Object.fromEntries(kinds.map(([kind, often]) => [kind, often * factor]))
  const isRotten = layout === 'local' && random.next() < 0.05
  return { scenario, layout, faults: isRotten ? { ...faults, bitFlip: 0.03 } : faults }
}

export function scenarioOf(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name)
  if (found !== undefined) return found
  throw new RangeError(`there is no scenario ${name}; choose one of ${scenarios.map((each) => each.name).join(', ')}`)
}

export async function campaign(options: CampaignOptions): Promise<Totals> {
  const { firstSeed = 1, seeds = Infinity, mostMs = Infinity, batches = 20, onFailure } = options
  const begun = systemClock.monotonic()
  const faults: Partial<Record<FaultKind, number>> = {}
  const sums = { batches: 0, events: 0, processes: 0, simulatedMs: 0 }
  const seen = new Set<string>()
  const failures: string[] = []
  let done = 0
  for (; done < seeds && systemClock.monotonic() - begun < mostMs; done++) {
    const seed = firstSeed + done
    const { scenario, ...plan } = planOf(seed, options.scenario)
    seen.add(scenario.name)
    try {
      const result = await simulate(scenario.build, { ...scenario, ...plan, seed, batches })
      for (const sum of ['batches', 'events', 'processes', 'simulatedMs'] as const) sums[sum] += result[sum]
      for (const [kind, times] of Object.entries(result.faults))
        faults[kind as FaultKind] = (faults[kind as FaultKind] ?? 0) + times
    } catch (error) {
      const failure = failureText(error, scenario, plan.layout)
      failures.push(failure)
      onFailure?.(failure)
    }
  }
  const { simulatedMs, ...rest } = sums
  const tookMs = systemClock.monotonic() - begun
  return {
    scenarios: seen.size,
    seeds: done,
    ...rest,
    simulatedHours: simulatedMs / 3_600_000,
    faults,
    tookMs,
    failures,
  }
}

function failureText(error: unknown, { name }: Scenario, layout: DiskLayout): string {
  if (!(error instanceof SimulationFailure)) throw error
  const { seed, batches, message, traceText } = error
  const command = `npm run simulate -- --scenario ${name} --layout ${layout} --seed ${String(seed)} --batches ${String(batches)}`
  return `${name}: ${message}\nor: ${command} --trace '${traceText}'`
}
