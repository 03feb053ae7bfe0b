/** Real servers for tests: what test files import. */
export {
  describeWithInstalled,
  describeWithServices,
  service,
  startService,
  type ServiceInstance,
  type SkipContext,
  type TestFunctions,
  type ValuesByName,
} from './testing.js'
export { ServiceError } from './errors.js'
export { startProxy, type Direction, type Proxy, type ProxyOptions } from './proxy.js'
export { readWithJava, readWithKcat, runWithKafkaJars, type OracleRecord, type ReadOptions } from './kafka/oracles.js'
export { kafkaJsConfig, makeTopic, type KafkaSaslValues, type KafkaValues, type SaslMechanism } from './kafka/client.js'
export type { KafkaOptions } from './kafka/kafka.js'
export { dfsAdmin, type HdfsOptions, type HdfsValues } from './hadoop/hdfs.js'
export type { S3Values } from './s3/versitygw.js'
export type { SqlValues } from './sql/values.js'
export type { RedisTlsValues, RedisValues } from './redis/redis.js'
export type { RedisOptions } from './redis/server.js'
export { askZooKeeper, type ZooKeeperValues } from './zookeeper/zookeeper.js'
export type { OptionsOf, ServiceName, ValuesOf } from './registry.js'
export type { ServerProcess } from './server-process.js'
