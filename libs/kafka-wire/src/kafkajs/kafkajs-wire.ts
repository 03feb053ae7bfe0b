/** The connections of kafkajs, as producers use them. */
import type { AdapterParts } from '../adapter.js'
import { typeOf, silentBrokerOf, toSluice } from './failures.js'
import type { WireCall } from '../produce/produce-wire.js'
import type { BrokerLink, Wire } from '../produce/wire.js'
import { dropConnection, dropConnections, errorOfCode, retire, sendRaw } from './inner.js'
import type { Broker, Cluster, Connection } from './inner.js'
import { KafkajsFetcher } from './kafkajs-fetcher.js'

const COORDINATOR_TYPES = { group: 0, transaction: 1 } as const

export class KafkajsWire implements Wire {
  readonly failures = { toSluice, typeOf }
  readonly errorOf = errorOfCode
  readonly #cluster: Cluster
  readonly #topics: KafkajsFetcher
  /** One for each broker, so that requests to one can be put together. */
  readonly #links = new WeakMap<Broker, BrokerLink>()

  constructor(cluster: Cluster, parts: Pick<AdapterParts, 'clock' | 'timeoutMs'>) {
    this.#cluster = cluster
    this.#topics = new KafkajsFetcher(cluster, parts)
  }

  partitionCount(topic: string, atLeast: number): Promise<number> {
    return this.#topics.partitionCount(topic, atLeast)
  }

  async leaders(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<BrokerLink, readonly number[]>> {
    const byBroker = await this.#topics.byLeader(topic, partitions)
    return new Map([...byBroker].map(([broker, some]) => [this.#linkTo(broker), some]))
  }

  async coordinator(kind: 'group' | 'transaction', key: string): Promise<BrokerLink> {
    await this.#learnBrokers()
    const which = { groupId: key, coordinatorType: COORDINATOR_TYPES[kind] }
    return this.#linkTo(await this.#cluster.findGroupCoordinator(which))
  }

  async anyBroker(): Promise<BrokerLink> {
    await this.#learnBrokers()
    return this.#linkTo(await this.#cluster.brokerPool.findConnectedBroker())
  }

  forget(topic: string): void {
    this.#topics.forget(topic)
  }

  /** Ends every connection at once; calls that wait reject with `reason`. */
  async close(reason: Error): Promise<void> {
    await retire(this.#cluster, reason)
    await this.#cluster.disconnect()
  }

  /** What hangs is given up, whatever it is. */
  gaveUp(reason: Error): Promise<void> {
    return dropConnections(this.#cluster, reason)
  }

  async #learnBrokers(): Promise<void> {
    await this.#cluster.connect()
    if (Object.keys(this.#cluster.brokerPool.brokers).length === 0) await this.#topics.learnBrokers()
  }

  #linkTo(broker: Broker): BrokerLink {
    const known = this.#links.get(broker)
    if (known !== undefined) return known
    const link: BrokerLink = { call: (call) => callOn(broker.connectionPool.pool[0] as Connection, call) }
    this.#links.set(broker, link)
    return link
  }
}

async function callOn<T>(connection: Connection, { api, bytes, decode }: WireCall<T>): Promise<T> {
  try {
    if (!connection.isConnected()) await connection.connect()
    return decode(await sendRaw(connection, api, bytes))
  } catch (error) {
    // kafkajs would go on asking it.
    if (silentBrokerOf(error) !== undefined) await dropConnection(connection, error as Error)
    throw error
  }
}
