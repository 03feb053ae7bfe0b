/** A Kafka group keeps what every store of offsets keeps, as far as Kafka lets it. */
import type { OffsetStore } from '@sluice/core'
import { kafkajsClient } from '@sluice/kafka-wire'
import { offsetStoreConformance } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { kafkaGroupOffsets } from './group-offset-store.js'
import { partitionName } from './offsets.js'
import { describeOnKafka } from './testing/on-kafka.js'

const ONE_STREAM = 'a group knows topics and partitions only: it is for one stream of one application'

await describeOnKafka('offsets of a group', ({ kafka }) => {
  offsetStoreConformance({
    describe,
    test,
    name: 'kafkaGroupOffsets',
    deadlineMs: 30_000,
    open: () => {
      const group = kafka.name('group')
      const topics: string[] = []
      const make = (): OffsetStore => kafkaGroupOffsets({ client: kafka.client, group, topics: () => topics })
      return {
        store: make(),
        reopen: make,
        async partitions(count) {
          const topic = await kafka.topic({ partitions: count })
          topics.push(topic)
          return Array.from({ length: count }, (_, partition) => partitionName(topic, partition))
        },
      }
    },
    broken: () => {
      const client = kafkajsClient({ brokers: ['127.0.0.1:1'], callTimeoutMs: 300 })
      const store = kafkaGroupOffsets({ client, group: 'none', topics: ['orders'] })
      return { ...store, close: () => client.close() }
    },
    skip: [
      { test: 'offsets may be any text', reason: 'Kafka keeps numbers' },
      { test: 'streams and partitions may have any names', reason: 'Kafka says what topics may be called' },
      { test: 'streams are kept apart', reason: ONE_STREAM },
      { test: 'applications are kept apart', reason: ONE_STREAM },
      {
        test: 'FENCED: a run that another one has overtaken stores nothing',
        reason: 'Kafka takes what is committed without a member, whoever did so before',
      },
    ],
  })
})
