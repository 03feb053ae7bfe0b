/**
 * A contestant of `kafka`, a program of its own. Arguments: what it does; the broker's address; the topic; how many rows of each
 * partition a run takes. Each run takes those that follow.
 */
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import { serveContestant, type Running } from '../contestant.js'
import { countLoop, counts, cursorsOf, openStream, sumLoop, sums, type Cursors, type Job } from './kafka-rows.js'

interface Rows {
  readonly client: KafkaClient
  readonly topic: string
  readonly perPartition: number
}

async function streamOf({ client, topic, perPartition }: Rows, job: Job): Promise<Running> {
  const { next, stop } = await openStream({ client, topic, maxRatePerPartition: perPartition }, job)
  return { run: next, stop }
}

function loopOf({ client, topic, perPartition }: Rows, loop: (cursors: Cursors) => Promise<unknown>): Running {
  let from = 0
  const run = (): Promise<unknown> => {
    const range = { from: BigInt(from), to: BigInt((from += perPartition)) }
    const ranges = [0, 1, 2, 3].map((partition) => ({ partition, ...range }))
    return loop(cursorsOf(client, topic, ranges))
  }
  return { run, stop: () => undefined }
}

const contestants: Readonly<Record<string, (rows: Rows) => Running | Promise<Running>>> = {
  counts: (rows) => streamOf(rows, counts),
  sums: (rows) => streamOf(rows, sums),
  'count-loop': (rows) => loopOf(rows, countLoop),
  'sum-loop': (rows) => loopOf(rows, sumLoop),
}

await serveContestant(async ([name = '', bootstrap = '', topic = '', perPartition]) => {
  const open = contestants[name]
  if (open === undefined) throw new Error(`there is no contestant '${name}'`)
  const client = kafkajsClient({ brokers: [bootstrap] })
  const { run, stop } = await open({ client, topic, perPartition: Number(perPartition) })
  const stopBoth = async (): Promise<void> => {
    await stop()
    await client.close()
  }
  return { run, stop: stopBoth }
})
