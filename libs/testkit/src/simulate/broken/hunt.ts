/** Hunts a broken engine: this module loads the engine, so whoever wants it broken does that before. */
import { scenarioOf } from '../campaign.js'
import type { InjectedFault } from '../faults.js'
import { check } from '../oracle.js'
import { Run, type RunOptions } from '../run.js'
import { hunts, type Hunt, type HuntName } from './hunts.js'

export interface HuntResult {
  readonly runs: number
  readonly problem: string | undefined
}

/** Runs until something is found. What is thrown is no finding. */
export async function hunt(name: HuntName): Promise<HuntResult> {
  let runs = 0
  for await (const problem of problemsOf(hunts[name])) {
    runs++
    if (problem !== undefined) return { runs, problem }
  }
  return { runs, problem: undefined }
}

async function* problemsOf(each: Hunt): AsyncGenerator<string | undefined> {
  const { seeds, batches, layout } = each
  const scenario = scenarioOf(each.scenario)
  const run = async (options: Pick<RunOptions, 'seed' | 'faults' | 'trace'>): Promise<[string | undefined, Run]> => {
    const one = new Run(scenario.build, { ...scenario, batches, layout, ...options })
    const report = await one.run()
    return [check(report, scenario), one]
  }
  if (seeds !== undefined) {
    for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++)
      yield (await run({ seed, faults: seeds.faults }))[0]
    return
  }
  const [problem, undisturbed] = await run({ seed: 1, trace: [] })
  yield problem
  for (const fault of faultsOf(undisturbed, each)) yield (await run({ seed: 1, trace: [fault] }))[0]
}

function* faultsOf({ world }: Run, { blows = [], at = /./ }: Hunt): Generator<InjectedFault> {
  for (const { event, label } of world.ioEvents) {
    if (!at.test(`${label.kind} ${label.what} ${label.on}`)) continue
    for (const blow of blows) yield { event, ...blow }
  }
}
