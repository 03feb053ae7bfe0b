/** Topics that others have compressed, in all ways that Kafka has: zstd by a codec of the user's, as Node 20 has none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describeWithServices } from '@sluice/services'
import { decompress } from 'fzstd'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { string } from './decode/deserializer.js'
import { kafkaDirectStream } from './kafka-stream.js'
import { testContext } from './testing/context.js'
import { newClients, numbered, TestKafka } from './testing/topics.js'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const RECORDS = 1_000

await describeWithServices({ describe, test }, ['kafka', 'kcat'], 'compressed topics', ({ kafka: values, kcat }) => {
  const kafka = new TestKafka(values.bootstrap)
  beforeAll(() => kafka.open())
  afterAll(() => kafka.close())

  async function write(topic: string, codec: string, lines: readonly string[]): Promise<void> {
    const args = ['-P', '-b', values.bootstrap, '-t', topic, '-p', '0', '-z', codec]
    const child = spawn(kcat.command, args, { stdio: ['pipe', 'ignore', 'inherit'] })
    child.stdin.end(lines.join('\n'))
    expect(await once(child, 'close')).toEqual([0, null])
  }

  test.each(Object.entries(newClients))('are read and counted by %s, zstd too', async (_name, newClient) => {
    const topic = await kafka.topic()
    for (const [i, codec] of CODECS.entries()) await write(topic, codec, numbered(RECORDS, i * RECORDS))
    const client = newClient({ brokers: kafka.brokers, codecs: { zstd: { decompress: (bytes) => decompress(bytes) } } })
    const context = testContext()
    const found: unknown[] = []
    kafkaDirectStream(context.ssc, {
      ...{ client, topics: topic, from: 'earliest', fetchBytes: 4_096 },
      value: string,
      handler: ({ value }) => value,
    }).foreachRDD(async (rdd) => {
      found.push(await rdd.count(), await rdd.collect())
    })
    await context.ssc.start()
    await context.batch()
    await context.stop()
    await client.close()
    const count = CODECS.length * RECORDS
    expect(found).toEqual([count, numbered(count)])
  })
})
