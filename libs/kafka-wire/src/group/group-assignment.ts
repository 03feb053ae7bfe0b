/** Who of a group gets which partitions. */
import type { TopicMetadata, TopicPartition } from '../client.js'

export interface GroupSubscription {
  readonly memberId: string
  readonly topics: readonly string[]
}

/**
 * Every partition to one of the members that ask for its topic: to that which has the fewest so far. The same members and topics always give the
 * same.
 */
export function assignPartitions(
  members: readonly GroupSubscription[],
  topics: readonly TopicMetadata[],
): ReadonlyMap<string, readonly TopicPartition[]> {
  const sorted = members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const assigned = new Map(sorted.map(({ memberId }) => [memberId, [] as TopicPartition[]]))
  for (const { topic, partitions } of topics.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))) {
    const asking = sorted
      .filter((member) => member.topics.includes(topic))
      .map(({ memberId }) => assigned.get(memberId))
    for (const { partition } of partitions) {
      const [first, ...others] = asking
      const least = others.reduce((a, b) => ((b?.length ?? 0) < (a?.length ?? 0) ? b : a), first)
      least?.push({ topic, partition })
    }
  }
  return assigned
}
