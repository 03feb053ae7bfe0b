/** The job of `shuffle-budget`, a program of its own. Run: `node shuffle-budget-job.js RECORDS`. Prints a report as JSON. */
import { argv, cpuUsage, resourceUsage } from 'node:process'
import { pathToFileURL } from 'node:url'
import { hashPartitioner, SluiceContext } from '@sluice/core'

export const BUDGET_MIB = 256
const PARTITIONS = 8
const MIB = 2 ** 20

export interface ShuffleReport {
  readonly records: number
  readonly sum: number
  readonly peakRssMib: number
  readonly cpuSeconds: number
}

/** Moves `count` pairs of a string and an object to the partitions of their keys, and looks at every one of them there. */
async function shuffle(count: number): Promise<ShuffleReport> {
  const context = new SluiceContext({
    appName: 'shuffle-budget',
    parallelism: PARTITIONS,
    memoryBudgetBytes: BUDGET_MIB * MIB,
    log: 'error',
  })
  const moved = context
    .range(0, count)
    .map((n) => [`key-${String(n)}`, { n, twice: 2 * n }])
    .partitionBy(hashPartitioner(PARTITIONS))
  const total = await moved.aggregate(
    { records: 0, sum: 0 },
    (acc, [, value]) => ({ records: acc.records + 1, sum: acc.sum + value.twice }),
    (a, b) => ({ records: a.records + b.records, sum: a.sum + b.sum }),
  )
  await context.stop()
  const { user, system } = cpuUsage()
  // maxRSS is in KiB.
  return { ...total, peakRssMib: resourceUsage().maxRSS / 1_024, cpuSeconds: (user + system) / 1e6 }
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) console.log(JSON.stringify(await shuffle(Number(argv[2]))))
