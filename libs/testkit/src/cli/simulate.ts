/** `npm run simulate`: simulated runs, for as long as one likes; every crash point; one run again, from its seed and trace. */
import { parseArgs } from 'node:util'
import { campaign, planOf, scenarioOf, type Totals } from '../simulate/campaign.js'
import { crashPoints } from '../simulate/crash-points.js'
import { scenarios } from '../simulate/scenarios/index.js'
import { simulate } from '../simulate/simulate.js'

const USAGE = `usage: npm run simulate -- [options]
  --seed S           the first seed (1); alone: runs only this one and tells what happens in it
  --seeds N          how many, each with its own scenario, disk and faults
  --minutes M        no more are begun after so many minutes
  --batches N        batch intervals of each run (20)
  --scenario NAME    ${scenarios.map(({ name }) => name).join(', ')}
  --layout L         local or objects, of a single run and of crash points (by the seed; local)
  --trace T          the faults that a failure has printed, in place of the seed's
  --crash-points     dies at each I/O operation of each scenario
  --pairs            with --crash-points: at each two operations of the smallest scenario
  --thorough         with --crash-points: in each way at each operation
  --json             the totals as JSON`

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  batches: { type: 'string' },
  scenario: { type: 'string' },
  layout: { type: 'string' },
  trace: { type: 'string' },
  'crash-points': { type: 'boolean' },
  pairs: { type: 'boolean' },
  thorough: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

type Tell = (line: string) => void

/** Runs the command; gives its exit code: 1 where something was found, 2 for a wrong argument. */
export async function main(args: readonly string[], tell: Tell): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    if (values.help === true) tell(USAGE)
    else if (values['crash-points'] === true) return await everyCrashPoint(values, tell)
    else if (values.seed !== undefined && values.seeds === undefined && values.minutes === undefined)
      return await one(values, tell)
    else return await many(values, tell)
    return 0
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error
    tell(`${error.message}\n${USAGE}`)
    return 2
  }
}

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

function numberOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new RangeError(`--${name} must be a number above 0, not ${text}`)
}

function layoutOf(text: string | undefined): 'local' | 'objects' | undefined {
  if (text === undefined || text === 'local' || text === 'objects') return text
  throw new RangeError(`--layout must be local or objects, not ${text}`)
}

async function one(values: Values, tell: Tell): Promise<number> {
  const seed = numberOf(values.seed, 'seed') ?? 1
  const { scenario, ...plan } = planOf(seed, values.scenario)
  const layout = layoutOf(values.layout) ?? plan.layout
  const batches = numberOf(values.batches, 'batches')
  try {
    const log = values.json === true ? undefined : tell
    const { trace } = values
    const result = await simulate(scenario.build, { ...scenario, ...plan, layout, seed, batches, trace, log })
    tell(JSON.stringify({ scenario: scenario.name, layout, ...result, contents: undefined }))
    return 0
  } catch (error) {
    tell(String(error))
    return 1
  }
}

async function many(values: Values, tell: Tell): Promise<number> {
  const minutes = numberOf(values.minutes, 'minutes')
  const totals = await campaign({
    firstSeed: numberOf(values.seed, 'seed'),
    seeds: numberOf(values.seeds, 'seeds') ?? (minutes === undefined ? 100 : undefined),
    mostMs: minutes === undefined ? undefined : minutes * 60_000,
    batches: numberOf(values.batches, 'batches'),
    scenario: values.scenario,
    onFailure: values.json === true ? undefined : tell,
  })
  tell(values.json === true ? JSON.stringify(totals) : totalsText(totals))
  return totals.failures.length === 0 ? 0 : 1
}

/** Totals for people. */
export function totalsText({ scenarios, seeds, batches, events, processes, ...rest }: Totals): string {
  const { simulatedHours, faults, tookMs, failures } = rest
  const count = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}`
  const parts = [
    count(scenarios, 'scenarios'),
    count(seeds, 'seeds'),
    count(batches, 'batches'),
    count(processes, 'processes'),
    count(events, 'events'),
    `${simulatedHours.toFixed(1)} simulated hours`,
    `${(tookMs / 1_000).toFixed(1)} s`,
    count(failures.length, 'failures'),
  ]
  const kinds = Object.entries(faults).sort(([, a], [, b]) => b - a)
  return `${parts.join(', ')}\nfaults: ${kinds.map(([kind, n]) => `${kind} ${String(n)}`).join(', ')}`
}

async function everyCrashPoint(values: Values, tell: Tell): Promise<number> {
  const { pairs, thorough, scenario } = values
  const [smallest] = scenarios
  const all = pairs === true && smallest !== undefined ? [smallest] : scenarios
  const options = {
    layout: layoutOf(values.layout),
    seed: numberOf(values.seed, 'seed'),
    batches: numberOf(values.batches, 'batches'),
  }
  const totals = { scenarios: 0, points: 0, failures: 0 }
  for (const each of scenario === undefined ? all : [scenarioOf(scenario)]) {
    const { operations, points, failures } = await crashPoints(each, { ...options, pairs, thorough })
    totals.scenarios++
    totals.points += points
    totals.failures += failures.length
    if (values.json !== true) {
      tell(`${each.name}: ${String(operations)} operations, ${String(points)} crash points`)
      for (const failure of failures) tell(`  ${failure}`)
    }
  }
  const { points, failures } = totals
  const text = `${String(totals.scenarios)} scenarios, ${String(points)} crash points, ${String(failures)} failures`
  tell(values.json === true ? JSON.stringify(totals) : text)
  return failures === 0 ? 0 : 1
}
