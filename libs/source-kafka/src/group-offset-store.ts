/** The committed offsets of a Kafka group as an offset store: lag tools see how far the application is. */
import { SluiceError, type OffsetStore, type StreamOffsets } from '@sluice/core'
import type { CallOptions, KafkaClient, TopicPartitionOffset } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import { partitionName } from './offsets.js'

export interface KafkaGroupOffsetsOptions {
  /** Used and never closed. */
  readonly client: KafkaClient
  /** One that has no members: no consumer may be in it. One stream each. */
  readonly group: string
  /** Topics whose offsets are asked for. */
  readonly topics: readonly string[] | (() => readonly string[])
}

/**
 * Keeps offsets as those of a Kafka group. Its offsets are known by topic and partition only, so a group is for one stream. Brokers
 * forget them when nothing was committed for `offsets.retention.minutes` (7 days), so a checkpoint is the better memory.
 */
export function kafkaGroupOffsets({ client, group, topics }: KafkaGroupOffsetsOptions): OffsetStore {
  let signal: AbortSignal | undefined
  const options = (): CallOptions => ({ signal })
  return {
    '~sluice': 'offset-store/1',
    name: `kafka group ${group}`,
    open: (context) => {
      signal = context.signal
      return Promise.resolve()
    },
    load: async () => {
      const names = typeof topics === 'function' ? topics() : topics
      const asked = (await client.metadata(names, options())).map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => partition),
      }))
      const found = await client.fetchCommitted(group, asked, options())
      return Object.fromEntries(found.map((each) => [partitionName(each.topic, each.partition), String(each.offset)]))
    },
    store: (_stream, offsets) => client.commit(group, parsed(offsets), options()),
  }
}

function parsed(offsets: StreamOffsets): TopicPartitionOffset[] {
  return Object.entries(offsets).map(([name, text]) => {
    const [, topic, partition] = /^(.+)-(\d+)$/.exec(name) ?? []
    if (topic !== undefined) return { topic, partition: Number(partition), offset: BigInt(text) }
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: COMPONENT,
      message: `'${name}' is no partition of a topic; names look like orders-3`,
    })
  })
}
