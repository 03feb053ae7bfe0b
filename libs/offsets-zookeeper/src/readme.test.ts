/** The README's example compiles as it stands; stopped and started again, it goes on where it was, and nothing is lost. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describeWithServices, makeTopic } from '@sluice/services'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterAll, describe, expect, test } from 'vitest'
import { newGroup, Plain } from './testing/plain.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PARTITIONS = 2
const LONG_MS = 180_000
const run = promisify(execFile)

await describeWithServices({ describe, test }, ['kafka', 'zookeeper'], 'the README', ({ kafka, zookeeper }) => {
  const plain = new Plain(zookeeper.url)
  const client = new Kafka({ brokers: kafka.bootstrap.split(','), logLevel: logLevel.NOTHING })
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  const folders: string[] = []
  afterAll(async () => {
    plain.close()
    await producer.disconnect()
    for (const folder of folders) await rm(folder, { recursive: true })
  })

  async function newTopic(): Promise<string> {
    const topic = newGroup()
    const admin = client.admin()
    await admin.connect()
    await makeTopic(admin, { topic, numPartitions: PARTITIONS })
    await admin.disconnect()
    await producer.connect()
    return topic
  }

  async function send(topic: string, from: number, until: number): Promise<string[]> {
    const values = Array.from({ length: until - from }, (_, i) => `order ${String(from + i)}`)
    await producer.send({ topic, messages: values.map((value, i) => ({ value, partition: i % PARTITIONS })) })
    return values
  }

  /** Of a topic and group of the test's own. */
  async function compiled(topic: string, group: string): Promise<string> {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
    const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
    folders.push(folder)
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    const own = example.replace(`topics: 'orders'`, `topics: '${topic}'`).replace(`group: 'shop'`, `group: '${group}'`)
    await writeFile(join(folder, 'example.ts'), own)
    const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), 'example.ts', ...options], {
      cwd: folder,
    })
    return folder
  }

  test(
    'its example goes on from what an old consumer has left, prints each order once, and keeps offsets where tools look',
    async () => {
      const [topic, group] = [await newTopic(), newGroup()]
      const folder = await compiled(topic, group)
      const env = { ...process.env, KAFKA: kafka.bootstrap, ZOOKEEPER: zookeeper.url }
      const printed = async (): Promise<string[]> => {
        const { stdout } = await run(process.execPath, ['--no-warnings', 'example.js'], { cwd: folder, env })
        return stdout.trim().split('\n').sort()
      }
      const offset = async (partition: number) =>
        (await plain.get(`/consumers/${group}/offsets/${topic}/${String(partition)}`))?.data
      await send(topic, 100, 104)
      await plain.set(`/consumers/${group}/offsets/${topic}/0`, '1')
      expect(await printed()).toEqual(['order 101', 'order 102', 'order 103'])
      expect([await offset(0), await offset(1)]).toEqual(['2', '2'])
      const meanwhile = await send(topic, 104, 109)
      expect(await printed()).toEqual(meanwhile)
      expect([await offset(0), await offset(1)]).toEqual(['5', '4'])
    },
    LONG_MS,
  )
})
