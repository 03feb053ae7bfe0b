/** Brokers of one cluster: their ports and settings, the formatting of their storage, and how each is started. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts } from '../ports.js'
import type { Launch } from '../server-process.js'
import { askBroker, type KafkaValues } from './client.js'
import { archiveFlags, kafkaClassPath } from './jars.js'
import { jdkCommand, QUICK_JVM, run } from './java.js'

/** A listener beside the plain one, for clients. */
export interface ClientListener {
  readonly name: string
  readonly protocol: 'PLAINTEXT' | 'SASL_SSL'
  /** What the broker tells clients to connect to, of each broker. Default: where it listens. */
  readonly advertised?: readonly string[]
}

export interface ClusterPlan {
  /** Where settings and data go. */
  readonly folder: string
  readonly brokers: number
  readonly listener?: ClientListener
  /** Further lines of `server.properties`; they win over those given here. */
  readonly properties?: Readonly<Record<string, string>>
}

export interface BrokerPlan {
  /** 1, 2, … */
  readonly nodeId: number
  /** Of its plain listener. */
  readonly address: string
  /** Of the listener for clients, where the cluster has one. */
  readonly clientAddress: string | undefined
  /** Its `server.properties`. */
  readonly file: string
}

/** Any will do: data of two clusters never meet. */
const CLUSTER_ID = 'c2x1aWNlLXRlc3RzLTAwMQ'
const HOST = '127.0.0.1'

/** Gives every broker its ports and writes its settings. */
export async function planBrokers(cluster: ClusterPlan): Promise<BrokerPlan[]> {
  const ports = await freePorts(cluster.brokers * 3)
  const portsOf = (index: number) => ports.slice(index * 3, index * 3 + 3) as [number, number, number]
  const ids = Array.from({ length: cluster.brokers }, (_, index) => index)
  const voters = ids.map((index) => `${String(index + 1)}@${HOST}:${String(portsOf(index)[1])}`).join(',')
  return Promise.all(
    ids.map(async (index) => {
      const [plain, controller, client] = portsOf(index).map((port) => `${HOST}:${String(port)}`) as [
        string,
        string,
        string,
      ]
      const nodeId = index + 1
      const file = join(cluster.folder, `broker-${String(nodeId)}.properties`)
      const settings = {
        'node.id': String(nodeId),
        'controller.quorum.voters': voters,
        'log.dirs': join(cluster.folder, `broker-${String(nodeId)}`),
        ...listenersOf(cluster, index, plain, controller, client),
        ...sizesOf(cluster.brokers),
        ...QUICK,
        ...cluster.properties,
      }
      await writeFile(file, Object.entries(settings).map(asProperty).join(''), { mode: 0o600 })
      return { nodeId, address: plain, clientAddress: cluster.listener === undefined ? undefined : client, file }
    }),
  )
}

/** Makes a broker's data folder ready for its first start. `args` are further ones of Kafka's storage tool. */
export async function formatStorage(plan: BrokerPlan, args: readonly string[] = []): Promise<void> {
  const flags = [...QUICK_JVM, ...(await archiveFlags()), '-Xmx128m', ...LOG_FLAGS, '-cp', kafkaClassPath()]
  const tool = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', plan.file]
  await run(jdkCommand('java'), [...flags, ...tool, ...args])
}

/** How to start a broker. `values` are what its client listener needs, where it is to be asked there. */
export async function brokerLaunch(plan: BrokerPlan, logs: string, values?: KafkaValues): Promise<Launch> {
  const name = `broker-${String(plan.nodeId)}`
  const flags = [...QUICK_JVM, ...(await archiveFlags()), '-Xms96m', '-Xmx512m', ...LOG_FLAGS]
  return {
    name,
    command: jdkCommand('java'),
    args: [...flags, '-cp', kafkaClassPath(), 'kafka.Kafka', plan.file],
    log: join(logs, `${name}.log`),
    probe: () => askBroker(values ?? { bootstrap: plan.address }, plan.nodeId),
    // Its data are thrown away, and an orderly end of a cluster takes seconds.
    stopSignal: 'SIGKILL',
  }
}

const LOG_FLAGS = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.showDateTime=true']

/** Properties files expand nothing, but a backslash and an end of line mean something in them. */
function asProperty([name, value]: readonly [string, string]): string {
  return `${name}=${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`
}

function listenersOf(cluster: ClusterPlan, index: number, plain: string, controller: string, client: string) {
  const { listener } = cluster
  const listeners = [`PLAINTEXT://${plain}`, `CONTROLLER://${controller}`]
  const advertised = [`PLAINTEXT://${plain}`]
  const protocols = ['CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT']
  if (listener !== undefined) {
    listeners.push(`${listener.name}://${client}`)
    advertised.push(`${listener.name}://${listener.advertised?.[index] ?? client}`)
    protocols.push(`${listener.name}:${listener.protocol}`)
  }
  return {
    'process.roles': 'broker,controller',
    listeners: listeners.join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map': protocols.join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
  }
}

/** Every topic on all brokers, and still written when one is gone. */
function sizesOf(brokers: number): Record<string, string> {
  const replicas = String(brokers)
  const inSync = String(Math.max(1, brokers - 1))
  return {
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
  }
}

/**
 * No waiting for members that do not come, small buffers, and compaction that a test can wait for. A dead broker is known as dead
 * soon: until then another leads nothing, and itself cannot come back.
 */
const QUICK = {
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '3000',
  'leader.imbalance.check.interval.seconds': '5',
  'auto.create.topics.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'log.cleaner.backoff.ms': '500',
  'log.cleaner.dedupe.buffer.size': '2097152',
  'num.network.threads': '2',
  'num.io.threads': '2',
  'message.max.bytes': '10485760',
}
