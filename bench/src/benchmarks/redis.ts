/**
 * The Redis sink against what one writes by hand: ioredis pipelines of as many commands, each answer looked at. With a ledger the sink
 * also keeps each batch from being written twice, which the pipelines do not. The server syncs every write, so much of the time in both
 * is its own; the process's CPU time, which the ratio is about, is what the sink adds.
 */
import { startService } from '@sluice/services'
import { redisSink, type RedisSinkOptions } from '@sluice/sink-redis'
import { Redis } from 'ioredis'
import type { Benchmark, Sizes } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import { sinkDriver } from '../sink-driver.js'

const RECORDS = 30_000
const PARTITION = 10_000
const CHUNK = 1_000
const KEYS = 500
const WITHOUT_LEDGER_AIM = 0.9
const WITH_LEDGER_AIM = 0.8

interface Order {
  readonly id: string
  readonly region: string
  readonly cents: number
}

type Write = Pick<RedisSinkOptions<Order>, 'mode' | 'key'>

interface Mode {
  readonly write: (key: string) => object
  /** The command by hand. */
  readonly command: (key: string, order: Order) => [name: string, ...args: (string | number)[]]
}

const modes: Readonly<Record<string, Mode>> = {
  list: {
    write: (key) => ({ mode: 'list', key, value: ({ id }: Order) => id }),
    command: (key, { id }) => ['rpush', key, id],
  },
  hash: {
    write: (key) => ({ mode: 'hash', key: `${key}:<region>`, fields: ['id', 'cents'] }),
    command: (key, { id, region, cents }) => ['hset', `${key}:${region}`, 'id', id, 'cents', cents],
  },
  increment: {
    write: (key) => ({ mode: 'increment', key, field: 'region', by: 'cents' }),
    command: (key, { region, cents }) => ['hincrby', key, region, cents],
  },
}

export const redis: Benchmark = {
  name: 'redis',
  about: 'the Redis sink against pipelines of ioredis by hand, with and without a ledger; needs redis-server',
  run: async (sizes) => {
    const server = await startService('redis')
    const client = new Redis(server.values.url)
    try {
      const contests: Contest[] = []
      for (const [name, mode] of Object.entries(modes))
        for (const ledger of [false, true]) contests.push(await contestOf(name, mode, ledger, client, sizes))
      return await measure(contests, sizes.repeats({ warmUp: 2, rounds: 7 }))
    } finally {
      client.disconnect()
      await server.stop()
    }
  },
}

async function contestOf(name: string, mode: Mode, ledger: boolean, client: Redis, sizes: Sizes): Promise<Contest> {
  const orders = Array.from({ length: sizes.count(RECORDS) }, (_, i): Order => {
    const region = `region ${String((i * 7_919) % KEYS)}`
    return { id: `order ${String(i)}`, region, cents: (i % 1_000) + 1 }
  })
  const label = ledger ? 'with a ledger' : 'without'
  const [ours, byHand] = [`${name} ${label} ours`, `${name} ${label} by hand`]
  const write = mode.write(ours) as Write
  const sink = redisSink<Order>({ client, ledger, ...write } as RedisSinkOptions<Order>)
  const drive = await sinkDriver(sink, { partition: PARTITION, chunk: CHUNK })
  return {
    name: `redis/${name}, ${label}`,
    aim: ledger ? WITH_LEDGER_AIM : WITHOUT_LEDGER_AIM,
    noun: 'records',
    count: orders.length,
    ours: async () => {
      await client.del(ours)
      await drive(orders)
      return totalOf(client, ours)
    },
    reference: async () => {
      await client.del(byHand)
      await writeByHand(client, orders, (order) => mode.command(byHand, order))
      return totalOf(client, byHand)
    },
  }
}

/** So much is there: both sides must have written the same. */
async function totalOf(client: Redis, key: string): Promise<number> {
  const type = await client.type(key)
  if (type === 'list') return client.llen(key)
  if (type === 'hash') return (await client.hvals(key)).reduce((sum, count) => sum + Number(count), 0)
  return Number(await client.hget(`${key}:region 1`, 'cents'))
}

async function writeByHand(
  client: Redis,
  orders: readonly Order[],
  commandOf: (order: Order) => [name: string, ...args: (string | number)[]],
): Promise<void> {
  for (let at = 0; at < orders.length; at += CHUNK) {
    const answers = await client.pipeline(orders.slice(at, at + CHUNK).map(commandOf)).exec()
    for (const [error] of answers ?? []) if (error !== null) throw error
  }
}
