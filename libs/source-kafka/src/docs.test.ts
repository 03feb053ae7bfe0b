/** The examples of docs/kafka.md, and of docs/redis.md on Kafka, are run as they stand there. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BatchId, DStream, Pair, Sink, StreamingContext } from '@sluice/core'
import { importBlock, runBlock } from '@sluice/doc-blocks'
import { describeWithServices } from '@sluice/services'
import avsc from 'avsc'
import type { Consumer } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { kafkaDirectStream, string, type KafkaRecord, type UndecodableRecord } from './index.js'
import { testContext, until, type TestContext, type TestContextOptions } from './testing/context.js'
import { TestKafka } from './testing/topics.js'

interface Examples {
  sumByHand(consumer: Consumer, save: (sums: Map<string, number>) => void): Promise<NodeJS.Timeout>
  amountsByCustomer(ssc: StreamingContext, brokers: readonly string[]): DStream<Pair<string, number>>
  amountsReceived(ssc: StreamingContext, brokers: readonly string[]): DStream<Pair<string, number>>
  tellRanges(stream: DStream<KafkaRecord>, tell: (text: string) => void): void
  readings(ssc: StreamingContext, deadLetter: Sink<UndecodableRecord>): DStream<number>
  payments(ssc: StreamingContext): DStream<{ id: string } | null>
  countWords(ssc: StreamingContext, brokers: readonly string[]): void
}

interface RedisExamples {
  orders(ssc: StreamingContext, brokers: readonly string[], url: string): DStream<string | null>
}

const orders = [
  { customer: 'ann', amount: 1 },
  { customer: 'bob', amount: 2 },
  { customer: 'ann', amount: 3 },
]
const ORDERS = orders.map((order) => JSON.stringify(order))
const SUMS = [
  ['ann', 4],
  ['bob', 2],
]

await describeWithServices(
  { describe, test },
  ['kafka', 'redis'],
  'docs/kafka.md',
  ({ kafka: { bootstrap }, redis }) => {
    /** With a topic of its own, that has these values. */
    async function withTopic(values: readonly string[], use: (kafka: TestKafka, topic: string) => Promise<void>) {
      const kafka = new TestKafka(bootstrap)
      await kafka.open()
      try {
        const topic = await kafka.topic()
        if (values.length > 0) await kafka.add(topic, values)
        await use(kafka, topic)
      } finally {
        await kafka.close()
      }
    }

    /** Declares, starts, and hands on; stops in any case. */
    async function started(
      declare: (ssc: StreamingContext) => void,
      use: (context: TestContext) => Promise<void>,
      options: TestContextOptions = {},
    ): Promise<void> {
      const context = testContext(options)
      try {
        declare(context.ssc)
        await context.ssc.start()
        await use(context)
      } finally {
        await context.stop()
      }
    }

    /** What a stream gives, one entry for each batch. */
    function collected<T>(stream: DStream<T>): T[][] {
      const seen: T[][] = []
      stream.foreachRDD(async (rdd) => void seen.push((await rdd.collect()).toSorted()))
      return seen
    }

    test('the loop by hand sums, and saves whatever it has by then', async () => {
      await withTopic(ORDERS, async ({ kafka }, topic) => {
        const { sumByHand } = await importBlock<Examples>('docs/kafka.md', 'sumByHand', {
          changes: { [`'orders'`]: `'${topic}'` },
        })
        const consumer = kafka.consumer({ groupId: topic })
        await consumer.connect()
        let saved: unknown
        const timer = await sumByHand(consumer, (sums) => (saved = [...sums].toSorted()))
        try {
          await until(() => JSON.stringify(saved) === JSON.stringify(SUMS), 'the sums are saved')
        } finally {
          clearInterval(timer)
          await consumer.disconnect()
        }
      })
    })

    test('its first stream does what it says', async () => {
      await withTopic(ORDERS, async (kafka, topic) => {
        const { amountsByCustomer } = await importBlock<Examples>('docs/kafka.md', 'amountsByCustomer', {
          changes: { [`'orders'`]: `'${topic}'` },
        })
        let seen: unknown[] = []
        await started(
          (ssc) => (seen = collected(amountsByCustomer(ssc, kafka.brokers))),
          async (context) => {
            await context.batch()
            await kafka.add(topic, [JSON.stringify({ customer: 'bob', amount: 5 })])
            await context.batch()
          },
        )
        expect(seen).toEqual([
          SUMS,
          [
            ['ann', 4],
            ['bob', 7],
          ],
        ])
      })
    })

    test('its program prints the sums, and goes on with them when it is started again', async () => {
      const cwd = mkdtempSync(join(tmpdir(), 'sluice-docs-'))
      try {
        await withTopic(ORDERS, async (kafka, topic) => {
          const run = (until: string) =>
            runBlock('docs/kafka.md', 'amountsByCustomer', {
              changes: { [`'orders'`]: `'${topic}'`, 'localhost:9092': bootstrap },
              last: 'await main()',
              cwd,
              until: (stdout) => stdout.includes(until),
            })
          expect((await run('(bob,2)')).stdout).toContain('(ann,4)')
          await kafka.add(topic, [JSON.stringify({ customer: 'bob', amount: 5 })])
          expect((await run('(bob,7)')).stdout).toContain('(ann,4)')
        })
      } finally {
        rmSync(cwd, { recursive: true })
      }
    }, 120_000)

    test('the example of the receiver approach does what it says', async () => {
      await withTopic(ORDERS, async (kafka, topic) => {
        const { amountsReceived } = await importBlock<Examples>('docs/kafka.md', 'amountsReceived', {
          changes: { 'orders: 2': `'${topic}': 2`, [`'sums',`]: `'${topic}',` },
        })
        let sums: unknown[][] = []
        await started(
          (ssc) => (sums = collected(amountsReceived(ssc, kafka.brokers))),
          async (context) => {
            await until(async () => {
              await context.batch()
              return sums.at(-1)?.length === 2
            }, 'both are there')
          },
          { checkpoint: '/ckpt' },
        )
        expect(sums.at(-1)).toEqual(SUMS)
      })
    })

    test('the ranges of a batch are told', async () => {
      await withTopic(ORDERS, async (kafka, topic) => {
        const { tellRanges } = await importBlock<Examples>('docs/kafka.md', 'tellRanges')
        const told: string[] = []
        await started(
          (ssc) => {
            const stream = kafkaDirectStream(ssc, {
              brokers: kafka.brokers,
              topics: topic,
              from: 'earliest',
              value: string,
              handler: (record) => record,
            })
            tellRanges(stream as DStream<KafkaRecord>, (text) => void told.push(text))
          },
          async (context) => {
            await context.batch()
            await kafka.add(topic, ORDERS)
            await context.batch()
          },
        )
        expect(told).toEqual([`${topic}/0: 0 to 3`, `${topic}/0: 3 to 6`])
      })
    })

    test('a record that is no reading becomes a row of the dead letters, and the others go on', async () => {
      await withTopic([], async (kafka, topic) => {
        const { readings } = await importBlock<Examples>('docs/kafka.md', 'readings', {
          changes: { 'localhost:9092': bootstrap, [`topics: 'readings'`]: `topics: '${topic}'` },
        })
        const letters: UndecodableRecord[] = []
        const deadLetter: Sink<UndecodableRecord> = {
          '~sluice': 'sink/1',
          name: 'letters',
          target: 'memory',
          guarantee: { level: 'at-least-once', condition: 'it is a test' },
          async writePartition(_id: BatchId, chunks) {
            for await (const chunk of chunks) letters.push(...chunk)
          },
        }
        let seen: number[][] = []
        await started(
          (ssc) => (seen = collected(readings(ssc, deadLetter))),
          async (context) => {
            await kafka.add(topic, ['1', '"much"', '3', '{'])
            await context.batch()
          },
        )
        expect(seen).toEqual([[1, 3]])
        expect(letters).toMatchObject([
          { topic, partition: 0, offset: 1n },
          { topic, partition: 0, offset: 3n },
        ])
      })
    })

    test('Avro is decoded by the schema of the registry, which is asked once', async () => {
      const schema: avsc.Schema = { type: 'record', name: 'Payment', fields: [{ name: 'id', type: 'string' }] }
      let asked = 0
      const registry = createServer((_request, response) => {
        asked++
        response.end(JSON.stringify({ schema: JSON.stringify(schema) }))
      }).listen(0, '127.0.0.1')
      await once(registry, 'listening')
      const url = `http://127.0.0.1:${String((registry.address() as AddressInfo).port)}`
      try {
        await withTopic([], async (kafka, topic) => {
          const { payments } = await importBlock<Examples>('docs/kafka.md', 'payments', {
            changes: { 'localhost:9092': bootstrap, [`'payments'`]: `'${topic}'`, 'http://localhost:8081': url },
          })
          const encoded = ['a', 'b'].map((id) =>
            Buffer.concat([Buffer.from([0, 0, 0, 0, 7]), avsc.Type.forSchema(schema).toBuffer({ id })]),
          )
          let seen: unknown[] = []
          await started(
            (ssc) => (seen = collected(payments(ssc))),
            async (context) => {
              await kafka.client.produce(
                topic,
                encoded.map((value) => ({ partition: 0, value })),
              )
              await context.batch()
            },
          )
          expect(seen).toEqual([[{ id: 'a' }, { id: 'b' }]])
          expect(asked).toBe(1)
        })
      } finally {
        registry.close()
      }
    })

    test('words are counted from topic to topic', async () => {
      await withTopic([], async (kafka, lines) => {
        const words = await kafka.topic()
        const { countWords } = await importBlock<Examples>('docs/kafka.md', 'countWords', {
          changes: { [`'lines'`]: `'${lines}'`, [`'words'`]: `'${words}'` },
        })
        await started(
          (ssc) => {
            countWords(ssc, kafka.brokers)
          },
          async (context) => {
            await kafka.add(lines, ['to be', 'or not to be'])
            await context.batch()
          },
          { checkpoint: '/ckpt' },
        )
        const { stable = 0n } = { stable: (await kafka.client.listOffsets(words, [0], 'last-stable')).get(0) }
        const found: unknown[] = []
        for await (const chunk of kafka.client.readRange({ topic: words, partition: 0, from: 0n, to: stable })) {
          const record = chunk.records()
          while (record.next()) found.push([record.keyText, JSON.parse(String(record.valueText))])
        }
        expect(found.toSorted()).toEqual([
          ['be', ['be', 2]],
          ['not', ['not', 1]],
          ['or', ['or', 1]],
          ['to', ['to', 2]],
        ])
      })
    })

    test('docs/redis.md: without a checkpoint, a stream goes on from what Redis has', async () => {
      await withTopic([], async (kafka, topic) => {
        const { orders } = await importBlock<RedisExamples>('docs/redis.md', 'redisOffsetStore', {
          changes: { [`'orders'`]: `'${topic}'` },
        })
        const seen: unknown[] = []
        for (const meanwhile of [['a', 'b'], ['c'], ['d']]) {
          // The first start begins at the end, as nothing is stored yet; later ones find what came while nothing ran.
          if (seen.length > 0) await kafka.add(topic, meanwhile)
          await started(
            (ssc) => {
              orders(ssc, kafka.brokers, redis.url).foreachRDD(async (rdd) => void seen.push(...(await rdd.collect())))
            },
            async (context) => {
              if (seen.length === 0) await kafka.add(topic, meanwhile)
              await context.batch()
              // Offsets follow the data: only then are they stored for sure.
              await context.ssc.stop()
            },
            { appName: topic },
          )
        }
        expect(seen).toEqual(['a', 'b', 'c', 'd'])
      })
    })
  },
)
