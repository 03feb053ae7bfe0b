/** Small applications of Kafka in the simulator: everything on the way from topic to result goes wrong, and nothing of it may show. */
import { minutes, StreamingContext } from '@sluice/core'
import { SimKafka, type SimResult } from '@sluice/kafka-wire/testing'
import { kafkaSink } from '@sluice/sink-kafka'
import { kafkaDirectStream, kafkaReceiverStream, string } from '@sluice/source-kafka'
import type { Build, Simulation } from '@sluice/testkit'

/** Many batches may wait for transactions whose ends come late. */
const PATIENT = { stopTimeout: minutes(5) }

const rowOf = (line: string): string => `row of ${line}`

function clusterOf(sim: Simulation, result: Omit<SimResult, 'of'>): SimKafka {
  return sim.outside('kafka', (world) => {
    const feed = { topic: 'lines', value: (i: number) => `line ${String(i)}` }
    return new SimKafka(world, { topics: { lines: 3, rows: 2 }, feed, result: { ...result, of: rowOf } })
  })
}

/** `kafkaDirectStream` into `kafkaSink`. */
export const topicToTopic: Build = (sim) => {
  const ssc = new StreamingContext({ ...sim.options, ...PATIENT, appName: 'topic to topic' })
  const client = clusterOf(sim, { topic: 'rows' }).client(sim)
  const lines = { client, topics: 'lines', from: 'earliest', value: string } as const
  kafkaDirectStream(ssc, { ...lines, handler: ({ value }) => rowOf(value ?? '') }).to(
    kafkaSink({ client, topic: 'rows' }),
  )
  return ssc
}

/** `kafkaReceiverStream` into a store with a ledger. */
export const groupToLedger: Build = (sim) => {
  const ssc = new StreamingContext({ ...sim.options, ...PATIENT, appName: 'group to ledger' })
  const client = clusterOf(sim, { table: 'rows' }).client(sim)
  const group = { group: 'rows', otherwise: 'earliest', sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 10_000 } as const
  const lines = { client, topics: { lines: 2 }, reliable: true, value: string, ...group }
  kafkaReceiverStream(ssc, { ...lines, handler: ({ value }) => rowOf(value ?? '') }).to(sim.sink('rows'))
  return ssc
}
