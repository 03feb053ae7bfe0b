/** Every way to connect, and what is lowered on purpose: the modes stand in redis-sink.conformance.test.ts. */
import { awkwardBytes, awkwardTexts, sinkConformance, type Skip } from '@sluice/testkit'
import { describeWithServices } from '@sluice/services'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, describe, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import type { RedisPlace, RedisSinkOptions } from './redis-sink.config.js'
import { cases, item, targetOf, type Item, type ModeCase, type Reader } from './testing/targets.js'

const awkward = [
  ...awkwardTexts.map((text) => item(text)),
  ...awkwardBytes.map((bytes, index) => item(`bytes ${String(index)}`, bytes)),
]
const order: Skip = {
  test: 'the records of a partition keep their order',
  reason: 'keys, fields and members have none',
}

function conformance(
  name: string,
  mode: ModeCase,
  place: RedisPlace,
  reader: Reader,
  more: Partial<RedisSinkOptions<Item>> = {},
): void {
  sinkConformance({
    ...{ describe, test, deadlineMs: 120_000 },
    name: `redisSink, ${name}`,
    open: () => targetOf(mode, place, reader, more),
    record: (index) => item(`item ${String(index)}`),
    awkward,
    refused: mode.refused,
    broken: () => redisSink({ url: 'redis://127.0.0.1:1', ...mode.write('nowhere') }),
    manyRecords: 2_000,
    skip: mode.isOrdered ? [] : [order],
  })
}

const { set, hash, list, increment, stream, sortedSet } = cases as Readonly<
  Record<'set' | 'hash' | 'list' | 'increment' | 'stream' | 'sortedSet', ModeCase>
>

await describeWithServices({ describe, test }, ['redis'], 'redisSink by any client', ({ redis: { url } }) => {
  const reader = new Redis(url)
  const given = new Redis(url)
  afterAll(() => {
    for (const client of [reader, given]) client.disconnect()
  })
  conformance('RESP2', hash, { url, options: { protocol: 2 } }, reader)
  // What is not said to be of RESP2 is of RESP3.
  conformance('given ioredis', list, { client: given }, reader)
  conformance('given node-redis of RESP2', hash, { client: createClient({ url, RESP: 2 }) }, reader)
  conformance('given node-redis of RESP3', sortedSet, { client: createClient({ url, RESP: 3 }) }, reader)
  conformance('without a ledger', list, { url }, reader, { ledger: false })
})

await describeWithServices({ describe, test }, ['redis-tls'], 'redisSink over TLS', ({ 'redis-tls': tls }) => {
  const { url, ca, username, password } = tls
  const options = { username, password, tls: { ca } }
  const reader = new Redis(url, options)
  afterAll(() => {
    reader.disconnect()
  })
  conformance('TLS and password', hash, { url, options }, reader)
})

await describeWithServices(
  { describe, test },
  ['redis-cluster'],
  'redisSink in a cluster',
  ({ 'redis-cluster': cluster }) => {
    const nodes = cluster.nodes.split(',')
    const addresses = nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))
    const resp2 = { redisOptions: { protocol: 2 } } as const
    const reader = new Cluster(addresses)
    const given = new Cluster(addresses)
    const nodeRedis = createCluster({ rootNodes: nodes.map((node) => ({ url: `redis://${node}` })) })
    afterAll(() => {
      reader.disconnect()
      given.disconnect()
    })
    conformance('cluster, keys in many slots', set, { cluster: nodes }, reader)
    conformance('cluster, RESP2, hashes in many slots', hash, { cluster: nodes, options: resp2 }, reader)
    for (const [name, mode] of Object.entries({ list, sortedSet }))
      conformance(`cluster, one key, ${name}`, mode, { cluster: nodes }, reader)
    conformance('cluster, given ioredis', increment, { client: given }, reader)
    conformance('cluster, given node-redis, keys in many slots', set, { client: nodeRedis }, reader)
  },
)

await describeWithServices(
  { describe, test },
  ['redis-sentinel'],
  'redisSink with sentinels',
  ({ 'redis-sentinel': found }) => {
    const sentinels = found.sentinels.split(',')
    const addresses = sentinels.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))
    const reader = new Redis({ sentinels: addresses, name: found.master })
    afterAll(() => {
      reader.disconnect()
    })
    const { master } = found
    for (const [name, mode] of Object.entries({ hash, increment, sortedSet }))
      conformance(`sentinels, and a replica that is waited for, ${name}`, mode, { sentinels, master }, reader)
    conformance('sentinels, RESP2', list, { sentinels, master, options: { protocol: 2 } }, reader)
    conformance('sentinels, given ioredis', stream, { client: reader }, reader)
  },
)
