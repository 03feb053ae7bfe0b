/** Reads a topic in batches of a capped size, in a process of its own, and prints what it has read and its peak of resident memory. */
import { seconds, StreamingContext } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import { json, kafkaDirectStream } from '@sluice/source-kafka'
import type { Event } from './kafka-topics.js'

export interface MemoryReport {
  readonly rows: number
  readonly batches: number
  readonly peakMib: number
}

const [bootstrap = '', topic = '', cap = ''] = process.argv.slice(2)
const clock = new ManualClock(1_800_000_000_000)
const ssc = new StreamingContext({ batchInterval: seconds(1), clock, log: 'error', signals: false })
let rows = 0
let batches = 0
let isEmpty = false
kafkaDirectStream(ssc, {
  ...{ brokers: bootstrap.split(','), topics: topic, from: 'earliest', maxRecordsPerBatch: Number(cap) },
  value: json<Event>(),
  handler: ({ value }) => value?.amount ?? 0,
})
  .map((amount) => amount + 1)
  .foreachRDD(async (rdd) => {
    const count = await rdd.count()
    isEmpty = count === 0
    rows += count
  })
await ssc.start()
while (!isEmpty) {
  const done = new Promise<void>((resolve) => {
    ssc.addListener({ onBatchCompleted: ({ batchTime }) => void (batchTime === clock.now() && resolve()) })
  })
  await clock.advance(1_000)
  await done
  batches++
}
await ssc.stop({ graceful: false })
const report: MemoryReport = { rows, batches, peakMib: process.resourceUsage().maxRSS / 1_024 }
console.log(JSON.stringify(report))
