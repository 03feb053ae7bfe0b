/** @sluice/sink-kafka: writes each batch into Kafka once. */
export { kafkaSink } from './kafka-sink.js'
export type { KafkaPlace, KafkaSinkOptions } from './kafka-sink.config.js'
export { json, rejectedAsJson, text, type Content, type Serializer } from './serializers.js'
