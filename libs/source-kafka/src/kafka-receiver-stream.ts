/** Streams of what a consumer group gives: `kafkaReceiverStream`. */
import type { BatchInfo, DStream, Receiver, ReceiverStreamOptions, StreamingListener } from '@sluice/core'
import { decodingOf } from './decode/chunk-decoder.js'
import type { Deserializer } from './decode/deserializer.js'
import { consumersOf, invalid, receiverSettings, type KafkaReceiverStreamOptions } from './kafka-receiver.config.js'
import { clientOf, withoutUndecodable } from './kafka-stream.js'
import { Claims } from './receiver/claims.js'
import { KafkaReceiver } from './receiver/kafka-receiver.js'
import { Progress } from './receiver/progress.js'
import type { KafkaRecord, Undecodable } from './record.js'

/** What is used of a `StreamingContext`. */
export interface GroupStreams {
  receiverStream<T>(receivers: readonly Receiver<T>[], options?: ReceiverStreamOptions): DStream<T>
  addListener(listener: StreamingListener): unknown
}

/**
 * The records that a consumer group gives to this application: each of its consumers is a receiver, and all of them are one stream.
 * Offsets are committed to the group when records are safe: with `reliable` when they are in the write-ahead log, else when their batch is
 * done. Throws `ARGUMENT_INVALID`. After Spark's `KafkaUtils.createStream`.
 */
export function kafkaReceiverStream<K = Buffer, V = Buffer, T = KafkaRecord<K | null, V | null>>(
  ssc: GroupStreams,
  options: KafkaReceiverStreamOptions<K, V, T>,
): DStream<T> {
  const { key, value, handler, onDecodeError = 'fail', client, topics } = options
  requireImmediate({ key, value })
  const settings = receiverSettings(options)
  const [claims, progress] = [new Claims(), new Progress(settings.isReliable)]
  const common = {
    settings,
    claims,
    progress,
    openClient: () => clientOf(options),
    closesClient: client === undefined,
    codecs: options.client === undefined ? options.codecs : options.client.codecs,
    decoding: decodingOf({ key, value, handler, keepsUndecodable: onDecodeError !== 'fail' }),
  }
  const receivers = consumersOf(topics).map((topic, index) => new KafkaReceiver<T>({ ...common, topic, index }))
  const name = options.name ?? `kafka ${Object.keys(topics).join(', ')}`
  const stream = ssc.receiverStream<T | Undecodable>(receivers, receiverOptions(options))
  if (!settings.isReliable)
    ssc.addListener({
      onBatchCompleted: ({ batchTime }: BatchInfo) => {
        progress.batchDone(batchTime)
      },
    })
  return onDecodeError === 'fail' ? (stream as DStream<T>) : withoutUndecodable(stream, name, onDecodeError)
}

function receiverOptions(options: ReceiverStreamOptions): ReceiverStreamOptions {
  const { name, storageLevel, reliable, blockInterval, maxHeldBytes, maxRate, restartDelay, maxRestartDelay } = options
  return { name, storageLevel, reliable, blockInterval, maxHeldBytes, maxRate, restartDelay, maxRestartDelay }
}

/** Records are decoded when a batch reads them, perhaps again after a restart: nothing can be looked up then. */
function requireImmediate(parts: Readonly<Record<'key' | 'value', Deserializer<unknown> | undefined>>): void {
  for (const [name, part] of Object.entries(parts)) {
    if (part?.from !== 'bytes' || part.prepare === undefined) continue
    throw invalid(
      `${name} has a deserializer that has to look things up, as avro() with a registry has; leave it out and decode ` +
        `the bytes with mapAsync, or use kafkaDirectStream`,
    )
  }
}
