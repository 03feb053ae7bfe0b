/** @sluice/kafka-wire/testing: a simulated cluster, for `simulate` of `@sluice/testkit`. */
export type { Call, SimulatedProcess, SimulatedWorld } from './simulated/places.js'
export type { Unrest } from './simulated/sim-brokers.js'
export type { SimFeedOptions } from './simulated/sim-feed.js'
export { SimKafka, type RowsOf, type SimKafkaOptions, type SimResult } from './simulated/sim-kafka.js'
