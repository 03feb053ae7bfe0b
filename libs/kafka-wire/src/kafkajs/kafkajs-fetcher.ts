/** Fetches over connections of kafkajs, from whoever leads a partition. */
import type { FetchAnswer, FetchRequest } from '../client.js'
import type { AdapterParts } from '../adapter.js'
import { decodeFetch, encodeFetch, FETCH_API, FETCH_VERSION } from '../read/fetch-wire.js'
import { within } from '../waiting.js'
import type { WithinOptions } from '../waiting.js'
import type { AnswerBuffers } from './answer-buffers.js'
import { errorOfCode, sendRaw } from './inner.js'
import type { Broker, Cluster, Connection } from './inner.js'

const FETCH = { key: FETCH_API, version: FETCH_VERSION, name: 'Fetch' }
/** Which of a broker's connections is for fetches: they may wait long. */
const FETCH_CONNECTION = 1

export class KafkajsFetcher {
  readonly #cluster: Cluster
  readonly #limits: WithinOptions
  readonly #buffers: AnswerBuffers | undefined
  readonly #leaders = new Map<string, ReadonlyMap<number, number>>()
  #lookUps: Promise<unknown> = Promise.resolve()

  /** Answers to fetches give their memory back to `buffers`. */
  constructor(
    cluster: Cluster,
    { clock, timeoutMs }: Pick<AdapterParts, 'clock' | 'timeoutMs'>,
    buffers?: AnswerBuffers,
  ) {
    this.#cluster = cluster
    this.#buffers = buffers
    this.#limits = { clock, timeoutMs, signal: undefined, doing: 'looking up who leads' }
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    const { topic, partition } = request
    try {
      const [broker] = [...(await this.byLeader(topic, [partition])).keys()] as [Broker]
      const connection = broker.connectionPool.pool[FETCH_CONNECTION] as Connection
      if (!connection.isConnected()) await connection.connect()
      const bytes = await sendRaw(connection, FETCH, encodeFetch(request))
      const { errorCode, answer } = decodeFetch(bytes)
      if (errorCode !== 0) throw errorOfCode(errorCode)
      return { ...answer, release: () => this.#buffers?.giveBack(bytes) }
    } catch (error) {
      this.forget(topic)
      throw error
    }
  }

  /** Connected leaders of `partitions`, with what each leads. */
  async byLeader(topic: string, partitions: readonly number[]): Promise<Map<Broker, number[]>> {
    // Partitions may have been added since the topic was looked up.
    const known = this.#leaders.get(topic)
    if (known !== undefined && !partitions.every((partition) => known.has(partition))) this.forget(topic)
    const leaders = this.#leaders.get(topic) ?? (await this.#lookUp(topic))
    try {
      return await this.#connected(leaders, partitions)
    } catch (error) {
      // Also where it is a leader that is not reached: there may be another one by now.
      this.forget(topic)
      throw error
    }
  }

  async #connected(
    leaders: ReadonlyMap<number, number>,
    partitions: readonly number[],
  ): Promise<Map<Broker, number[]>> {
    const found = new Map<Broker, number[]>()
    for (const partition of partitions) {
      const nodeId = leaders.get(partition)
      // What a broker answers for either.
      if (nodeId === undefined || nodeId < 0) throw errorOfCode(nodeId === undefined ? 3 : 5)
      const broker = await this.#cluster.findBroker({ nodeId })
      found.set(broker, [...(found.get(broker) ?? []), partition])
    }
    return found
  }

  /** How many partitions a topic has as far as is known, and at least `atLeast` if it has as many. */
  async partitionCount(topic: string, atLeast: number): Promise<number> {
    if ((this.#leaders.get(topic)?.size ?? 0) < atLeast) this.forget(topic)
    return (this.#leaders.get(topic) ?? (await this.#lookUp(topic))).size
  }

  /** Makes the next call look up the leaders of `topic` again. */
  forget(topic: string): void {
    this.#leaders.delete(topic)
  }

  /** Who belongs to the cluster. */
  async learnBrokers(): Promise<void> {
    await this.#oneByOne(() => this.#cluster.brokerPool.refreshMetadata([]))
  }

  #lookUp(topic: string): Promise<ReadonlyMap<number, number>> {
    return this.#oneByOne(async () => {
      const known = this.#leaders.get(topic)
      if (known !== undefined) return known
      const { brokerPool } = this.#cluster
      await this.#cluster.connect()
      await brokerPool.refreshMetadata([topic])
      const metadata = brokerPool.metadata?.topicMetadata.find((each) => each.topic === topic)
      const leaders = new Map(metadata?.partitionMetadata.map(({ partitionId, leader }) => [partitionId, leader]))
      this.#leaders.set(topic, leaders)
      return leaders
    })
  }

  /** kafkajs keeps the answer of its last look-up only: two at once would read each other's. One that hangs must not stop all others. */
  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lookUps.then(() => within(this.#limits, work()))
    this.#lookUps = done.catch(() => undefined)
    return done
  }
}
