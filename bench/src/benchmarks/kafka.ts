/**
 * Batches of 1 M rows of 100 bytes in 4 partitions: those of a stream that runs, against a bare loop over the same fetches and the
 * same decoder, each contestant a process of its own; and the only batch of a new stream, against the same loop and against kafkajs's
 * `eachBatch`. A new stream pays for its start and for code that V8 has not optimized yet.
 */
import type { Benchmark } from '../benchmark.js'
import { withContestants } from '../contestant.js'
import { measure, measureTimed, type Contest, type Repeats, type TimedContest } from '../measure.js'
import { pairsOf, type Box } from '../loops.js'
import type { Row } from '../row.js'
import { eachBatch, type TopicRows } from './kafka-each-batch.js'
import {
  addTo,
  countLoop,
  counts,
  cursorsOf,
  lastByte,
  onlyBatch,
  sorted,
  sumLoop,
  sums,
  type Cursors,
} from './kafka-rows.js'
import { PARTITIONS, withKafka, type BenchKafka } from './kafka-topics.js'

const ROWS = 1_000_000
const WARM_UP = 4
const ROUNDS = 15
const ROUNDS_NEW = 7
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
      const standing = await standingRows(broker, count, sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS }))
      const topic = await broker.fill(count)
      const ends = await broker.client.listOffsets(topic, [0, 1, 2, 3], 'latest')
      const repeats = sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS_NEW })
      return [...standing, ...(await measure(newContests({ broker, topic, ends, count }), repeats))]
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
  const start = { client: runs.broker.client, topic: runs.topic }
  const counted = { ...common, ours: () => onlyBatch(start, counts) }
  const reduced = { ...common, ours: () => onlyBatch(start, sums) }
  const cursors = (): Cursors =>
    cursorsOf(
      runs.broker.client,
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
async function standingRows(broker: BenchKafka, count: number, repeats: Repeats): Promise<Row[]> {
  const perPartition = Math.ceil(count / PARTITIONS)
  const rows = perPartition * PARTITIONS
  const topic = await broker.fill(rows * (repeats.warmUp + repeats.rounds))
  return withContestants('kafka-contestant', async (start) => {
    const running = async (name: string): Promise<TimedContest['ours']> =>
      (await start(name, broker.bootstrap, topic, String(perPartition))).run
    const contest = async (name: string, ours: string, loop: string): Promise<TimedContest> => {
      return { name, noun: 'rows', count: rows, aim: AIM, ours: await running(ours), reference: await running(loop) }
    }
    const counting = await contest('kafka, count after map', 'counts', 'count-loop')
    const summing = await contest('kafka, JSON reduceByKey', 'sums', 'sum-loop')
    return measureTimed([counting, summing], repeats)
  })
}

function rowsOf({ broker: { bootstrap }, topic, count }: Runs): TopicRows {
  return { bootstrap, topic, count }
}

async function countEachBatch(runs: Runs): Promise<number> {
  let count = 0
  await eachBatch(rowsOf(runs), (value) => {
    lastByte(value?.toString() ?? null)
    count++
  })
  return count
}

async function sumEachBatch(runs: Runs): Promise<unknown> {
  const boxes = new Map<number, Box<number>>()
  await eachBatch(rowsOf(runs), (value) => {
    addTo(boxes, String(value))
  })
  return sorted(pairsOf(boxes))
}
