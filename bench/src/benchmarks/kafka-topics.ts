/** Brokers and topics for the benchmarks of Kafka. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import { makeTopic, ServiceError, startService } from '@sluice/services'
import kafkajs from 'kafkajs'

export const PARTITIONS = 4
const USERS = 1_000
const ROW_BYTES = 100

export interface Event {
  readonly user: number
  readonly amount: number
}

export interface BenchKafka {
  readonly bootstrap: string
  readonly client: KafkaClient
  /** A topic of so many JSON rows of 100 bytes over 4 partitions, written by kcat. */
  fill(rows: number): Promise<string>
  topic(): Promise<string>
}

/** A broker of its own for `use`; undefined, and a line that says why, where there is none. */
export async function withKafka<T>(name: string, use: (kafka: BenchKafka) => Promise<T>): Promise<T | undefined> {
  let instance
  try {
    instance = await startService('kafka')
    await startService('kcat').then((kcat) => kcat.stop())
  } catch (error) {
    await instance?.stop()
    if (!(error instanceof ServiceError)) throw error
    console.error(`${name}: skipped: ${error.message}`)
    return undefined
  }
  const { bootstrap } = instance.values
  const client = kafkajsClient({ brokers: [bootstrap] })
  try {
    const topic = (): Promise<string> => newTopic(bootstrap)
    return await use({ bootstrap, client, topic, fill: async (rows) => fillTopic(bootstrap, await topic(), rows) })
  } finally {
    await client.close()
    await instance.stop()
  }
}

let topics = 0

async function newTopic(bootstrap: string): Promise<string> {
  const admin = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  const topic = `bench-${String(topics++)}`
  await makeTopic(admin, { topic, numPartitions: PARTITIONS })
  await admin.disconnect()
  return topic
}

function rowOf(index: number): string {
  const start = `{"user":${String(index % USERS)},"amount":${String(index % 97)},"text":"`
  return `${start.padEnd(ROW_BYTES - 2, 'x')}"}`
}

const LINES_AT_ONCE = 10_000

/** Each partition gets as many rows: left to itself, kcat sends some of them a tenth less. */
async function fillTopic(bootstrap: string, topic: string, rows: number): Promise<string> {
  for (let partition = 0; partition < PARTITIONS; partition++) await fillPartition(bootstrap, topic, partition, rows)
  return topic
}

async function fillPartition(bootstrap: string, topic: string, partition: number, rows: number): Promise<void> {
  const target = ['-b', bootstrap, '-t', topic, '-p', String(partition)]
  const kcat = spawn('kcat', ['-P', '-q', ...target, '-X', 'linger.ms=20'], { stdio: ['pipe', 'ignore', 'inherit'] })
  const ended = once(kcat, 'close')
  let lines: string[] = []
  for (let row = partition; row < rows; row += PARTITIONS) {
    if (lines.push(`${rowOf(row)}\n`) < LINES_AT_ONCE) continue
    if (!kcat.stdin.write(lines.join(''))) await once(kcat.stdin, 'drain')
    lines = []
  }
  kcat.stdin.end(lines.join(''))
  const [code] = (await ended) as [number | null]
  if (code !== 0) throw new Error(`kcat ended with ${String(code)}`)
}
