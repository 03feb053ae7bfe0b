import type { InputSource } from '@sluice/core'
import { inputConformance, type InputTarget } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { describeByEachClient } from './testing/on-kafka.js'
import { sourceOf } from './testing/source.js'

const PARTITIONS = 3

await describeByEachClient('source-kafka on a broker', ({ kafka }) => {
  const open = (readAheadBytes?: number) => async (): Promise<InputTarget<string>> => {
    const topic = await kafka.topic({ partitions: PARTITIONS })
    const make = (): InputSource<string> =>
      sourceOf({
        client: kafka.client,
        topics: topic,
        from: 'earliest',
        value: string,
        handler: valueOf,
        readAheadBytes,
      })
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

  const common = {
    describe,
    test,
    record: (index: number) => `record ${String(index)}`,
    deadlineMs: 30_000,
    manyRecords: 20_000,
    broken: () =>
      sourceOf({ brokers: ['127.0.0.1:1'], callTimeoutMs: 300, topics: 'any', value: string, handler: valueOf }),
  }

  inputConformance<string>({ ...common, name: 'source-kafka', open: open(0) })

  // Which client fetches makes no difference to when.
  if (kafka.client.name !== 'kafkajs') return

  inputConformance<string>({
    ...common,
    name: 'source-kafka, fetching ahead',
    open: open(),
    skip: [
      {
        test: 'E15: what was planned and is gone fails the read by name, where the source is replayable',
        reason: 'what was fetched ahead is not gone: it is read, and the suite deletes it only after the plan',
      },
    ],
  })
})

function valueOf({ value }: { readonly value: string | null }): string {
  return value ?? ''
}
