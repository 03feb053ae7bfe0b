import { seconds } from '@sluice/core'
import { expect, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { kafkaReceiverStream } from './kafka-receiver-stream.js'
import { describeOnKafka } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

await describeOnKafka('kafkaReceiverStream on a broker', ({ kafka, context }) => {
  test('two consumers receive the records of a topic, each once', async () => {
    const topic = await kafka.topic({ partitions: 4 })
    const run = context({ batchInterval: seconds(1) })
    const seen: string[] = []
    kafkaReceiverStream(run.ssc, {
      brokers: kafka.brokers,
      group: kafka.name('group'),
      topics: { [topic]: 2 },
      otherwise: 'earliest',
      value: string,
      handler: ({ value }) => value ?? '',
    }).foreachRDD(async (rdd) => {
      seen.push(...(await rdd.collect()))
    })
    for (let p = 0; p < 4; p++) await kafka.add(topic, numbered(100, 100 * p), p)
    await run.ssc.start()
    for (let n = 0; seen.length < 400 && n < 3000; n++) {
      await run.batch()
      await new Promise((r) => setTimeout(r, 5))
    }
    console.log(run.log.slice(0, 20))
    expect(seen.toSorted()).toEqual(numbered(400).toSorted())
  })
})
