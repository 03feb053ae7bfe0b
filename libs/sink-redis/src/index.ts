/** @sluice/sink-redis: a sink that writes each batch into Redis once, and a store for offsets there. */
export { redisSink } from './redis-sink.js'
export type { RedisClient, RedisCommand, RedisPlace, RedisSinkOptions, RedisWrite } from './redis-sink.config.js'
export type { Key } from './key-template.js'
export { asJson, rejectedAsJson, type RedisValue } from './values.js'
export { redisOffsetStore, type RedisOffsetStoreOptions } from './redis-offset-store.js'
