/** Several servers of Redis that belong together: `redis-cluster`, three masters; `redis-sentinel`, one master and its replica. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts } from '../ports.js'
import type { Launch } from '../server-process.js'
import type { ServiceModule, StartContext } from '../service.js'
import { run } from '../kafka/java.js'
import { requireAddresses } from '../kafka/kafka.js'
import { fetchRedis, redisMissing } from './install.js'
import { answers, expectAnswer, redisLaunch, type RedisOptions } from './server.js'

const MASTERS = 3
const NODE_TIMEOUT_MS = 2_000

export const redisClusterService: ServiceModule<{ nodes: string }, RedisOptions> = {
  name: 'redis-cluster',
  summary: 'Redis Cluster, three masters',
  environmentVariable: 'SLUICE_REDIS_CLUSTER',
  fromEnvironment: (nodes) => ({ nodes: requireAddresses(nodes) }),
  missing: redisMissing,
  fetch: fetchRedis,
  async start(context, { settings = {} }) {
    const ports = await freePorts(2 * MASTERS)
    const nodes = ports.slice(0, MASTERS)
    const launched = []
    for (const [i, port] of nodes.entries()) {
      const own = {
        'cluster-enabled': 'yes',
        'cluster-config-file': 'nodes.conf',
        'cluster-node-timeout': String(NODE_TIMEOUT_MS),
        'cluster-port': String(ports[MASTERS + i]),
      }
      const server = { name: `node-${String(i + 1)}`, port, settings: { ...own, ...settings } }
      launched.push(await context.launch(await redisLaunch(context, server)))
    }
    await Promise.all(launched.map((node) => node.ready()))
    const addresses = nodes.map((port) => `127.0.0.1:${String(port)}`)
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes'])
    await Promise.all(nodes.map((port) => until(() => expectAnswer(port, ['CLUSTER', 'INFO'], /cluster_state:ok/))))
    return { nodes: addresses.join(',') }
  },
}

const MASTER = 'sluice'
const SENTINELS = 3
const DOWN_AFTER_MS = 1_000

export const redisSentinelService: ServiceModule<{ sentinels: string; master: string }, RedisOptions> = {
  name: 'redis-sentinel',
  summary: 'Redis, a master and its replica, and three sentinels',
  environmentVariable: 'SLUICE_REDIS_SENTINEL',
  fromEnvironment: (text) => {
    const [master = '', addresses = ''] = text.split('@')
    if (master === '') throw new Error(`'${text}' is not of the form master@host:port,host:port`)
    return { master, sentinels: requireAddresses(addresses) }
  },
  missing: redisMissing,
  fetch: fetchRedis,
  start: startSentinel,
}

/** Its processes: master, replica, and the sentinels. */
async function startSentinel(context: StartContext, { settings = {} }: Partial<RedisOptions>) {
  const [master, replica, ...sentinels] = (await freePorts(2 + SENTINELS)) as [number, number, ...number[]]
  const replicaOf = { replicaof: `127.0.0.1 ${String(master)}`, ...settings }
  const servers = [
    await context.launch(await redisLaunch(context, { name: 'master', port: master, settings })),
    await context.launch(await redisLaunch(context, { name: 'replica', port: replica, settings: replicaOf })),
  ]
  await Promise.all(servers.map((server) => server.ready()))
  await until(() => expectAnswer(replica, ['INFO', 'replication'], /master_link_status:up/))
  const watchers = []
  for (const port of sentinels) watchers.push(await context.launch(await sentinelLaunch(context, port, master)))
  await Promise.all(watchers.map((watcher) => watcher.ready()))
  const knowsAll = new RegExp(`slaves=1,sentinels=${String(SENTINELS)}`)
  await Promise.all(sentinels.map((port) => until(() => expectAnswer(port, ['INFO', 'sentinel'], knowsAll))))
  return { master: MASTER, sentinels: sentinels.map((port) => `127.0.0.1:${String(port)}`).join(',') }
}

/** A sentinel writes down what it learns in its own settings file, and goes on from there when it is started again. */
async function sentinelLaunch({ folder, logs }: StartContext, port: number, master: number): Promise<Launch> {
  const name = `sentinel-${String(port)}`
  const file = join(folder, `${name}.conf`)
  const lines = [
    `port ${String(port)}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${MASTER} 127.0.0.1 ${String(master)} 2`,
    `sentinel down-after-milliseconds ${MASTER} ${String(DOWN_AFTER_MS)}`,
    `sentinel failover-timeout ${MASTER} 5000`,
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const args = [file, '--sentinel']
  return { name, command: 'redis-server', args, log: join(logs, `${name}.log`), probe: () => answers(port) }
}

const LOOKS = 600
const LOOK_MS = 50

async function until(check: () => Promise<void>): Promise<void> {
  for (let look = 1; ; look++) {
    try {
      await check()
      return
    } catch (error) {
      if (look === LOOKS) throw error
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }
}
