/** The ranges behind an RDD. */
import { SluiceError, type Rdd } from '@sluice/core'
import { COMPONENT } from './component.js'
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
