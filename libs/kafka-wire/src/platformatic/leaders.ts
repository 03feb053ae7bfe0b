/** Who leads which partition. */
import { ProtocolError } from '@platformatic/kafka'
import type { Admin, Broker, ClusterMetadata } from '@platformatic/kafka'

/** The partitions by their leaders. Throws what brokers answer where one is not there, or has no leader. */
export async function leadersOf(
  admin: Admin,
  topic: string,
  partitions: readonly number[],
): Promise<Map<Broker, number[]>> {
  let metadata = await admin.metadata({ topics: [topic] })
  const isKnown = (partition: number): boolean => metadata.topics.get(topic)?.partitions[partition] !== undefined
  // Some may have been added.
  if (!partitions.every(isKnown)) metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
  const found = new Map<Broker, number[]>()
  for (const partition of partitions) {
    const broker = leaderOf(metadata, topic, partition)
    found.set(broker, [...(found.get(broker) ?? []), partition])
  }
  return found
}

function leaderOf({ topics, brokers }: ClusterMetadata, topic: string, partition: number): Broker {
  const found = topics.get(topic)?.partitions[partition]
  if (found === undefined) throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
  const broker = brokers.get(found.leader)
  if (broker === undefined) throw new ProtocolError('LEADER_NOT_AVAILABLE')
  return broker
}
