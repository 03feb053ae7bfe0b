/** A broker is killed while a batch reads from it. */
import { describeWithInstalled, startService } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { kafkaDirectStream } from './kafka-stream.js'
import { testContext } from './testing/context.js'
import { numbered, TestKafka } from './testing/topics.js'
import { withMethods } from './testing/with-methods.js'

const LONG_MS = 180_000
const RECORDS = 100
const AT_ONCE = 10
const KILLED_AT = 50n

await describeWithInstalled({ describe, test }, ['kafka3'], 'on three brokers', () => {
  test(
    'a leader killed in the middle of a range: its batch reads on at the next one, nothing lost, nothing twice',
    async () => {
      const cluster = await startService('kafka3')
      const kafka = new TestKafka(cluster.values.bootstrap)
      const context = testContext()
      try {
        await kafka.open()
        const topic = await kafka.topic({ replicas: 3 })
        for (let i = 0; i < RECORDS; i += AT_ONCE) await kafka.add(topic, numbered(AT_ONCE, i))
        const leaderNow = async () => (await kafka.client.metadata([topic]))[0]?.partitions[0]?.leader ?? -1
        const killed = await leaderNow()
        let kills = 0
        const client = withMethods(kafka.client, {
          async *readRange(range) {
            for await (const chunk of kafka.client.readRange(range)) {
              if (chunk.position >= KILLED_AT && kills++ === 0) await cluster.processes[killed - 1]?.kill()
              yield chunk
            }
          },
        })
        const values: (string | null)[] = []
        kafkaDirectStream(context.ssc, {
          ...{ client, topics: topic, from: 'earliest', fetchBytes: 1, readAheadBytes: 0 },
          value: string,
          handler: ({ value }) => value,
        }).foreachRDD(async (rdd) => {
          values.push(...(await rdd.collect()))
        })
        await context.ssc.start()
        // A batch may take as long as its brokers do.
        const done = new Promise((resolve) => context.ssc.addListener({ onBatchCompleted: resolve }))
        await context.clock.advance(context.ssc.batchInterval)
        await Promise.race([done, context.ssc.awaitTermination()])
        expect(values).toEqual(numbered(RECORDS))
        expect(kills).toBeGreaterThan(1)
        expect(await leaderNow()).not.toBe(killed)
      } finally {
        await context.stop()
        await kafka.close()
        await cluster.stop()
      }
    },
    LONG_MS,
  )
})
