/** Both adapters on real brokers: the suite, the suite again with TLS and passwords, and brokers that are killed meanwhile. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { isSluiceError } from '@sluice/core'
import {
  describeWithInstalled,
  describeWithServices,
  kafkaJsConfig,
  readWithJava,
  readWithKcat,
  startProxy,
  startService,
  makeTopic,
} from '@sluice/services'
import type { ServerProcess, ValuesOf } from '@sluice/services'
import kafkajs from 'kafkajs'
import type { Admin } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { KafkaClient } from './client.js'
import { kafkajsClient } from './kafkajs/kafkajs-client.js'
import { platformaticClient } from './platformatic/platformatic-client.js'
import { clientSuite } from './testing/client-suite.js'
import { createTopic, endOf, readRows, rowOf, until, valuesOf } from './testing/suite-kit.js'
import type { SuiteOptions } from './testing/suite-kit.js'

const LONG_MS = 180_000

type Values = ValuesOf<'kafka'> | ValuesOf<'kafka-sasl'>
type Mechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512'

interface Adapter {
  readonly name: string
  newClient(values: Values, options?: { mechanism?: Mechanism; callTimeoutMs?: number }): KafkaClient
}

const adapters: readonly Adapter[] = [
  {
    name: 'kafkajs',
    newClient: (values, { mechanism, callTimeoutMs } = {}) =>
      kafkajsClient({ ...(kafkaJsConfig(values, mechanism) as { brokers: string[] }), callTimeoutMs }),
  },
  {
    name: 'kafkajs, classic',
    newClient: (values, { mechanism, callTimeoutMs } = {}) =>
      kafkajsClient({
        ...(kafkaJsConfig(values, mechanism) as { brokers: string[] }),
        callTimeoutMs,
        transactions: 'classic',
      }),
  },
  {
    name: 'platformatic',
    newClient: (values, { mechanism = 'scram-sha-512', callTimeoutMs } = {}) => {
      const brokers = values.bootstrap.split(',')
      if (!isLogin(values)) return platformaticClient({ brokers, callTimeoutMs })
      const { ca, username, password } = values
      const sasl = { mechanism: mechanism.toUpperCase() as 'PLAIN', username, password }
      return platformaticClient({ brokers, callTimeoutMs, ssl: { ca: [ca] }, sasl })
    },
  },
]

const isLogin = (values: Values): values is ValuesOf<'kafka-sasl'> => 'username' in values

function adminOf(values: Values): Admin {
  const retry = { retries: 50, initialRetryTime: 50, maxRetryTime: 1000 }
  return new kafkajs.Kafka({ ...kafkaJsConfig(values), logLevel: kafkajs.logLevel.NOTHING, retry }).admin()
}

async function produceWithKcat(
  command: string,
  values: Values,
  topic: string,
  lines: string,
  args: readonly string[],
): Promise<void> {
  const login = isLogin(values)
    ? {
        'security.protocol': 'sasl_ssl',
        'ssl.ca.location': values.caFile,
        'sasl.mechanisms': 'PLAIN',
        'sasl.username': values.username,
        'sasl.password': values.password,
      }
    : {}
  const settings = Object.entries(login).flatMap((pair) => ['-X', pair.join('=')])
  const to = ['-P', '-b', values.bootstrap, '-t', topic]
  const hasPartition = !args.some((arg) => arg.startsWith('topic.partitioner'))
  const child = spawn(command, [...to, ...(hasPartition ? ['-p', '0'] : []), ...args, ...settings], {
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  child.stdin.end(lines)
  const [code] = (await once(child, 'close')) as [number]
  expect(code).toBe(0)
}

function suiteOptions(
  values: Values,
  command: string,
  adapter: Adapter,
  admin: Admin,
  mechanism?: Mechanism,
): SuiteOptions {
  return {
    newClient: (options) =>
      adapter.newClient(values, { ...options, ...(mechanism === undefined ? {} : { mechanism }) }),
    admin,
    oracles: {
      kcat: (topic) => readWithKcat(values, { topic, encoding: 'base64', command }),
      java: (topic) => readWithJava(values, { topic, encoding: 'base64' }),
    },
    kcat: (topic, lines, args) => produceWithKcat(command, values, topic, lines, args),
  }
}

await describeWithServices({ describe, test }, ['kafka', 'kcat'], 'a broker', ({ kafka, kcat }) => {
  const admin = adminOf(kafka)
  beforeAll(() => admin.connect())
  afterAll(() => admin.disconnect())
  for (const adapter of adapters) clientSuite(adapter.name, suiteOptions(kafka, kcat.command, adapter, admin))
})

await describeWithServices({ describe, test }, ['kafka-sasl', 'kcat'], 'a broker with TLS and a login', (services) => {
  const values = services['kafka-sasl']
  const admin = adminOf(values)
  beforeAll(() => admin.connect())
  afterAll(() => admin.disconnect())
  for (const adapter of adapters) {
    clientSuite(
      `${adapter.name} by SCRAM`,
      suiteOptions(values, services.kcat.command, adapter, admin, 'scram-sha-512'),
    )

    it.each(['plain', 'scram-sha-256'] as const)(`${adapter.name} logs in by %s`, async (mechanism) => {
      const by = adapter.name.replaceAll(/\W+/g, '-')
      const topic = await createTopic(admin, `login-${by}-${mechanism}-${String(process.pid)}`)
      const client = adapter.newClient(values, { mechanism })
      await client.produce(topic, valuesOf(3))
      expect((await readRows(client, topic, { to: 3n })).length).toBe(3)
      await client.close()
    })

    it.each(['plain', 'scram-sha-512'] as const)(
      `${adapter.name} says that a password is wrong, by %s`,
      async (mechanism) => {
        const client = adapter.newClient({ ...values, password: 'wrong' }, { mechanism })
        const refused = {
          code: 'CONNECTION_FAILED',
          retryable: false,
          message: expect.stringMatching(/; see to user, password, mechanism and certificates$/) as unknown,
        }
        await expect(client.connect()).rejects.toMatchObject(refused)
        await expect(readRows(client, 'any', { to: 1n })).rejects.toMatchObject(refused)
        await client.close()
      },
    )
  }
})

/** A frozen broker keeps its connections and says nothing: calls end in time, and go on when it wakes. */
async function outlivesAFreeze(
  broker: ServerProcess,
  client: KafkaClient,
  hasty: KafkaClient,
  topic: string,
): Promise<void> {
  const before = await hasty.transactional('freeze')
  await before.init()
  const transaction = await before.begin()
  await hasty.produce(topic, valuesOf(1, 'before'))
  const late = { code: 'TIMEOUT', retryable: true, message: expect.stringMatching(/within 1000 ms/) as unknown }
  await broker.pause()
  await expect(
    Promise.all([
      expect(hasty.produce(topic, valuesOf(1, 'frozen'))).rejects.toMatchObject(late),
      expect(hasty.produce(topic, valuesOf(1, 'behind it'))).rejects.toMatchObject(late),
      expect(transaction.send(topic, valuesOf(1, 'frozen, too'))).rejects.toMatchObject(late),
      expect(hasty.metadata([topic])).rejects.toMatchObject(late),
      expect(readRows(hasty, topic, { to: 100n, deadlineMs: 500 })).rejects.toMatchObject({ code: 'TIMEOUT' }),
    ]),
  ).resolves.toHaveLength(5)
  await broker.resume()
  const woken = { partition: 0, value: 'woken' }
  await until(() => hasty.produce(topic, [woken]).then(() => true, ifLater))
  expect((await readRows(client, topic, { to: 101n })).at(-1)?.value).toBe(rowOf('before 0'))
  expect(await endOf(client, topic)).toBeGreaterThanOrEqual(102n)
  await hasty.close()
}

/** Says to try again, where `error` says that this may help. */
function ifLater(error: unknown): undefined {
  if (!isSluiceError(error) || !error.retryable) throw error
}

await describeWithInstalled({ describe, test }, ['kafka'], 'a broker that breaks', () => {
  for (const { name, newClient } of adapters) {
    it(
      `${name} reads on, nothing twice, when the broker is killed and started again`,
      { timeout: LONG_MS },
      async () => {
        const own = await startService('kafka')
        try {
          const client = newClient(own.values)
          const admin = adminOf(own.values)
          await admin.connect()
          const topic = await createTopic(admin, 'orders')
          for (let i = 0; i < 10; i++) await client.produce(topic, valuesOf(10, `part ${String(i)}`))
          const offsets: bigint[] = []
          for await (const chunk of client.readRange({
            topic,
            partition: 0,
            from: 0n,
            to: 100n,
            maxBytes: 1,
            deadlineMs: 120_000,
          })) {
            if (chunk.position === 30n) {
              await own.processes[0]!.kill()
              // Whether it had read ahead by then or not.
              void own.processes[0]!.restart()
            }
            const cursor = chunk.records()
            while (cursor.next()) offsets.push(cursor.offset)
          }
          expect(offsets).toEqual(Array.from({ length: 100 }, (_, i) => BigInt(i)))
          await client.produce(topic, valuesOf(1, 'after'))
          expect((await readRows(client, topic, { from: 100n, to: 101n }))[0]?.value).toBe(rowOf('after 0'))
          await admin.disconnect()
          await client.close()
        } finally {
          await own.stop()
        }
      },
    )

    it(
      `${name} reads on when connections are cut at any byte, and names a broker that is gone`,
      { timeout: LONG_MS },
      async () => {
        const proxy = await startProxy()
        const own = await startService('kafka', { advertised: [proxy.address] })
        try {
          proxy.setTarget(String((own.values as { targets?: string }).targets))
          const client = newClient(own.values, { callTimeoutMs: 2000 })
          const admin = adminOf(own.values)
          await admin.connect()
          const topic = await createTopic(admin, 'orders')
          await admin.disconnect()
          for (let i = 0; i < 10; i++) await client.produce(topic, valuesOf(10, `part ${String(i)}`))
          const all = await readRows(client, topic, { to: 100n })
          for (const bytes of [1, 3, 4, 40, 90, 200, 700]) {
            proxy.cutAfter(bytes, 'down')
            expect(await readRows(client, topic, { to: 100n, maxBytes: 500 })).toEqual(all)
          }
          proxy.refuse()
          proxy.cut()
          const gone = {
            code: 'TIMEOUT',
            retryable: true,
            message: expect.stringMatching(/are the brokers up/) as unknown,
          }
          await expect(client.listOffsets(topic, [0], 'latest')).rejects.toMatchObject(gone)
          await expect(readRows(client, topic, { to: 100n, deadlineMs: 500 })).rejects.toMatchObject(gone)
          proxy.accept()
          expect(await readRows(client, topic, { to: 100n })).toEqual(all)
          await outlivesAFreeze(own.processes[0]!, client, newClient(own.values, { callTimeoutMs: 1000 }), topic)
          await client.close()
        } finally {
          await own.stop()
          await proxy.stop()
        }
      },
    )
  }
})

/** One of the three partitions had its only replica on the broker that is away. */
async function readsBesideLeaderless(client: KafkaClient, topic: string, away: number): Promise<void> {
  const leaders = await until(async () => {
    const [found] = await client.metadata([topic])
    const all = found!.partitions.map(({ leader }) => leader)
    return all.includes(-1) ? all : undefined
  })
  expect(leaders.filter((leader) => leader !== -1 && leader !== away)).toHaveLength(2)
  expect(await client.metadata(new RegExp(`^${topic}$`))).toEqual(await client.metadata([topic]))
  const there = [0, 1, 2].filter((partition) => leaders[partition] !== -1)
  expect([...(await client.listOffsets(topic, there, 'latest')).values()]).toEqual([1n, 1n])
  for (const partition of there) expect(await readRows(client, topic, { partition, to: 1n })).toHaveLength(1)
  const gone = {
    code: 'TIMEOUT',
    message: expect.stringMatching(/LEADER_NOT_AVAILABLE|no connection|nobody answers/) as unknown,
  }
  await expect(client.listOffsets(topic, [0, 1, 2], 'latest', { timeoutMs: 1000 })).rejects.toMatchObject(gone)
}

await describeWithInstalled({ describe, test }, ['kafka3'], 'three brokers', () => {
  it.each(adapters)(
    '$name reads on when the leader is killed, and writes',
    { timeout: LONG_MS },
    async ({ newClient }) => {
      const own = await startService('kafka3')
      try {
        const client = newClient(own.values)
        const admin = adminOf(own.values)
        await admin.connect()
        await makeTopic(admin, { topic: 'orders', numPartitions: 3, replicationFactor: 3 })
        for (let i = 0; i < 10; i++) await client.produce('orders', valuesOf(10, `part ${String(i)}`))
        await makeTopic(admin, { topic: 'alone', numPartitions: 3, replicationFactor: 1 })
        for (const partition of [0, 1, 2]) await client.produce('alone', [{ partition, value: 'alone' }])
        const leader = (await client.metadata(['orders']))[0]!.partitions[0]!.leader
        const offsets: bigint[] = []
        for await (const chunk of client.readRange({
          topic: 'orders',
          partition: 0,
          from: 0n,
          to: 100n,
          maxBytes: 1,
        })) {
          if (chunk.position === 30n) await own.processes[leader - 1]!.kill()
          const cursor = chunk.records()
          while (cursor.next()) offsets.push(cursor.offset)
        }
        expect(offsets).toEqual(Array.from({ length: 100 }, (_, i) => BigInt(i)))
        await client.produce('orders', valuesOf(5, 'after'))
        expect((await readRows(client, 'orders', { from: 100n, to: 105n })).length).toBe(5)
        const moved = (await client.metadata(['orders']))[0]!.partitions[0]!.leader
        expect(moved).not.toBe(leader)
        await readsBesideLeaderless(client, 'alone', leader)
        await admin.disconnect()
        await client.close()
      } finally {
        await own.stop()
      }
    },
  )
})
