/** @sluice/source-kafka: Kafka topics as streams, exactly, by offset ranges. */
export { kafkaDirectStream, type InputStreams } from './kafka-stream.js'
export { kafkaReceiverStream, type GroupStreams } from './kafka-receiver-stream.js'
export type { KafkaReceiverOptions, KafkaReceiverStreamOptions } from './kafka-receiver.config.js'
export { kafkaGroupOffsets, type KafkaGroupOffsetsOptions } from './group-offset-store.js'
export { kafkaOffsets, offsetRanges } from './offset-ranges.js'
export { bytes, json, string } from './decode/deserializer.js'
export type { BytesDeserializer, Deserializer, TextDeserializer } from './decode/deserializer.js'
export type {
  KafkaConnectionOptions,
  KafkaDecodeOptions,
  KafkaSourceOptions,
  KafkaStreamOptions,
  KafkaTopicOptions,
} from './kafka-source.config.js'
export type { StartFrom, StartMoment } from './offsets.js'
export type { OffsetRange } from './plan.js'
export type { KafkaRecord, UndecodableRecord } from './record.js'
