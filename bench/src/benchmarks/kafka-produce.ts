/**
 * Batches of 100,000 rows of 100 bytes into 4 partitions: ours against the producers of kafkajs and @platformatic/kafka, and the
 * sink's `exactly-once` against its `at-least-once`.
 */
import { platformaticClient } from '@sluice/kafka-wire/platformatic'
import type { RecordToProduce } from '@sluice/kafka-wire'
import { kafkaSink } from '@sluice/sink-kafka'
import kafkajs from 'kafkajs'
import type { Benchmark } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
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
        return await measure(contests, sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS }))
      } finally {
        await others.close()
        for (const { close } of sinks) await close()
      }
    })) ?? [],
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
