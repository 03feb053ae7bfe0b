/**
 * Batches of 100,000 rows of 100 bytes into 4 partitions: ours against the producers of kafkajs and @platformatic/kafka, and the
 * sink's `exactly-once` against its `at-least-once`. Then many rows, beside kcat and Kafka's own Java client, each in a process of its own.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { platformaticClient } from '@sluice/kafka-wire/platformatic'
import type { RecordToProduce } from '@sluice/kafka-wire'
import { kafkaSink } from '@sluice/sink-kafka'
import { runWithKafkaJars } from '@sluice/services'
import kafkajs from 'kafkajs'
import type { Benchmark } from '../benchmark.js'
import { beside, timedShell, type Run } from '../beside.js'
import { measure, type Contest } from '../measure.js'
import type { Row } from '../row.js'
import { sinkDriver } from '../sink-driver.js'
import { PARTITIONS, withKafka, type BenchKafka } from './kafka-topics.js'

const ROWS = 100_000
const ROW_BYTES = 100
const WARM_UP = 2
const ROUNDS = 9
/** What kafkajs likes best: its encoder copies what it has with each further record, so that 100,000 at once take it twenty seconds. */
const KAFKAJS_ROWS = 2_000
const AIM_KAFKAJS = 3
const AIM_PLATFORMATIC = 1
const AIM_EXACTLY_ONCE = 0.7
/** For those who begin with a start of a process. */
const MANY_ROWS = 2_000_000
const MANY_ROUNDS = 3
/** Nobody's aim: they are C and Java. */
const AIM_PROCESS = 0.5

export const kafkaProduce: Benchmark = {
  name: 'kafka-produce',
  about:
    'batches of 100,000 rows of 100 bytes: produce against kafkajs and platformatic, exactly-once against at-least-once',
  run: async (sizes) =>
    (await withKafka('kafka-produce', async (broker) => {
      const rows = Array.from({ length: sizes.count(ROWS) }, (_, i) => String(i).padEnd(ROW_BYTES, 'x'))
      const others = await openOthers(broker)
      const sinks = [await openSink(broker, 'exactly-once'), await openSink(broker, 'at-least-once')] as const
      try {
        const contests = [...producing(broker, await broker.topic(), rows, others), writing(rows, ...sinks)]
        const measured = await measure(contests, sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS }))
        const { rounds } = sizes.repeats({ warmUp: 0, rounds: MANY_ROUNDS })
        return [...measured, ...(await besidePrograms(broker, sizes.count(MANY_ROWS), rows.length, rounds))]
      } finally {
        await others.close()
        for (const { close } of sinks) await close()
      }
    })) ?? [],
}

/** All idempotent, with one batch of a partition after another; who gives kcat its rows is not counted. */
async function besidePrograms(broker: BenchKafka, rows: number, batch: number, rounds: number): Promise<Row[]> {
  const count = Math.ceil(rows / batch) * batch
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  try {
    const file = join(folder, 'rows')
    const lines = Array.from({ length: batch }, (_, i) => String(i).padEnd(ROW_BYTES, 'x'))
    for (let at = 0; at < count; at += batch) writeFileSync(file, `${lines.join('\n')}\n`, { flag: 'a' })
    const records = lines.map((value, i) => ({ partition: i % PARTITIONS, value }))
    const common = { count, rounds, aim: AIM_PROCESS }
    const ours = async (): Promise<number> => {
      const topic = await broker.topic()
      for (let at = 0; at < count; at += batch) await broker.client.produce(topic, records)
      return count
    }
    const kcat = async (): Promise<Run> => {
      const settings = '-X enable.idempotence=true -X linger.ms=20'
      const target = `-b ${broker.bootstrap} -t ${await broker.topic()}`
      return timedShell(`kcat -P -q ${settings} ${target} -l ${file} && echo ${String(count)}`)
    }
    const java = async (): Promise<Run> => {
      const source = fileURLToPath(new URL('../../peers/kafka/ProduceRows.java', import.meta.url))
      const args = [broker.bootstrap, await broker.topic(), String(count), String(ROW_BYTES)]
      return JSON.parse(await runWithKafkaJars(source, args)) as Run
    }
    return [
      ...(await beside({ ...common, name: 'kafka-produce: kcat', ours, theirs: kcat })),
      ...(await beside({ ...common, name: 'kafka-produce: Java', ours, theirs: java })),
    ]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

type Produce = (topic: string, records: readonly RecordToProduce[]) => Promise<unknown>

/** Both idempotent, all replicas in sync. */
async function openOthers({ bootstrap }: BenchKafka) {
  const brokers = [bootstrap]
  const producer = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).producer({ idempotent: true })
  await producer.connect()
  const platformatic = platformaticClient({ brokers })
  return {
    kafkajs: (async (topic, records) => {
      const messages = records as { partition: number; value: string }[]
      for (let at = 0; at < messages.length; at += KAFKAJS_ROWS)
        await producer.send({ topic, messages: messages.slice(at, at + KAFKAJS_ROWS) })
    }) satisfies Produce,
    platformatic: ((topic, records) => platformatic.produce(topic, records)) satisfies Produce,
    close: async () => {
      await producer.disconnect()
      await platformatic.close()
    },
  }
}

function producing(
  { client }: BenchKafka,
  topic: string,
  rows: readonly string[],
  others: { readonly kafkajs: Produce; readonly platformatic: Produce },
): Contest[] {
  const records = rows.map((value, i) => ({ partition: i % PARTITIONS, value }))
  const written = (produce: Produce) => async (): Promise<number> => {
    await produce(topic, records)
    return records.length
  }
  const ours = written((...args) => client.produce(...args))
  const common = { noun: 'rows', count: rows.length, ours }
  return [
    { ...common, name: 'kafka-produce: kafkajs', aim: AIM_KAFKAJS, reference: written(others.kafkajs) },
    { ...common, name: 'kafka-produce: platformatic', aim: AIM_PLATFORMATIC, reference: written(others.platformatic) },
  ]
}

type Write = (rows: readonly string[]) => Promise<number>

function writing(rows: readonly string[], exact: { write: Write }, plain: { write: Write }): Contest {
  return {
    ...{ name: 'kafka-produce: exactly-once', aim: AIM_EXACTLY_ONCE, noun: 'rows', count: rows.length },
    ours: () => exact.write(rows),
    reference: () => plain.write(rows),
  }
}

const CHUNK = 1_000

/** Each write is a batch of one partition. */
async function openSink(broker: BenchKafka, mode: 'exactly-once' | 'at-least-once') {
  const sink = kafkaSink<string>({ brokers: [broker.bootstrap], topic: await broker.topic(), mode })
  const drive = await sinkDriver(sink, { partition: Infinity, chunk: CHUNK })
  return {
    close: async () => sink.close?.(),
    write: async (rows: readonly string[]) => {
      await drive(rows)
      return rows.length
    },
  }
}
