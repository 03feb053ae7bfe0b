/** How long a record takes from `produce` to an output, at batches of 50 ms; all in one process and over one broker. */
import { milliseconds, StreamingContext } from '@sluice/core'
import { kafkaDirectStream, string } from '@sluice/source-kafka'
import type { Benchmark } from '../benchmark.js'
import { limitRow } from '../limit-row.js'
import { median } from '../stats.js'
import { PARTITIONS, withKafka, type BenchKafka } from './kafka-topics.js'

const INTERVAL_MS = 50
const RECORDS = 1_000
const PAUSE_MS = 7
const ROUNDS = 5
const P99 = 0.99
/** Two intervals: on average a record waits half of one for its tick. */
const MEDIAN_LIMIT_MS = 2 * INTERVAL_MS
const P99_LIMIT_MS = 5 * INTERVAL_MS

export const kafkaLatency: Benchmark = {
  name: 'kafka-latency',
  about: 'from produce to an output at batches of 50 ms: median and 99th percentile against 2 and 5 intervals',
  run: async (sizes) =>
    (await withKafka('kafka-latency', async (kafka) => {
      const medians: number[] = []
      const p99s: number[] = []
      const { rounds } = sizes.repeats({ warmUp: 0, rounds: ROUNDS })
      for (let round = 0; round < rounds; round++) {
        const delays = (await delaysOf(kafka, sizes.count(RECORDS))).sort((a, b) => a - b)
        medians.push(median(delays))
        p99s.push(delays[Math.min(delays.length - 1, Math.floor(delays.length * P99))] as number)
      }
      const limits = (limit: number): number[] => medians.map(() => limit)
      return [
        limitRow('kafka, latency: median', medians, limits(MEDIAN_LIMIT_MS), 'ms'),
        limitRow('kafka, latency: p99', p99s, limits(P99_LIMIT_MS), 'ms'),
      ]
    })) ?? [],
}

async function delaysOf({ client, topic: makeTopic }: BenchKafka, records: number): Promise<number[]> {
  const topic = await makeTopic()
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), log: 'error', signals: false })
  const delays: number[] = []
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  kafkaDirectStream(ssc, {
    ...{ client, topics: topic, from: 'earliest' },
    value: string,
    handler: ({ value }) => Number(value),
  }).foreachRDD(async (rdd) => {
    const sent = await rdd.collect()
    const now = performance.now()
    for (const at of sent) delays.push(now - at)
    if (delays.length === records) finish()
  })
  await ssc.start()
  for (let i = 0; i < records; i++) {
    void client.produce(topic, [{ partition: i % PARTITIONS, value: String(performance.now()) }])
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  await finished
  await ssc.stop()
  return delays
}
