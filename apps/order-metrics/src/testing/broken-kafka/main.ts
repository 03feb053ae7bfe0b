/** The program in which a mistake is hunted: its name; a line of JSON tells after how many runs it was found, and as what. */
import { register } from 'node:module'
import { mutants } from './mutants.js'

const [, , name] = process.argv
const mutant = mutants.find((each) => each.name === name)
if (mutant === undefined) throw new RangeError(`there is no mistake ${String(name)}`)
const { replacements, program, seeds, faults } = mutant
register('./hooks.js', import.meta.url, { data: replacements })
// What is to be broken must not be loaded before.
const { simulate, SimulationFailure } = await import('@sluice/testkit')
const { groupToLedger, topicToTopic } = await import('../kafka-simulation.js')
const build = program === 'topic to topic' ? topicToTopic : groupToLedger

let problem: string | undefined
let runs = 0
while (problem === undefined && runs < seeds) {
  runs++
  problem = await simulate(build, { seed: runs, batches: 6, faults, shrink: false }).then(
    () => undefined,
    (error: unknown) => {
      if (!(error instanceof SimulationFailure)) throw error
      return error.problem
    },
  )
}
process.stdout.write(`${JSON.stringify({ runs, problem })}\n`)
