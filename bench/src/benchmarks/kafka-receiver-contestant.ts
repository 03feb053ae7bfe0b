/**
 * A contestant of `kafka-receiver`, a program of its own. Arguments: what it does; the broker's address; the topic; how many rows it
 * has. Each run is a new group, which reads all of it.
 */
import { milliseconds, StreamingContext } from '@sluice/core'
import { kafkaReceiverStream, string } from '@sluice/source-kafka'
import { serveContestant } from '../contestant.js'
import { eachBatch, newGroup, type TopicRows } from './kafka-each-batch.js'
import { lastByte } from './kafka-rows.js'

const INTERVAL_MS = 100

/** What the receiver has stored is counted after a map, batch by batch. */
async function received({ bootstrap, topic, count }: TopicRows): Promise<void> {
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), log: 'silent', signals: false })
  const options = { brokers: [bootstrap], group: newGroup(), topics: { [topic]: 1 }, otherwise: 'earliest' as const }
  const handler = ({ value }: { readonly value: string | null }): string => value as string
  let left = count
  await new Promise<void>((resolve, reject) => {
    kafkaReceiverStream(ssc, { ...options, value: string, handler })
      .map(lastByte)
      .foreachRDD(async (rdd) => {
        left -= await rdd.count()
      })
    ssc.addListener({
      onBatchCompleted: () => {
        if (left <= 0) resolve()
      },
    })
    ssc.start().catch(reject)
  })
  await ssc.stop({ graceful: false })
}

/** The same of what it is given. */
function counted(rows: TopicRows): Promise<void> {
  return eachBatch(rows, (value) => {
    lastByte(value?.toString() ?? null)
  })
}

const contestants: Readonly<Record<string, (rows: TopicRows) => Promise<void>>> = { received, 'each-batch': counted }

await serveContestant(([name = '', bootstrap = '', topic = '', count]) => {
  const run = contestants[name]
  if (run === undefined) throw new Error(`there is no contestant '${name}'`)
  return { run: () => run({ bootstrap, topic, count: Number(count) }), stop: () => undefined }
})
