/** What ten receivers cost to which nothing comes: CPU time of a process that is otherwise idle, as a share of one core. */
import { seconds, StreamingContext, type Receiver } from '@sluice/core'
import type { Benchmark } from '../benchmark.js'
import type { Row } from '../row.js'
import { spreadOf } from '../stats.js'

const RECEIVERS = 10
const PERIODS = 5
const PERIOD_MS = 5_000
const SETTLE_MS = 2_000
/** Share of one core that is allowed. */
const ALLOWED = 0.01

export const idle: Benchmark = {
  name: 'idle',
  about: 'CPU of ten idle receivers, a batch each second, against 1 % of a core',
  run: async (sizes) => {
    const ssc = new StreamingContext({ batchInterval: seconds(1), log: 'error', signals: false })
    ssc.receiverStream(Array.from({ length: RECEIVERS }, silent)).foreachRDD(async (rdd) => void (await rdd.count()))
    await ssc.start()
    await sleep(SETTLE_MS)
    const shares: number[] = []
    for (let period = 0; period < PERIODS; period++) shares.push(await shareOf(sizes.count(PERIOD_MS)))
    await ssc.stop({ graceful: false })
    return [rowOf(shares)]
  },
}

function silent(): Receiver<string> {
  return { '~sluice': 'receiver/1', onStart: () => undefined, onStop: () => undefined }
}

/** The share of one core that the process takes. */
async function shareOf(ms: number): Promise<number> {
  const wall = performance.now()
  const cpu = process.cpuUsage()
  await sleep(ms)
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / 1_000 / (performance.now() - wall)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** As for other rows, more is better: how many times what is used would be allowed. */
function rowOf(shares: readonly number[]): Row {
  const { median: ratio, low, high } = spreadOf(shares.map((share) => ALLOWED / share))
  return {
    name: 'idle',
    ratio,
    low,
    high,
    unit: '% of a core',
    ours: (100 * ALLOWED) / ratio,
    reference: 100 * ALLOWED,
    aim: 1,
    met: ratio >= 1,
    wallRatio: undefined,
    rounds: shares.length,
  }
}
