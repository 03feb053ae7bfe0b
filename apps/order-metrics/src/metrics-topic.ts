/** The figures of each batch in a topic of Kafka, for whoever works on with them. */
import type { DStream, Pair } from '@sluice/core'
import { json, kafkaSink } from '@sluice/sink-kafka'
import type { KafkaLines } from './cli.js'
import type { Standing, Subject } from './figures.js'
import { isInFiles, metricsRow } from './rows.js'

/** By subject, so that the rows of each come in their order. A batch's rows are there with it, all of a partition at once, or not at all. */
export function sendMetrics(standings: DStream<Pair<Subject, Standing>>, { brokers, outTopic }: KafkaLines): void {
  if (outTopic === undefined) return
  standings
    .filter(isInFiles)
    .transform((rdd, batchTime) => rdd.map((standing) => ({ ...metricsRow(standing), batchTime })))
    .to(kafkaSink({ brokers, topic: outTopic, key: keyOf, serializers: { key: json, value: json } }))
}

function keyOf(row: object): unknown {
  const { by, name } = row as { readonly by: string; readonly name: string }
  return [by, name]
}
