/** The example of docs/testing.md, run as it stands there: two clients read the same rows. */
import { importBlock } from '@sluice/doc-blocks'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { describeWithServices } from '../testing.js'
import { kafkaJsConfig, makeTopic } from './client.js'
import { readWithKcat } from './oracles.js'

const TOPIC = `docs-${String(process.pid)}`

await describeWithServices({ describe, test }, ['kafka', 'kcat'], 'a topic', ({ kafka, kcat }) => {
  test('has rows to read', async () => {
    const client = new Kafka({ ...kafkaJsConfig(kafka), logLevel: logLevel.NOTHING })
    const admin = client.admin()
    await admin.connect()
    await makeTopic(admin, { topic: TOPIC, numPartitions: 1 })
    await admin.disconnect()
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    await producer.send({ topic: TOPIC, messages: ['a', 'b', 'c'].map((value) => ({ value })) })
    await producer.disconnect()
    expect(await readWithKcat(kafka, { topic: TOPIC, command: kcat.command })).toHaveLength(3)
  })
})

// It defines a test, which comes after the one above.
await importBlock('docs/testing.md', 'readWithJava', { changes: { [`'orders'`]: `'${TOPIC}'` } })
