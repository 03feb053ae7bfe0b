/** What Kafka's benchmarks are held against: kafkajs's `eachBatch`. */
import kafkajs from 'kafkajs'
import { PARTITIONS } from './kafka-topics.js'

/** A topic of so many rows. */
export interface TopicRows {
  readonly bootstrap: string
  readonly topic: string
  readonly count: number
}

let groups = 0

/** One that nobody else has, also of other processes. */
export function newGroup(): string {
  return `bench-${String(process.pid)}-${String(groups++)}`
}

/** As the documentation of kafkajs has it: a group of one consumer, which reads all from the beginning. */
export async function eachBatch(
  { bootstrap, topic, count }: TopicRows,
  use: (value: Buffer | null) => void,
): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING })
  const consumer = client.consumer({ groupId: newGroup(), maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  let left = count
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        partitionsConsumedConcurrently: PARTITIONS,
        eachBatch: ({ batch }) => {
          for (const { value } of batch.messages) use(value)
          left -= batch.messages.length
          if (left <= 0) resolve()
          return Promise.resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}
