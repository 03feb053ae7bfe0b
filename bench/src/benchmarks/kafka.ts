/**
 * Batches of 1 M rows of 100 bytes in 4 partitions: those of a stream that runs, against a bare loop over the same fetches and the
 * same decoder; and the only batch of a new stream, against the same loop and against kafkajs's `eachBatch`. A new stream pays for
 * its start and for code that V8 has not optimized yet.
 */
import { milliseconds, StreamingContext, type DStream, type Pair } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import type { RecordCursor } from '@sluice/kafka-wire'
import { json, kafkaDirectStream, string, type KafkaStreamOptions } from '@sluice/source-kafka'
import kafkajs from 'kafkajs'
import type { Benchmark } from '../benchmark.js'
import { measure, type Contest, type Repeats } from '../measure.js'
import { PARTITIONS, withKafka, type BenchKafka, type Event } from './kafka-topics.js'
import { pairsOf, type Box } from '../loops.js'

const ROWS = 1_000_000
const WARM_UP = 2
const ROUNDS = 7
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
      const repeats = sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS })
      const topic = await broker.fill(count)
      const ends = await broker.client.listOffsets(topic, [0, 1, 2, 3], 'latest')
      const standing = await standingContests(broker, count, repeats)
      try {
        return [
          ...(await measure(standing.contests, repeats)),
          ...(await measure(newContests({ broker, topic, ends, count }), repeats)),
        ]
      } finally {
        await standing.stop()
      }
    })) ?? [],
}

interface Runs {
  readonly broker: BenchKafka
  readonly topic: string
  readonly ends: ReadonlyMap<number, bigint>
  readonly count: number
}

function newContests(runs: Runs): Contest[] {
  const common = { noun: 'rows', count: runs.count }
  const counted = { ...common, ours: () => onlyBatch(runs, counts) }
  const reduced = { ...common, ours: () => onlyBatch(runs, sums) }
  const cursors = (): Cursors =>
    cursorsOf(
      runs.broker,
      runs.topic,
      [...runs.ends].map(([partition, to]) => ({ partition, from: 0n, to })),
    )
  return [
    { ...counted, name: 'kafka, new stream: count', aim: AIM, reference: () => countLoop(cursors()) },
    { ...reduced, name: 'kafka, new stream: JSON', aim: AIM, reference: () => sumLoop(cursors()) },
    {
      ...counted,
      name: 'kafka, new stream: count by eachBatch',
      aim: AIM_COUNT_EACH_BATCH,
      reference: () => countEachBatch(runs),
    },
    {
      ...reduced,
      name: 'kafka, new stream: JSON by eachBatch',
      aim: AIM_JSON_EACH_BATCH,
      reference: () => sumEachBatch(runs),
    },
  ]
}

/** Each run is the next batch of a stream that goes on, and the next ranges of a loop that goes on. */
async function standingContests(
  broker: BenchKafka,
  count: number,
  { warmUp, rounds }: Repeats,
): Promise<{ readonly contests: readonly Contest[]; stop(): Promise<void> }> {
  const perPartition = Math.ceil(count / PARTITIONS)
  const batches = warmUp + rounds
  const topic = await broker.fill(perPartition * PARTITIONS * batches)
  const start = { broker, topic, maxRatePerPartition: perPartition, count: perPartition * PARTITIONS }
  const [counting, summing] = [await openStream(start, counts), await openStream(start, sums)]
  const ranges = (): (() => Cursors) => {
    let from = 0
    return () => {
      const range = { from: BigInt(from), to: BigInt((from += perPartition)) }
      return cursorsOf(
        broker,
        topic,
        [0, 1, 2, 3].map((partition) => ({ partition, ...range })),
      )
    }
  }
  const [counted, summed] = [ranges(), ranges()]
  const common = { noun: 'rows', count: start.count, aim: AIM }
  const contests = [
    { ...common, name: 'kafka, count after map', ours: counting.next, reference: () => countLoop(counted()) },
    { ...common, name: 'kafka, JSON reduceByKey', ours: summing.next, reference: () => sumLoop(summed()) },
  ]
  const stop = async (): Promise<void> => {
    await counting.stop()
    await summing.stop()
  }
  return { contests, stop }
}

/** What the map does with a row. */
export function lastByte(text: string | null): number {
  return text === null ? 0 : text.charCodeAt(text.length - 1)
}

const pairOf = ({ user, amount }: Event): Pair<number, number> => [user, amount]
const add = (a: number, b: number): number => a + b

interface Start {
  readonly broker: BenchKafka
  readonly topic: string
  readonly maxRatePerPartition?: number
}

/** What is computed of each batch. */
type Job = (start: Start, ssc: StreamingContext, keep: (result: unknown) => void) => void

const INTERVAL_MS = 1_000

async function openStream(
  start: Start,
  job: Job,
): Promise<{ readonly next: () => Promise<unknown>; readonly stop: () => Promise<void> }> {
  const clock = new ManualClock(1_800_000_000_000)
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), clock, log: 'error', signals: false })
  let result: unknown
  let onDone: () => void = () => undefined
  job(start, ssc, (given) => {
    result = given
  })
  ssc.addListener({
    onBatchCompleted: () => {
      onDone()
    },
  })
  await ssc.start()
  const next = async (): Promise<unknown> => {
    const done = new Promise<void>((resolve) => (onDone = resolve))
    await clock.advance(INTERVAL_MS)
    await done
    return result
  }
  return { next, stop: () => ssc.stop({ graceful: false }) }
}

/** One batch over all that is there. */
async function onlyBatch(start: Start, job: Job): Promise<unknown> {
  const { next, stop } = await openStream(start, job)
  const result = await next()
  await stop()
  return result
}

/** The only batch of a new stream counts a topic, after a map. */
export function countByNewStream(broker: BenchKafka, topic: string): Promise<unknown> {
  return onlyBatch({ broker, topic }, counts)
}

function rowsOf<T>(
  { broker, topic, maxRatePerPartition }: Start,
  ssc: StreamingContext,
  options: Pick<KafkaStreamOptions<Buffer, T, T>, 'value' | 'handler'>,
): DStream<T> {
  const { client } = broker
  return kafkaDirectStream<Buffer, T, T>(ssc, {
    client,
    topics: topic,
    from: 'earliest',
    maxRatePerPartition,
    ...options,
  })
}

const counts: Job = (start, ssc, keep) => {
  const handler = ({ value }: { readonly value: string | null }): string => value as string
  rowsOf(start, ssc, { value: string, handler })
    .map(lastByte)
    .foreachRDD(async (rdd) => {
      keep(await rdd.count())
    })
}

const sums: Job = (start, ssc, keep) => {
  const handler = ({ value }: { readonly value: Event | null }): Event => value as Event
  rowsOf(start, ssc, { value: json<Event>(), handler })
    .map(pairOf)
    .reduceByKey(add)
    .foreachRDD(async (rdd) => {
      keep(sorted(await rdd.collect()))
    })
}

interface Range {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/** Calls `use` with a cursor for each fetch, partition by partition. */
type Cursors = (use: (cursor: RecordCursor) => void) => Promise<void>

function cursorsOf(broker: BenchKafka, topic: string, ranges: readonly Range[]): Cursors {
  return async (use) => {
    for (const range of ranges) {
      for await (const chunk of broker.client.readRange({ topic, ...range })) use(chunk.records())
    }
  }
}

async function countLoop(cursors: Cursors): Promise<number> {
  let count = 0
  await cursors((cursor) => {
    while (cursor.next()) {
      lastByte(cursor.valueText)
      count++
    }
  })
  return count
}

async function sumLoop(cursors: Cursors): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await cursors((cursor) => {
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

async function sumEachBatch(runs: Runs): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await eachBatch(runs, (value) => {
    addTo(boxes, String(value))
  })
  return sorted(pairsOf(boxes))
}
