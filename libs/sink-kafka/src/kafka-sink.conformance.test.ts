/** The sink contract, in both modes against one broker, and exactly once against three. */
import type { Sink } from '@sluice/core'
import { describeWithServices, type KafkaValues } from '@sluice/services'
import { awkwardBytes, awkwardTexts, sinkConformance } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { kafkaSink } from './kafka-sink.js'
import { clientOf, item, newTopic, readTopic, type Item } from './testing/targets.js'

const awkward = [
  ...awkwardTexts.map((text, index) => item(text, `awkward ${String(index)}`)),
  ...awkwardTexts.map((text, index) => item(`text ${String(index)}`, text)),
  ...awkwardBytes.map((bytes, index) => item(`bytes ${String(index)}`, bytes)),
  item('a tombstone', null),
]
const refused = [
  { id: 'an object', body: { nested: true } },
  { id: 'not a number', body: Number.NaN },
  { id: 'nothing', body: undefined },
  { id: 'half a character', body: '\ud800' },
  { id: 'too large', body: 'x'.repeat(2 << 20) },
] as unknown as Item[]

type Mode = 'exactly-once' | 'at-least-once'

function conformance(values: KafkaValues, mode: Mode, { replicas }: { replicas: number }): void {
  const reader = clientOf(values)
  const brokers = values.bootstrap.split(',')
  sinkConformance<Item>({
    describe,
    test,
    name: `kafkaSink, ${mode}`,
    async open() {
      const topic = await newTopic(values, { partitions: 2, replicas, settings: { 'max.message.bytes': '1048588' } })
      const make = (): Sink<Item> =>
        kafkaSink({ brokers, topic, mode, key: ({ id }) => id, value: ({ body }) => body, partition: () => 0 })
      return {
        sink: make(),
        reopen: make,
        readBack: async () => (await readTopic(reader, topic)).map(({ key, value }) => toItem(key, value)),
      }
    },
    record: (index) => item(`item ${String(index)}`),
    awkward,
    refused,
    broken: () => kafkaSink({ brokers, topic: 'there-is-none', mode }),
    deadlineMs: 60_000,
  })
}

/** What it was, texts where the bytes are some. */
function toItem(key: string | null, value: Buffer | null): Item {
  if (value === null) return item(String(key), null)
  const text = value.toString()
  return item(String(key), !String(key).startsWith('bytes') && Buffer.from(text).equals(value) ? text : value)
}

await describeWithServices({ describe, test }, ['kafka'], 'on one broker', ({ kafka }) => {
  for (const mode of ['exactly-once', 'at-least-once'] as const) conformance(kafka, mode, { replicas: 1 })
})

await describeWithServices({ describe, test }, ['kafka3'], 'on three brokers', ({ kafka3 }) => {
  // What writes without transactions is the client's own matter, whose suite runs there, too.
  conformance(kafka3, 'exactly-once', { replicas: 3 })
})
