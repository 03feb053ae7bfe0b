/** The ranges behind an RDD. */
import { SluiceError, type PlannedOffsets, type Rdd, type StreamOffsets } from '@sluice/core'
import { COMPONENT } from './component.js'
import { partitionName } from './offsets.js'
import type { OffsetRange } from './plan.js'

/** What a batch covers, as it stands in the batch log. */
export interface KafkaPlan {
  readonly kind: 'kafka/1'
  readonly ranges: readonly OffsetRange[]
}

/**
 * The offsets that the batch of an RDD covers, in the order of its partitions: that of a Kafka stream, or one made of it record by record
 * (`map`, `filter`, `flatMap`, …), before any shuffle. Throws `ARGUMENT_INVALID` for others. After Spark's `HasOffsetRanges`.
 *
 * ```ts
 * stream.foreachRDD((rdd) => { for (const { topic, partition, from, until } of offsetRanges(rdd)) … })
 * ```
 */
export function offsetRanges(rdd: Pick<Rdd<unknown>, 'inputPlan'>): readonly OffsetRange[] {
  const plan = rdd.inputPlan as Partial<KafkaPlan> | undefined
  if (plan?.kind === 'kafka/1' && plan.ranges !== undefined) return plan.ranges
  throw new SluiceError({
    code: 'ARGUMENT_INVALID',
    component: COMPONENT,
    message:
      "this RDD's partitions are not those of a Kafka stream; ask for its ranges before repartition, union and shuffles",
  })
}

/**
 * What an offset store is told of a batch, by stream, of what its inputs have planned: for sinks that store offsets in the transaction
 * of the batch. Inputs that are no Kafka streams are left out.
 */
export function kafkaOffsets(planned: PlannedOffsets): Readonly<Record<string, StreamOffsets>> {
  const offsets: Record<string, StreamOffsets> = {}
  for (const [stream, data] of Object.entries(planned)) {
    const { kind, ranges } = data as Partial<KafkaPlan>
    if (kind !== 'kafka/1' || ranges === undefined) continue
    const untils = ranges.map(({ topic, partition, until }) => [partitionName(topic, partition), String(until)])
    offsets[stream] = Object.fromEntries(untils) as StreamOffsets
  }
  return offsets
}
