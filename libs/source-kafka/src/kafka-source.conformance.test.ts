import { describeWithServices } from '@sluice/services'
import type { InputSource } from '@sluice/core'
import { inputConformance, type InputTarget } from '@sluice/testkit'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { sourceOf } from './testing/source.js'
import { TestKafka } from './testing/topics.js'

const PARTITIONS = 3

await describeWithServices({ describe, test }, ['kafka'], 'source-kafka on a broker', ({ kafka: { bootstrap } }) => {
  const kafka = new TestKafka(bootstrap)
  beforeAll(() => kafka.open())
  afterAll(() => kafka.close())

  async function open(): Promise<InputTarget<string>> {
    const topic = await kafka.topic({ partitions: PARTITIONS })
    const make = (): InputSource<string> =>
      sourceOf({ client: kafka.client, topics: topic, from: 'earliest', value: string, handler: valueOf })
    let next = 0
    return {
      source: make(),
      reopen: make,
      async add(records) {
        const batch = records.map((value) => ({ partition: next++ % PARTITIONS, value }))
        await kafka.client.produce(topic, batch)
      },
      lose: () => kafka.deleteRecords(topic, [0, 1, 2]),
    }
  }

  inputConformance<string>({
    describe,
    test,
    name: 'source-kafka',
    open,
    record: (index) => `record ${String(index)}`,
    manyRecords: 20_000,
    deadlineMs: 30_000,
    broken: () =>
      sourceOf({ brokers: ['127.0.0.1:1'], callTimeoutMs: 300, topics: 'any', value: string, handler: valueOf }),
  })
})

function valueOf({ value }: { readonly value: string | null }): string {
  return value ?? ''
}
