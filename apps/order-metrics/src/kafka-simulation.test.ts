/**
 * The connectors of Kafka in the simulator: on brokers that lose leaders and answers, with transactions whose ends come late, and a group
 * that others join. `KAFKA_SEEDS` (default 100 of each program) says how many runs. What finds mistakes runs the built packages.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { simulate, someFaults, type FaultKind } from '@sluice/testkit'
import { describe, expect, test } from 'vitest'
import type { Found } from './testing/broken-kafka/hunt.js'
import { mutants } from './testing/broken-kafka/mutants.js'
import { groupToLedger, topicToTopic } from './testing/kafka-simulation.js'

const SEEDS = Number(process.env['KAFKA_SEEDS'] ?? 100)
const FIRST = Number(process.env['KAFKA_FIRST_SEED'] ?? 1)
const TIMEOUT_MS = 120_000 + SEEDS * 2_000
const MAIN = fileURLToPath(new URL('../dist/testing/broken-kafka/main.js', import.meta.url))

/** Every third run has more of it. */
const often = Object.fromEntries(Object.entries(someFaults).map(([kind, probability]) => [kind, 3 * probability]))

describe.each([
  ['E1, E8, E15, E22: from topic to topic every committed record is there once', topicToTopic],
  ['E14: by a group into a ledger every committed record is there once', groupToLedger],
])('%s', (title, build) => {
  test('whatever goes wrong', { timeout: TIMEOUT_MS }, async () => {
    const came: Partial<Record<FaultKind, number>> = {}
    let processes = 0
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const run = await simulate(build, { seed, batches: 8, faults: seed % 3 === 0 ? often : someFaults })
      processes += run.processes
      for (const kind of Object.keys(run.faults) as FaultKind[]) came[kind] = (came[kind] ?? 0) + 1
    }
    process.stdout.write(`${title}: ${String(SEEDS)} runs, ${String(processes)} processes, ${JSON.stringify(came)}\n`)
    for (const kind of ['kill', 'powerLoss', 'takeOver', 'callFails', 'answerIsLost', 'callHangs', 'lateCall'] as const)
      if (SEEDS >= 100) expect(came[kind], kind).toBeGreaterThan(0)
  })
})

test.each(mutants)('it is found that $mistake', { timeout: 120_000 }, async ({ name, finds }) => {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, name])
  const { runs, problem } = JSON.parse(stdout) as Partial<Found>
  process.stdout.write(`${name}: found in run ${String(runs)}: ${String(problem?.split('\n')[0])}\n`)
  expect(problem).toMatch(finds)
})
