/** A Kafka source without a context, as tests drive it. */
import { seconds, type DStream, type InputSource } from '@sluice/core'
import { kafkaDirectStream } from '../kafka-stream.js'
import type { KafkaStreamOptions } from '../kafka-source.config.js'
import type { KafkaRecord } from '../record.js'

/** The source that a stream with these options has. */
export function sourceOf<K = Buffer, V = Buffer, T = KafkaRecord<K | null, V | null>>(
  options: KafkaStreamOptions<K, V, T>,
  batchInterval = seconds(1),
): InputSource<T> {
  let source: InputSource<unknown> | undefined
  kafkaDirectStream(
    {
      batchInterval,
      inputStream: <U>(given: InputSource<U>) => {
        source = given
        return undefined as unknown as DStream<U>
      },
    },
    options,
  )
  return source as InputSource<T>
}
