/** A topic that changes under its producer: partitions are added, or another topic of the same producer is deleted. */
import { expect, it } from 'vitest'
import type { RecordToProduce } from '../client.js'
import { readRows, rowOf, until, untilStable } from './suite-kit.js'
import type { Kit } from './suite-kit.js'

const LONG_MS = 120_000

type Write = (topic: string, records: readonly RecordToProduce[]) => Promise<void>

interface Writer {
  readonly write: Write
  close(): Promise<void>
}

/** Both ways to write, each with a producer that nobody else uses. */
const ways: readonly { readonly title: string; open(kit: Kit): Promise<Writer> }[] = [
  {
    title: 'produce',
    open: ({ newClient }) => {
      const client = newClient()
      return Promise.resolve({ write: (...args) => client.produce(...args), close: () => client.close() })
    },
  },
  {
    title: 'a transaction',
    open: async ({ newClient, name }) => {
      const client = newClient()
      const producer = await client.transactional(name())
      await producer.init()
      const write: Write = async (...args) => {
        const transaction = await producer.begin()
        await transaction.send(...args)
        await transaction.commit()
      }
      return { write, close: () => client.close() }
    },
  },
]

export function producingTests(kit: Kit): void {
  for (const { title, open } of ways) {
    it(`${title} writes to a partition that was added meanwhile`, { timeout: LONG_MS }, async () => {
      const { client, admin } = kit
      const topic = await kit.newTopic()
      const { write, close } = await open(kit)
      await write(topic, [{ partition: 0, value: 'before' }])
      await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
      await until(async () => ((await client.metadata([topic]))[0]?.partitions.length === 3 ? true : undefined))
      await write(topic, [
        { partition: 2, value: 'second' },
        { partition: 1, value: 'first' },
      ])
      await untilStable(client, topic)
      const rows = await Promise.all([0, 1, 2].map((partition) => readRows(client, topic, { partition, to: 1n })))
      expect(rows.map((some) => some.map(({ value }) => value))).toEqual(
        ['before', 'first', 'second'].map((text) => [rowOf(text)]),
      )
      const ends = await client.listOffsets(topic, [0, 1, 2], 'latest')
      expect(new Set(ends.values()).size).toBe(1)
      await close()
    })

    it(`${title} refuses a partition that is not there, and writes nothing`, { timeout: LONG_MS }, async () => {
      const topic = await kit.newTopic(2)
      const { write, close } = await open(kit)
      const records = [0, 2].map((partition) => ({ partition, value: 'lost' }))
      await expect(write(topic, records)).rejects.toMatchObject({
        code: 'BROKER_REFUSED',
        message: expect.stringMatching(/UNKNOWN_TOPIC_OR_PARTITION; create it, or see to the name$/) as unknown,
      })
      expect([...(await kit.client.listOffsets(topic, [0, 1], 'latest')).values()]).toEqual([0n, 0n])
      await close()
    })

    it(`${title} goes on when another topic of its own was deleted`, { timeout: LONG_MS }, async () => {
      const { client, admin } = kit
      const [gone, kept, young] = [await kit.newTopic(), await kit.newTopic(), await kit.newTopic()]
      const { write, close } = await open(kit)
      for (const topic of [gone, kept]) await write(topic, [{ partition: 0, value: 'before' }])
      await admin.deleteTopics({ topics: [gone] })
      await until(async () => ((await client.metadata(new RegExp(`^${gone}$`))).length === 0 ? true : undefined))
      for (const topic of [young, kept]) await write(topic, [{ partition: 0, value: 'after' }])
      await untilStable(client, young)
      expect((await readRows(client, young, { to: 1n }))[0]?.value).toBe(rowOf('after'))
      const rows = await readRows(client, kept, { to: await untilStable(client, kept) })
      expect(rows.map(({ value }) => value)).toEqual(['before', 'after'].map(rowOf))
      await close()
    })
  }
}
