/**
 * A contestant of `kafka-receiver`, a program of its own. Arguments: what it does; the broker's address; the topic; how many rows it
 * has. Each run is a new group, which reads all of it.
 */
import { milliseconds, StreamingContext } from '@sluice/core'
import { kafkaReceiverStream, string } from '@sluice/source-kafka'
import kafkajs from 'kafkajs'
import { serveContestant } from '../contestant.js'
import { lastByte } from './kafka-rows.js'

interface Rows {
  readonly bootstrap: string
  readonly topic: string
  readonly count: number
}

const INTERVAL_MS = 100
const PARTITIONS = 4

let groups = 0

function newGroup(): string {
  return `bench-${String(process.pid)}-${String(groups++)}`
}

/** What the receiver has stored is counted after a map, batch by batch. */
async function received({ bootstrap, topic, count }: Rows): Promise<void> {
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

/** As the documentation of kafkajs has it. */
async function eachBatch({ bootstrap, topic, count }: Rows): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING })
  const consumer = client.consumer({ groupId: newGroup(), maxWaitTimeInMs: INTERVAL_MS })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  let left = count
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        partitionsConsumedConcurrently: PARTITIONS,
        eachBatch: ({ batch }) => {
          for (const { value } of batch.messages) lastByte(value?.toString() ?? null)
          left -= batch.messages.length
          if (left <= 0) resolve()
          return Promise.resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}

const contestants: Readonly<Record<string, (rows: Rows) => Promise<void>>> = { received, 'each-batch': eachBatch }

await serveContestant(([name = '', bootstrap = '', topic = '', count]) => {
  const run = contestants[name]
  if (run === undefined) throw new Error(`there is no contestant '${name}'`)
  return { run: () => run({ bootstrap, topic, count: Number(count) }), stop: () => undefined }
})
