/** Where a consumer goes on with the partitions that it was given. */
import type { KafkaClient, TopicPartition } from '@sluice/kafka-wire'
import type { ReceiverSettings } from '../kafka-receiver.config.js'
import type { Claims } from './claims.js'

interface NamedPartition extends TopicPartition {
  readonly name: string
}

export interface StartingParts {
  readonly client: KafkaClient
  readonly settings: ReceiverSettings
  readonly claims: Claims
  readonly partitions: readonly NamedPartition[]
  readonly signal: AbortSignal
}

export interface Start {
  /** What the group has committed, else where a partition without that begins. */
  readonly start: bigint
  /** Where the partition ends now. */
  readonly end: bigint
  /** -1 where there is nothing. */
  readonly committed: bigint
}

export async function startingOffsets(parts: StartingParts): Promise<ReadonlyMap<string, Start>> {
  const topics = new Set(parts.partitions.map(({ topic }) => topic))
  const found = await Promise.all([...topics].map((topic) => startsOfTopic(topic, parts)))
  return new Map(found.flat())
}

async function startsOfTopic(topic: string, parts: StartingParts): Promise<[string, Start][]> {
  const { client, settings, claims, signal } = parts
  const some = parts.partitions.filter((each) => each.topic === topic)
  const numbers = some.map(({ partition }) => partition)
  if (!claims.firstCounts.has(topic)) {
    const [metadata] = await client.metadata([topic], { signal })
    claims.firstCounts.set(topic, metadata?.partitions.length ?? 0)
  }
  const isAdded = (partition: number): boolean => partition >= (claims.firstCounts.get(topic) ?? 0)
  const asked = [{ topic, partitions: numbers }]
  const committed = new Map<number, bigint>()
  for (const each of await client.fetchCommitted(settings.group, asked, { signal }))
    committed.set(each.partition, each.offset)
  const unknown = numbers.filter((partition) => !committed.has(partition))
  const list = async (of: readonly number[], moment: ReceiverSettings['otherwise']) =>
    of.length === 0 ? new Map<number, bigint>() : client.listOffsets(topic, of, moment, { signal })
  const starts = new Map([
    ...committed,
    ...(await list(
      unknown.filter((each) => !isAdded(each)),
      settings.otherwise,
    )),
    ...(await list(unknown.filter(isAdded), 'earliest')),
  ])
  const ends = await list(numbers, 'latest')
  return some.map(({ name, partition }) => {
    const start = starts.get(partition) ?? 0n
    return [name, { start, end: ends.get(partition) ?? start, committed: committed.get(partition) ?? -1n }]
  })
}
