/** Streams of Kafka topics: `kafkaDirectStream`. */
import type { DStream, Duration, InputSource, OpOptions } from '@sluice/core'
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import { decodingOf } from './decode/chunk-decoder.js'
import type { KafkaConnectionOptions, KafkaDecodeOptions, KafkaStreamOptions } from './kafka-source.config.js'
import { KafkaSource } from './kafka-source.js'
import { Undecodable, type KafkaRecord, type UndecodableRecord } from './record.js'

/** What is used of a `StreamingContext`. */
export interface InputStreams {
  readonly batchInterval: Duration
  inputStream<T>(source: InputSource<T>, options?: OpOptions): DStream<T>
}

/**
 * The records of topics, read directly: each batch covers a range of offsets of each partition, fixed at its tick, and each partition of
 * its RDD is one of the topic's. Records come in the order of their partition. Throws `ARGUMENT_INVALID`. After Spark's
 * `createDirectStream`.
 */
export function kafkaDirectStream<K = Buffer, V = Buffer, T = KafkaRecord<K | null, V | null>>(
  ssc: InputStreams,
  options: KafkaStreamOptions<K, V, T>,
): DStream<T> {
  const { key, value, handler, onDecodeError = 'fail' } = options
  const keepsUndecodable = onDecodeError !== 'fail'
  const source = new KafkaSource<T>({
    options,
    openClient: () => clientOf(options),
    closesClient: options.client === undefined,
    decoding: decodingOf({ key, value, handler, keepsUndecodable }),
    batchIntervalMs: ssc.batchInterval,
  })
  const { name } = options
  const stream = ssc.inputStream<T | Undecodable>(source, name === undefined ? {} : { name })
  return onDecodeError === 'fail' ? (stream as DStream<T>) : withoutUndecodable(stream, source.name, onDecodeError)
}

type DeadLetter = Exclude<KafkaDecodeOptions<unknown, unknown, unknown>['onDecodeError'], 'fail' | undefined>

/** The undecodable ones are an output of their own, declared first, so that they are safe before the others (E18). */
export function withoutUndecodable<T>(
  stream: DStream<T | Undecodable>,
  name: string,
  { deadLetter }: DeadLetter,
): DStream<T> {
  stream
    .filter((record) => record instanceof Undecodable)
    .map((record): UndecodableRecord => (record as Undecodable).record)
    .to(deadLetter, { name: `${name.replace(/[^\w.-]+/g, '-')}-undecodable` })
  return stream.filter((record) => !(record instanceof Undecodable)) as DStream<T>
}

export function clientOf(options: KafkaConnectionOptions): KafkaClient {
  if (options.client !== undefined) return options.client
  const { brokers, clientId, ssl, sasl, connectTimeoutMs, callTimeoutMs, codecs } = options
  return kafkajsClient({ brokers, clientId, ssl, sasl, connectTimeoutMs, callTimeoutMs, codecs })
}
