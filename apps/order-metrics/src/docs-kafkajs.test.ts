/** Both loops of docs/coming-from-kafkajs.md count the same topic, as they stand there. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamingContext } from '@sluice/core'
import { importBlock } from '@sluice/doc-blocks'
import { describeWithServices, kafkaJsConfig, makeTopic } from '@sluice/services'
import { Kafka, logLevel, type Consumer } from 'kafkajs'
import { MongoClient, type Collection } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

interface Totals {
  readonly _id: string
  readonly orders: number
  readonly amount: number
}

interface Examples {
  countByHand(consumer: Consumer, countries: Collection<Totals>): Promise<void>
  countOrders(brokers: readonly string[], url: string, checkpoint: string): StreamingContext
}

const DATABASE = `docs_kafkajs_${String(process.pid)}`
const TOPIC = `docs-kafkajs-${String(process.pid)}`
const LONG_MS = 120_000

/** A topic and a database of this test. */
const changes = { [`'orders'`]: `'${TOPIC}'`, [`'shop'`]: `'${DATABASE}'` }

const orders = Array.from({ length: 1_000 }, (_, i) => ({ country: ['fr', 'de', 'uk'][i % 3] as string, amount: i }))
const wanted = ['de', 'fr', 'uk'].map((_id) => {
  const own = orders.filter(({ country }) => country === _id)
  return { _id, orders: own.length, amount: own.reduce((sum, { amount }) => sum + amount, 0) }
})

await describeWithServices(
  { describe, test },
  ['kafka', 'mongo'],
  'docs/coming-from-kafkajs.md',
  ({ kafka, mongo }) => {
    const client = new MongoClient(mongo.url)
    const kafkajs = new Kafka({ ...kafkaJsConfig(kafka), logLevel: logLevel.NOTHING })
    const totals = (name: string) => client.db(DATABASE).collection<Totals>(name)
    const found = (name: string) =>
      totals(name)
        .find({}, { projection: { _sluice: 0 }, sort: { _id: 1 } })
        .toArray()

    beforeAll(async () => {
      const admin = kafkajs.admin()
      await admin.connect()
      await makeTopic(admin, { topic: TOPIC, numPartitions: 2 })
      await admin.disconnect()
      const producer = kafkajs.producer()
      await producer.connect()
      await producer.send({ topic: TOPIC, messages: orders.map((order) => ({ value: JSON.stringify(order) })) })
      await producer.disconnect()
    }, LONG_MS)

    afterAll(async () => {
      await client.db(DATABASE).dropDatabase()
      await client.close()
    })

    test('the loop by hand', { timeout: LONG_MS }, async () => {
      const { countByHand } = await importBlock<Examples>('docs/coming-from-kafkajs.md', 'countByHand', {
        changes: { [`'orders'`]: `'${TOPIC}'` },
      })
      const intervals = vi.spyOn(globalThis, 'setInterval')
      const consumer = kafkajs.consumer({ groupId: TOPIC })
      try {
        await consumer.connect()
        // Else it would begin at the end, as groups do.
        const subscribe = consumer.subscribe.bind(consumer)
        consumer.subscribe = (options) => subscribe({ ...options, fromBeginning: true })
        await countByHand(consumer, totals('by_hand'))
        await vi.waitUntil(
          async () => (await found('by_hand')).reduce((n, each) => n + each.orders, 0) === orders.length,
          {
            timeout: LONG_MS,
            interval: 100,
          },
        )
        expect(await found('by_hand')).toEqual(wanted)
      } finally {
        for (const { value } of intervals.mock.results) clearInterval(value as NodeJS.Timeout)
        intervals.mockRestore()
        await consumer.disconnect()
      }
    })

    test('the stream', { timeout: LONG_MS }, async () => {
      const { countOrders } = await importBlock<Examples>('docs/coming-from-kafkajs.md', 'countOrders', { changes })
      const ssc = countOrders([kafka.bootstrap], mongo.url, join(folder, 'checkpoint'))
      await ssc.start()
      try {
        const isDone = async () => (await found('countries')).reduce((n, each) => n + each.orders, 0) >= orders.length
        while (!(await isDone())) await Promise.race([sleep(50), ssc.awaitTermination()])
      } finally {
        await ssc.stop()
      }
      expect(await found('countries')).toEqual(wanted)
    })
  },
)
