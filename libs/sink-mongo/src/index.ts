/** @sluice/sink-mongo: a sink that writes each batch into MongoDB once. */
export { mongoSink } from './mongo-sink.js'
export type { GivenClient, MongoPlace, MongoSinkOptions, MongoWrite } from './mongo-sink.config.js'
export type { MongoId } from './documents.js'
