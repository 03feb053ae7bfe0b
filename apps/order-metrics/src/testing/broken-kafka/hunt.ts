/** Hunts a mistake: this module loads the connectors, so whoever wants them broken does that before. */
import { simulate, SimulationFailure } from '@sluice/testkit'
import { groupToLedger, topicToTopic } from '../kafka-simulation.js'
import type { Mutant } from './mutants.js'

export interface Found {
  readonly runs: number
  readonly problem: string | undefined
}

/** Runs until something is found. What is thrown is no finding. */
export async function hunt({ program, seeds, faults }: Mutant): Promise<Found> {
  const build = program === 'topic to topic' ? topicToTopic : groupToLedger
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await simulate(build, { seed, batches: 6, faults, shrink: false })
    } catch (error) {
      if (!(error instanceof SimulationFailure)) throw error
      return { runs: seed, problem: error.problem }
    }
  }
  return { runs: seeds, problem: undefined }
}
