/** @sluice/offsets-zookeeper: a store for offsets of Kafka streams in ZooKeeper, in the layout of old consumers. */
export { zookeeperOffsetStore } from './zookeeper-offset-store.js'
export type { ZooKeeperClient, ZooKeeperOffsetStoreOptions, ZooKeeperPlace } from './zookeeper-offset-store.config.js'
