/**
 * Counting a topic by a new stream, beside other clients of Kafka: `@platformatic/kafka`'s consumer in this process, kcat and Kafka's own
 * Java client in theirs. What is missing is left out by name.
 */
import { fileURLToPath } from 'node:url'
import { Consumer } from '@platformatic/kafka'
import { runWithKafkaJars } from '@sluice/services'
import type { Benchmark } from '../benchmark.js'
import { beside, timedShell, type Run } from '../beside.js'
import { measure } from '../measure.js'
import { countByNewStream, lastByte } from './kafka-rows.js'
import { withKafka, type BenchKafka } from './kafka-topics.js'

const ROWS = 1_000_000
/** For those who begin with a start of a process, of which a shorter run would mostly consist. */
const MANY_ROWS = 10_000_000
const ROUNDS = 3
const AIM = 1

export const kafkaPeers: Benchmark = {
  name: 'kafka-peers',
  about: 'count of a new stream, against the consumer of @platformatic/kafka (1 M rows), kcat and Java (10 M rows)',
  run: async (sizes) =>
    (await withKafka('kafka-peers', async (broker) => {
      const repeats = sizes.repeats({ warmUp: 1, rounds: ROUNDS })
      const count = sizes.count(ROWS)
      const topic = await broker.fill(count)
      const contest = {
        name: 'kafka, count: @platformatic/kafka',
        aim: AIM,
        noun: 'rows',
        count,
        ours: () => countByNewStream(broker, topic),
        reference: () => countByPlatformatic(broker, topic, count),
      }
      const rows = await measure([contest], repeats)
      const many = { broker, count: sizes.count(MANY_ROWS), topic: await broker.fill(sizes.count(MANY_ROWS)) }
      for (const { name, count: theirs } of peers) {
        const names = { name: `kafka, count: ${name}`, count: many.count, rounds: repeats.rounds, aim: AIM }
        const ours = (): Promise<unknown> => countByNewStream(broker, many.topic)
        rows.push(...(await beside({ ...names, ours, theirs: () => theirs(many) })))
      }
      return rows
    })) ?? [],
}

interface Many {
  readonly broker: BenchKafka
  readonly topic: string
  readonly count: number
}

interface Peer {
  readonly name: string
  count(many: Many): Promise<Run>
}

const peers: readonly Peer[] = [
  { name: 'kcat', count: countByKcat },
  { name: 'Java', count: countByJava },
]

let groups = 0

async function countByPlatformatic({ bootstrap }: BenchKafka, topic: string, count: number): Promise<number> {
  const groupId = `bench-peer-${String(groups++)}`
  const consumer = new Consumer({ clientId: 'bench', groupId, bootstrapBrokers: [bootstrap], maxWaitTime: 100 })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
  let found = 0
  for await (const { value } of stream) {
    lastByte(value.toString())
    if (++found === count) break
  }
  await new Promise<void>((resolve, reject) => {
    consumer.close(true, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
  return found
}

/** Into a pipe, as one uses it, where the lines are counted, which is hardly any work. */
function countByKcat({ broker, topic }: Many): Promise<Run> {
  return timedShell(`kcat -C -e -q -o beginning -X check.crcs=true -b ${broker.bootstrap} -t ${topic} | wc -l`)
}

async function countByJava({ broker, topic }: Many): Promise<Run> {
  const source = fileURLToPath(new URL('../../peers/kafka/CountTopic.java', import.meta.url))
  return JSON.parse(await runWithKafkaJars(source, [broker.bootstrap, topic])) as Run
}
