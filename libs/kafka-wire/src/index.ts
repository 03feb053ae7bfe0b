/** @sluice/kafka-wire: Kafka for Sluice's connectors. */
export type { ClientOptions } from './adapter.js'
export type * from './client.js'
export type { Codec, CodecName, CodecOptions } from './codecs/codecs.js'
export { isUnknownTopic, lostRangeOf, type LostRange } from './errors.js'
export { batchSizeBytes } from './produce/record-encoder.js'
export { kafkajsClient, type KafkajsClientOptions } from './kafkajs/kafkajs-client.js'
export { unpackChunks } from './read/unpack-chunks.js'
export type { RecordChunk, RecordCursor, RecordHeader } from './record.js'
