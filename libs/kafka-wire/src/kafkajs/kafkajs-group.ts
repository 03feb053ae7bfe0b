/**
 * The coordinator of a group, by kafkajs's calls of the protocol. Not by its consumer: that joins again without waiting for anybody, so that
 * what is being stored could not be committed before others get the partitions, and its commits carry whatever generation it has by
 * then. On connections of its own: a broker answers nothing else on one on which somebody waits to join.
 */
import kafkajs from 'kafkajs'
import type { AdapterGroup, GroupIdentity, JoinedGroup } from '../adapter.js'
import type { TopicPartition, TopicPartitionOffset } from '../client.js'
import { byTopic } from '../offsets.js'
import { retire } from './inner.js'
import type { Broker, Cluster } from './inner.js'

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol

/** Names under which kafkajs's and Java's consumers give out partitions in turn: all members must have one in common. */
const PROTOCOLS = ['RoundRobinAssigner', 'roundrobin']
const VERSION = 0
const NO_DATA = Buffer.alloc(0)

export class KafkajsGroup implements AdapterGroup {
  readonly #cluster: Cluster
  readonly #group: string
  #coordinator: Broker | undefined

  constructor(cluster: Cluster, group: string) {
    this.#cluster = cluster
    this.#group = group
  }

  async join(request: Parameters<AdapterGroup['join']>[0]): Promise<JoinedGroup> {
    const { topics, sessionTimeoutMs: sessionTimeout, rebalanceTimeoutMs: rebalanceTimeout } = request
    const metadata = MemberMetadata.encode({ version: VERSION, topics: [...topics], userData: NO_DATA })
    const groupProtocols = PROTOCOLS.map((name) => ({ name, metadata }))
    const { memberId, generationId, leaderId, members } = await this.#ask((broker) =>
      broker.joinGroup({
        groupId: this.#group,
        memberId: request.memberId,
        sessionTimeout,
        rebalanceTimeout,
        groupProtocols,
      }),
    )
    const all = memberId === leaderId ? members : []
    return {
      memberId,
      generation: generationId,
      members: all.map((each) => ({ memberId: each.memberId, topics: topicsOf(each.memberMetadata) })),
    }
  }

  async sync(
    { memberId, generation: generationId }: GroupIdentity,
    assigned: ReadonlyMap<string, readonly TopicPartition[]>,
  ): Promise<readonly TopicPartition[]> {
    const groupAssignment = [...assigned].map(([id, partitions]) => ({
      memberId: id,
      memberAssignment: MemberAssignment.encode({
        version: VERSION,
        assignment: byName(partitions),
        userData: NO_DATA,
      }),
    }))
    const { memberAssignment } = await this.#ask((broker) =>
      broker.syncGroup({ groupId: this.#group, generationId, memberId, groupAssignment }),
    )
    const { assignment = {} } = MemberAssignment.decode(memberAssignment) ?? {}
    return Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    )
  }

  async heartbeat({ memberId, generation: groupGenerationId }: GroupIdentity): Promise<void> {
    await this.#ask((broker) => broker.heartbeat({ groupId: this.#group, groupGenerationId, memberId }))
  }

  async commit(
    { memberId, generation: groupGenerationId }: GroupIdentity,
    offsets: readonly TopicPartitionOffset[],
  ): Promise<void> {
    const topics = byTopic(offsets)
    await this.#ask((broker) => broker.offsetCommit({ groupId: this.#group, groupGenerationId, memberId, topics }))
  }

  async leave(memberId: string): Promise<void> {
    await this.#ask((broker) => broker.leaveGroup({ groupId: this.#group, memberId }))
  }

  async close(reason: Error): Promise<void> {
    await retire(this.#cluster, reason).catch(() => undefined)
    await this.#cluster.disconnect().catch(() => undefined)
  }

  /** After any error somebody else may be the coordinator. */
  async #ask<T>(call: (broker: Broker) => Promise<T>): Promise<T> {
    try {
      this.#coordinator ??= await this.#find()
      return await call(this.#coordinator)
    } catch (error) {
      this.#coordinator = undefined
      throw error
    }
  }

  async #find(): Promise<Broker> {
    const { brokerPool } = this.#cluster
    await this.#cluster.connect()
    if (Object.keys(brokerPool.brokers).length === 0) await brokerPool.refreshMetadata([])
    return this.#cluster.findGroupCoordinator({ groupId: this.#group })
  }
}

function topicsOf(metadata: Buffer): readonly string[] {
  return MemberMetadata.decode(metadata)?.topics ?? []
}

function byName(partitions: readonly TopicPartition[]): Record<string, number[]> {
  const assignment: Record<string, number[]> = {}
  for (const { topic, partition } of partitions) (assignment[topic] ??= []).push(partition)
  return assignment
}
