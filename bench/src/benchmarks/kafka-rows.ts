/** What the contestants of Kafka's benchmarks do with rows: jobs of streams, and loops over the decoder that do the same. */
import { milliseconds, StreamingContext, type DStream, type Pair } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import type { KafkaClient, RecordCursor } from '@sluice/kafka-wire'
import { json, kafkaDirectStream, string, type KafkaStreamOptions } from '@sluice/source-kafka'
import { pairsOf, type Box } from '../loops.js'
import type { BenchKafka, Event } from './kafka-topics.js'

/** What the map does with a row. */
export function lastByte(text: string | null): number {
  return text === null ? 0 : text.charCodeAt(text.length - 1)
}

const pairOf = ({ user, amount }: Event): Pair<number, number> => [user, amount]
const add = (a: number, b: number): number => a + b

export interface Start {
  readonly client: KafkaClient
  readonly topic: string
  readonly maxRatePerPartition?: number
}

/** What is computed of each batch. */
export type Job = (start: Start, ssc: StreamingContext, keep: (result: unknown) => void) => void

const INTERVAL_MS = 1_000

/** A stream whose batches are run one by one. */
export async function openStream(
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
export async function onlyBatch(start: Start, job: Job): Promise<unknown> {
  const { next, stop } = await openStream(start, job)
  const result = await next()
  await stop()
  return result
}

/** The only batch of a new stream counts a topic, after a map. */
export function countByNewStream({ client }: BenchKafka, topic: string): Promise<unknown> {
  return onlyBatch({ client, topic }, counts)
}

function rowsOf<T>(
  { client, topic, maxRatePerPartition }: Start,
  ssc: StreamingContext,
  options: Pick<KafkaStreamOptions<Buffer, T, T>, 'value' | 'handler'>,
): DStream<T> {
  return kafkaDirectStream<Buffer, T, T>(ssc, {
    client,
    topics: topic,
    from: 'earliest',
    maxRatePerPartition,
    ...options,
  })
}

export const counts: Job = (start, ssc, keep) => {
  const handler = ({ value }: { readonly value: string | null }): string => value as string
  rowsOf(start, ssc, { value: string, handler })
    .map(lastByte)
    .foreachRDD(async (rdd) => {
      keep(await rdd.count())
    })
}

export const sums: Job = (start, ssc, keep) => {
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
export type Cursors = (use: (cursor: RecordCursor) => void) => Promise<void>

export function cursorsOf(client: KafkaClient, topic: string, ranges: readonly Range[]): Cursors {
  return async (use) => {
    for (const range of ranges) {
      for await (const chunk of client.readRange({ topic, ...range })) use(chunk.records())
    }
  }
}

export async function countLoop(cursors: Cursors): Promise<number> {
  let count = 0
  await cursors((cursor) => {
    while (cursor.next()) {
      lastByte(cursor.valueText)
      count++
    }
  })
  return count
}

export async function sumLoop(cursors: Cursors): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await cursors((cursor) => {
    while (cursor.next()) addTo(boxes, cursor.valueText as string)
  })
  return sorted(pairsOf(boxes))
}

export function addTo(boxes: Map<number, Box<number>>, text: string): void {
  const [user, amount] = pairOf(JSON.parse(text) as Event)
  const box = boxes.get(user)
  if (box === undefined) boxes.set(user, { v: amount })
  else box.v = add(box.v, amount)
}

export function sorted(pairs: readonly Pair<number, number>[]): readonly Pair<number, number>[] {
  return pairs.toSorted(([a], [b]) => a - b)
}
