/** A shuffle that does not fit in memory, in a process of its own whose peak of resident memory is looked at. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Benchmark } from '../benchmark.js'
import type { Row } from '../row.js'
import { spreadOf } from '../stats.js'
import { BUDGET_MIB, type ShuffleReport } from './shuffle-budget-job.js'

const RECORDS = 10_000_000
const LIMIT_MIB = 3 * BUDGET_MIB
const ROUNDS = 3
/**
 * The budget bounds what the engine holds; how much garbage V8 lets lie beside it is set by the limit of the heap, as Spark's
 * `-Xmx` is. By default that is some gigabytes, and the peak then says little about the engine.
 */
const HEAP_MIB = 2 * BUDGET_MIB

const run = promisify(execFile)

export const shuffleBudget: Benchmark = {
  name: 'shuffle-budget',
  about: `10 M records through a shuffle with a budget of ${String(BUDGET_MIB)} MiB: peak RSS against three budgets`,
  run: async (sizes) => {
    const records = sizes.count(RECORDS)
    const { rounds } = sizes.repeats({ warmUp: 0, rounds: ROUNDS })
    const reports: ShuffleReport[] = []
    for (let round = 0; round < rounds; round++) reports.push(await shuffleInChild(records))
    return [rowOf(reports)]
  },
}

async function shuffleInChild(records: number): Promise<ShuffleReport> {
  const job = fileURLToPath(new URL('./shuffle-budget-job.js', import.meta.url))
  const { stdout } = await run(process.execPath, [`--max-old-space-size=${String(HEAP_MIB)}`, job, String(records)])
  const report = JSON.parse(stdout) as ShuffleReport
  // Each number below `records` once, times two.
  if (report.records !== records || report.sum !== records * (records - 1)) {
    throw new Error(`shuffle-budget: records are missing or changed: ${stdout}`)
  }
  return report
}

function rowOf(reports: readonly ShuffleReport[]): Row {
  const { median: ratio, low, high } = spreadOf(reports.map(({ peakRssMib }) => LIMIT_MIB / peakRssMib))
  const { median: peakMib } = spreadOf(reports.map(({ peakRssMib }) => peakRssMib))
  const unit = 'MiB of peak RSS'
  const measured = { ratio, low, high, unit, ours: peakMib, reference: LIMIT_MIB }
  return {
    name: 'shuffle-budget',
    ...measured,
    aim: 1,
    met: ratio >= 1,
    wallRatio: undefined,
    rounds: reports.length,
  }
}
