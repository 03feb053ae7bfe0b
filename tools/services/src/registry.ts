/** Every service that tests can ask for. */
import { messageOf, ServiceError } from './errors.js'
import { hdfsService } from './hadoop/hdfs.js'
import { kafkaService } from './kafka/kafka.js'
import { kafkaSaslService } from './kafka/kafka-sasl.js'
import { kcatService } from './kafka/kcat.js'
import { mongoService } from './mongo/mongo.js'
import { s3Service } from './s3/versitygw.js'
import { mysqlService } from './sql/mysql.js'
import { mariadb, mysql } from './sql/mysql-products.js'
import { postgresService } from './sql/postgres.js'
import { redisClusterService, redisSentinelService } from './redis/redis-groups.js'
import { redisService, redisTlsService } from './redis/redis.js'
import type { ServiceModule } from './service.js'
import { zooKeeperService } from './zookeeper/zookeeper.js'

export const services = {
  kafka: kafkaService({ name: 'kafka', brokers: 1 }),
  kafka3: kafkaService({ name: 'kafka3', brokers: 3 }),
  'kafka-sasl': kafkaSaslService,
  kcat: kcatService,
  zookeeper: zooKeeperService,
  hdfs: hdfsService,
  s3: s3Service,
  postgres: postgresService({ name: 'postgres', tls: false }),
  'postgres-tls': postgresService({ name: 'postgres-tls', tls: true }),
  mariadb: mysqlService({ name: 'mariadb', product: mariadb, tls: false }),
  'mariadb-tls': mysqlService({ name: 'mariadb-tls', product: mariadb, tls: true }),
  mysql: mysqlService({ name: 'mysql', product: mysql, tls: false }),
  'mysql-tls': mysqlService({ name: 'mysql-tls', product: mysql, tls: true }),
  mongo: mongoService({ name: 'mongo', tls: false }),
  'mongo-tls': mongoService({ name: 'mongo-tls', tls: true }),
  redis: redisService,
  'redis-tls': redisTlsService,
  'redis-cluster': redisClusterService,
  'redis-sentinel': redisSentinelService,
}

export type ServiceName = keyof typeof services

/** What tests get from a service. */
export type ValuesOf<Name extends ServiceName> =
  (typeof services)[Name] extends ServiceModule<infer Values, infer _Options> ? Values : never

/** What tests can ask of an instance of their own. */
export type OptionsOf<Name extends ServiceName> =
  (typeof services)[Name] extends ServiceModule<infer _Values, infer Options> ? Partial<Options> : never

/** The service of that name, as a user has typed it. */
export function serviceNamed(name: string): ServiceModule {
  if (Object.hasOwn(services, name)) return services[name as ServiceName]
  throw new ServiceError('services', `there is no '${name}'; there are ${Object.keys(services).join(', ')}`)
}

/** The values of a server that the user has named in the environment, or undefined where none is. */
export function valuesFromEnvironment(module: ServiceModule): Record<string, string> | undefined {
  const value = process.env[module.environmentVariable] ?? ''
  if (value === '') return undefined
  try {
    return module.fromEnvironment(value)
  } catch (error) {
    throw new ServiceError(module.name, `${module.environmentVariable} cannot be used: ${messageOf(error)}`, error)
  }
}
