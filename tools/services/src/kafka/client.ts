/** The client by which a broker is asked whether it is ready, and made so: kafkajs, silent and without retries of its own. */
import { Kafka, logLevel, type Admin, type ITopicConfig, type KafkaConfig, type SASLOptions } from 'kafkajs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceValues } from '../service.js'

/** Where a broker or a cluster is, and how to log in where it asks. */
export interface KafkaValues extends ServiceValues {
  /** `host:port`, separated by commas. */
  readonly bootstrap: string
}

export interface KafkaSaslValues extends KafkaValues {
  /** The certificate of the authority, as PEM text. */
  readonly ca: string
  /** A file that holds it. */
  readonly caFile: string
  readonly username: string
  readonly password: string
}

export type SaslMechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512'

/** What kafkajs needs to connect. `mechanism` counts only where the values hold a login. Default: `scram-sha-512`. */
export function kafkaJsConfig(
  values: KafkaValues | KafkaSaslValues,
  mechanism: SaslMechanism = 'scram-sha-512',
): Pick<KafkaConfig, 'brokers' | 'ssl' | 'sasl'> {
  const brokers = values.bootstrap.split(',')
  if (!hasLogin(values)) return { brokers }
  const { ca, username, password } = values
  return { brokers, ssl: { ca: [ca] }, sasl: { mechanism, username, password } as SASLOptions }
}

export function hasLogin(values: KafkaValues | KafkaSaslValues): values is KafkaSaslValues {
  return 'username' in values
}

/** Rejects unless the broker at that address knows itself to be in the cluster, and not fenced. */
export async function askBroker(values: KafkaValues | KafkaSaslValues, nodeId: number): Promise<void> {
  const admin = client(values).admin()
  try {
    await admin.connect()
    const { brokers } = await admin.describeCluster()
    if (!brokers.some((broker) => broker.nodeId === nodeId)) throw new Error(`broker ${String(nodeId)} is not in yet`)
  } finally {
    await admin.disconnect()
  }
}

const WARM_UP = 'sluice-warm-up'
const WARM_UP_MS = 60_000
const PAUSE_MS = 100

/**
 * One transaction with offsets of a group. It makes the inner topics, which is slow, and until which the first users of
 * transactions and groups get errors that kafkajs does not retry.
 */
export async function warmUp(values: KafkaValues | KafkaSaslValues): Promise<void> {
  const kafka = client(values)
  const admin = kafka.admin()
  await admin.connect()
  try {
    const deadline = performance.now() + WARM_UP_MS
    await untilDone(deadline, async () => {
      await makeTopic(admin, { topic: WARM_UP, numPartitions: 1 })
    })
    await untilDone(deadline, () => transactOnce(kafka))
    await admin.deleteTopics({ topics: [WARM_UP] })
    await untilDone(deadline, () => admin.deleteGroups([WARM_UP]))
  } finally {
    await admin.disconnect()
  }
}

/**
 * Makes a topic; resolves when each of its partitions has a leader that answers for it. kafkajs's own waiting gives up when
 * a broker does not know the new topic yet. False where there is one of this name already.
 */
export async function makeTopic(admin: Admin, config: ITopicConfig): Promise<boolean> {
  if (!(await admin.createTopics({ topics: [config], waitForLeaders: false }))) return false
  await untilDone(performance.now() + WARM_UP_MS, async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [config.topic] })
    const partitions = topics[0]?.partitions ?? []
    if (partitions.length === 0 || partitions.some(({ leader }) => leader < 0)) throw new Error('no leader yet')
    // A leader may be known before it knows that itself.
    await admin.fetchTopicOffsets(config.topic)
  })
  return true
}

async function transactOnce(kafka: Kafka): Promise<void> {
  // An idempotent producer is not to be had without retries.
  const retry = { retries: 3, initialRetryTime: 50 }
  const producer = kafka.producer({ transactionalId: WARM_UP, maxInFlightRequests: 1, idempotent: true, retry })
  try {
    await producer.connect()
    const transaction = await producer.transaction()
    try {
      await transaction.send({ topic: WARM_UP, messages: [{ value: 'warm' }] })
      const topics = [{ topic: WARM_UP, partitions: [{ partition: 0, offset: '1' }] }]
      await transaction.sendOffsets({ consumerGroupId: WARM_UP, topics })
      await transaction.commit()
    } catch (error) {
      await transaction.abort().catch(() => undefined)
      throw error
    }
  } finally {
    await producer.disconnect()
  }
}

async function untilDone(deadline: number, step: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await step()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(PAUSE_MS)
    }
  }
}

function client(values: KafkaValues | KafkaSaslValues): Kafka {
  return new Kafka({
    ...kafkaJsConfig(values),
    clientId: 'sluice-services',
    logLevel: logLevel.NOTHING,
    connectionTimeout: 5_000,
    authenticationTimeout: 5_000,
    requestTimeout: 10_000,
    retry: { retries: 0, initialRetryTime: 50 },
  })
}
