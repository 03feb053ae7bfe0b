/**
 * A topic read by a stream in one batch, against a bare loop over the same fetches and the same decoder, and against kafkajs's
 * `eachBatch`. 1 M rows of 100 bytes in 4 partitions.
 */
import { seconds, StreamingContext, type DStream, type Pair } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import type { RecordCursor } from '@sluice/kafka-wire'
import { json, kafkaDirectStream, string, type KafkaStreamOptions } from '@sluice/source-kafka'
import kafkajs from 'kafkajs'
import type { Benchmark } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import { PARTITIONS, withKafka, type BenchKafka, type Event } from './kafka-topics.js'
import { pairsOf, type Box } from '../loops.js'

const ROWS = 1_000_000
const AIM = 0.9
const AIM_COUNT_EACH_BATCH = 3
const AIM_JSON_EACH_BATCH = 2

export const kafka: Benchmark = {
  name: 'kafka',
  about:
    '1 M rows of 100 bytes: count after a map, and JSON reduceByKey, against a loop over the decoder and eachBatch',
  run: async (sizes) =>
    (await withKafka('kafka', async (broker) => {
      const count = sizes.count(ROWS)
      const topic = await broker.fill(count)
      const ends = await broker.client.listOffsets(topic, [0, 1, 2, 3], 'latest')
      const runs = { broker, topic, ends, count }
      return measure(contestsOf(runs), sizes.repeats({ warmUp: 1, rounds: 5 }))
    })) ?? [],
}

interface Runs {
  readonly broker: BenchKafka
  readonly topic: string
  readonly ends: ReadonlyMap<number, bigint>
  readonly count: number
}

function contestsOf(runs: Runs): Contest[] {
  const common = { noun: 'rows', count: runs.count }
  const counted = { ...common, ours: () => countStream(runs) }
  const reduced = { ...common, ours: () => reduceStream(runs) }
  return [
    { ...counted, name: 'kafka, count after map', aim: AIM, reference: () => countLoop(runs) },
    { ...reduced, name: 'kafka, JSON reduceByKey', aim: AIM, reference: () => reduceLoop(runs) },
    { ...counted, name: 'kafka, count: eachBatch', aim: AIM_COUNT_EACH_BATCH, reference: () => countEachBatch(runs) },
    { ...reduced, name: 'kafka, JSON: eachBatch', aim: AIM_JSON_EACH_BATCH, reference: () => reduceEachBatch(runs) },
  ]
}

/** What the map does with a row. */
function lastByte(text: string | null): number {
  return text === null ? 0 : text.charCodeAt(text.length - 1)
}

const pairOf = ({ user, amount }: Event): Pair<number, number> => [user, amount]
const add = (a: number, b: number): number => a + b

/** One batch over all that is there. */
async function oneBatch<T>(
  { broker, topic }: Runs,
  options: Pick<KafkaStreamOptions<Buffer, T, T>, 'value' | 'handler'>,
  use: (stream: DStream<T>, keep: (result: unknown) => void) => void,
): Promise<unknown> {
  const clock = new ManualClock(1_800_000_000_000)
  const ssc = new StreamingContext({ batchInterval: seconds(1), clock, log: 'error', signals: false })
  let result: unknown
  const { client } = broker
  use(kafkaDirectStream<Buffer, T, T>(ssc, { client, topics: topic, from: 'earliest', ...options }), (given) => {
    result = given
  })
  const done = new Promise<void>((resolve) => {
    ssc.addListener({ onBatchCompleted: () => void resolve() })
  })
  await ssc.start()
  await clock.advance(1_000)
  await done
  await ssc.stop({ graceful: false })
  return result
}

function countStream(runs: Runs): Promise<unknown> {
  const handler = ({ value }: { readonly value: string | null }): string => value as string
  return oneBatch(runs, { value: string, handler }, (stream, keep) => {
    stream.map(lastByte).foreachRDD(async (rdd) => {
      keep(await rdd.count())
    })
  })
}

function reduceStream(runs: Runs): Promise<unknown> {
  const handler = ({ value }: { readonly value: Event | null }): Event => value as Event
  return oneBatch(runs, { value: json<Event>(), handler }, (stream, keep) => {
    stream
      .map(pairOf)
      .reduceByKey(add)
      .foreachRDD(async (rdd) => {
        keep(sorted(await rdd.collect()))
      })
  })
}

async function eachCursor({ broker, topic, ends }: Runs, use: (cursor: RecordCursor) => void): Promise<void> {
  for (const [partition, to] of [...ends].sort(([a], [b]) => a - b)) {
    for await (const chunk of broker.client.readRange({ topic, partition, from: 0n, to })) use(chunk.records())
  }
}

async function countLoop(runs: Runs): Promise<number> {
  let count = 0
  await eachCursor(runs, (cursor) => {
    while (cursor.next()) {
      lastByte(cursor.valueText)
      count++
    }
  })
  return count
}

async function reduceLoop(runs: Runs): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await eachCursor(runs, (cursor) => {
    while (cursor.next()) addTo(boxes, cursor.valueText as string)
  })
  return sorted(pairsOf(boxes))
}

function addTo(boxes: Map<number, Box<number>>, text: string): void {
  const [user, amount] = pairOf(JSON.parse(text) as Event)
  const box = boxes.get(user)
  if (box === undefined) boxes.set(user, { v: amount })
  else box.v = add(box.v, amount)
}

function sorted(pairs: readonly Pair<number, number>[]): readonly Pair<number, number>[] {
  return pairs.toSorted(([a], [b]) => a - b)
}

let groups = 0

/** As the documentation of kafkajs has it: a group of one consumer, which reads all from the beginning. */
async function eachBatch({ broker, topic, count }: Runs, use: (value: Buffer | null) => void): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: [broker.bootstrap], logLevel: kafkajs.logLevel.NOTHING })
  const consumer = client.consumer({ groupId: `bench-${String(groups++)}`, maxWaitTimeInMs: 100 })
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
          if (left === 0) resolve()
          return Promise.resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}

async function countEachBatch(runs: Runs): Promise<number> {
  let count = 0
  await eachBatch(runs, (value) => {
    lastByte(value?.toString() ?? null)
    count++
  })
  return count
}

async function reduceEachBatch(runs: Runs): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await eachBatch(runs, (value) => {
    addTo(boxes, String(value))
  })
  return sorted(pairsOf(boxes))
}
