/** A backlog of 10 M rows, read in batches with a cap: memory must not depend on how long the backlog is. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Benchmark } from '../benchmark.js'
import { limitRow } from '../limit-row.js'
import type { MemoryReport } from './kafka-memory-job.js'
import { withKafka } from './kafka-topics.js'

const ROWS = 10_000_000
const SHORT_SHARE = 0.1
const CAP = 500_000
const ROUNDS = 3
/** What garbage and chance may add. */
const TOLERANCE = 1.5

const run = promisify(execFile)

export const kafkaMemory: Benchmark = {
  name: 'kafka-memory',
  about: 'peak RSS of 10 M rows of backlog in batches of 500,000, against 1.5 times that of a tenth of them',
  run: async (sizes) =>
    (await withKafka('kafka-memory', async (kafka) => {
      const rows = sizes.count(ROWS)
      const long = await kafka.fill(rows)
      const short = await kafka.fill(Math.round(rows * SHORT_SHARE))
      const { rounds } = sizes.repeats({ warmUp: 0, rounds: ROUNDS })
      const peaks: number[] = []
      const limits: number[] = []
      for (let round = 0; round < rounds; round++) {
        limits.push(TOLERANCE * (await peakOf(kafka.bootstrap, short, Math.round(rows * SHORT_SHARE))))
        peaks.push(await peakOf(kafka.bootstrap, long, rows))
      }
      return [limitRow('kafka, memory', peaks, limits, 'MiB')]
    })) ?? [],
}

async function peakOf(bootstrap: string, topic: string, rows: number): Promise<number> {
  // Built also where this runs from its source.
  const job = fileURLToPath(new URL('../../dist/benchmarks/kafka-memory-job.js', import.meta.url))
  const { stdout } = await run(process.execPath, [job, bootstrap, topic, String(CAP)])
  const report = JSON.parse(stdout) as MemoryReport
  if (report.rows !== rows) throw new Error(`kafka-memory: ${String(report.rows)} of ${String(rows)} rows were read`)
  return report.peakMib
}
