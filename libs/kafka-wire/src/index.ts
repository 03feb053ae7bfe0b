/** @sluice/kafka-wire: Kafka for Sluice's connectors. */
export type * from './client.js'
export type { RecordChunk, RecordCursor, RecordHeader } from './record-chunk.js'
