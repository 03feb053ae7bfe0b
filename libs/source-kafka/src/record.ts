/** What a stream of Kafka records holds. */
import type { RecordHeader } from '@sluice/kafka-wire'

export interface KafkaRecord<out K = Buffer | null, out V = Buffer | null> {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** Milliseconds since the Unix epoch: when it was made, or appended where the topic says so. */
  readonly timestamp: number
  readonly key: K
  readonly value: V
  /** In the order in which they were written; names may repeat. */
  readonly headers: readonly RecordHeader[]
}

/** A record whose key or value does not decode, or whose handler threw, as it is given to the dead-letter sink. */
export interface UndecodableRecord extends KafkaRecord {
  /** Why. */
  readonly message: string
}

/** Stands for such a record inside the stream, until it is told apart from the others. */
export class Undecodable {
  readonly record: UndecodableRecord

  constructor(record: UndecodableRecord) {
    this.record = record
  }
}
