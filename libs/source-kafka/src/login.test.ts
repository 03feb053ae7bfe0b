/** TLS and logins are handed on to the client. */
import { describeWithServices, kafkaJsConfig, makeTopic } from '@sluice/services'
import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { kafkaDirectStream } from './kafka-stream.js'
import { testContext } from './testing/context.js'

await describeWithServices({ describe, test }, ['kafka-sasl'], 'with TLS and SCRAM', (values) => {
  test('a stream reads, and commits to its group', async () => {
    const config = kafkaJsConfig(values['kafka-sasl'])
    const client = new kafkajs.Kafka({ ...config, logLevel: kafkajs.logLevel.NOTHING })
    const topic = `login-${String(process.pid)}`
    const admin = client.admin()
    await admin.connect()
    await makeTopic(admin, { topic, numPartitions: 1 })
    const producer = client.producer()
    await producer.connect()
    await producer.send({ topic, messages: [{ value: 'secret' }] })
    await producer.disconnect()
    const context = testContext()
    const seen: unknown[] = []
    const { brokers, ssl, sasl } = config
    kafkaDirectStream(context.ssc, {
      ...{ brokers: brokers as string[], ssl, sasl, topics: topic, from: 'earliest', group: topic },
      value: string,
      handler: ({ value }) => value,
    }).foreachRDD(async (rdd) => {
      seen.push(...(await rdd.collect()))
    })
    await context.ssc.start()
    await context.batch()
    await context.ssc.stop()
    expect(seen).toEqual(['secret'])
    expect(await admin.fetchOffsets({ groupId: topic, topics: [topic] })).toMatchObject([
      { partitions: [{ offset: '1' }] },
    ])
    await admin.disconnect()
  })
})
