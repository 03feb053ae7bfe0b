/** The examples of the README, run as they stand there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { importBlock } from '@sluice/doc-blocks'
import { describeWithServices, makeTopic } from '@sluice/services'
import { decompress } from 'fzstd'
import kafkajs from 'kafkajs'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { KafkaClient } from './client.js'
import { kafkajsClient } from './kafkajs/kafkajs-client.js'

interface Examples {
  printAll(topic: string): Promise<void>
  clientWithZstd(decompress: (bytes: Uint8Array) => Uint8Array): KafkaClient
}

await describeWithServices({ describe, test }, ['kafka', 'kcat'], 'the README', ({ kafka: { bootstrap }, kcat }) => {
  const changes = { 'localhost:9092': bootstrap }
  afterEach(() => {
    vi.restoreAllMocks()
  })

  async function newTopic(name: string): Promise<string> {
    const topic = `readme-${name}-${String(process.pid)}`
    const admin = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
    await makeTopic(admin, { topic, numPartitions: 1 })
    await admin.disconnect()
    return topic
  }

  test('its first example prints a topic', async () => {
    const topic = await newTopic('print')
    const client = kafkajsClient({ brokers: [bootstrap] })
    await client.produce(topic, [
      { partition: 0, key: 'a', value: 'one' },
      { partition: 0, key: 'b', value: 'two' },
    ])
    await client.close()
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const { printAll } = await importBlock<Examples>('libs/kafka-wire/README.md', 'printAll', { changes })
    await printAll(topic)
    expect(log.mock.calls).toEqual([['2 records up to offset 2'], [0n, 'a', 'one'], [1n, 'b', 'two']])
  })

  test('its second example reads zstd', async () => {
    const topic = await newTopic('zstd')
    const child = spawn(kcat.command, ['-P', '-b', bootstrap, '-t', topic, '-p', '0', '-z', 'zstd'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    const lines = Array.from({ length: 500 }, (_, i) => `line ${String(i)}`)
    child.stdin.end(lines.join('\n'))
    expect(await once(child, 'close')).toEqual([0, null])
    const { clientWithZstd } = await importBlock<Examples>('libs/kafka-wire/README.md', 'clientWithZstd', { changes })
    const client = clientWithZstd((bytes) => decompress(bytes))
    const found: (string | null)[] = []
    for await (const chunk of client.readRange({ topic, partition: 0, from: 0n, to: 500n })) {
      const record = chunk.records()
      while (record.next()) found.push(record.valueText)
    }
    await client.close()
    expect(found).toEqual(lines)
  })
})
