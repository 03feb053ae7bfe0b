/** Logging in, what a user may do, whose connections they are, and that no password is seen anywhere. */
import { SinkDrive } from '@sluice/testkit'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { inspect } from 'node:util'
import type { Logger, Sink } from '@sluice/core'
import { describeWithInstalled, describeWithServices, startProxy, startService } from '@sluice/services'
import { Cluster, Redis } from 'ioredis'
import { createClient, createSentinel } from 'redis'
import { afterAll, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import type { RedisPlace } from './redis-sink.config.js'

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )
const listSink = (place: RedisPlace, key: string, callTimeoutMs = 5_000): Sink<string> =>
  redisSink<string>({ ...place, mode: 'list', key, callTimeoutMs })

let names = 0
const newName = (): string => `access-${String(process.pid)}-${String(++names)}`

function recordingLogger(): Logger & { readonly lines: unknown[] } {
  const lines: unknown[] = []
  const log = (...line: unknown[]): void => void lines.push(line)
  return { lines, debug: log, info: log, warn: log, error: log }
}

await describeWithServices({ describe, test }, ['redis'], 'redisSink and its users', ({ redis: { url, address } }) => {
  const admin = new Redis(url)
  const own = `access-${String(process.pid)}`
  afterAll(async () => {
    await admin.acl('DELUSER', own)
    admin.disconnect()
  })
  const LEDGER = '~sluice:ledger:*'
  const may = async (...rules: string[]): Promise<RedisPlace> => {
    await admin.acl('SETUSER', own, 'reset', 'on', '>pass', ...rules)
    return { url, options: { username: own, password: 'pass' } }
  }

  test.each([
    [
      'a command',
      ['+@all', '-rpush', '~*'],
      { key: 'orders' },
      /may not run RPUSH on the key orders; allow it with ACL/,
    ],
    ['the key', ['+@all', LEDGER], { key: 'orders' }, /may not run TYPE, RPUSH on the key orders;/],
    ['a command, of keys by record', ['+@all', '-rpush', '~*'], { key: (word: string) => word }, /may not run RPUSH;/],
    ['what follows', ['+@all', '-pexpire', '~*'], { key: 'orders', expire: 1_000 }, /may not run PEXPIRE on the key/],
    ['the channel', ['+@all', '~*', '&other'], { key: 'news', mode: 'publish' }, /PUBLISH on the channel news/],
    ['the ledger', ['+@all', '~orders'], { key: 'orders' }, /refuses this user: NOPERM/],
    ['anything', ['~*'], { key: 'orders' }, /refuses this user: NOPERM/],
  ])('a user who may not use %s is refused at the start, with the remedy', async (_, rules, options, message) => {
    const sink = redisSink<string>({ ...(await may(...rules)), mode: 'list', ...options } as never)
    expect(await errorOf(new SinkDrive().open(sink))).toMatchObject({
      code: 'CONNECTION_FAILED',
      retryable: false,
      message: expect.stringMatching(message) as string,
    })
    await sink.close?.()
  })

  test('a user who may do only what is needed is enough, and CONFIG that may not be read is named', async () => {
    const place = await may('+@all', '-config', LEDGER, `~${own}:*`)
    const drive = new SinkDrive()
    const sink = listSink(place, `${own}:list`)
    const logger = recordingLogger()
    await drive.open(sink, { logger })
    await drive.write(sink, ['a'])
    expect(inspect(logger.lines)).toMatch(/appendfsync is not to be read \(CONFIG is refused\)/)
    expect(await admin.lrange(`${own}:list`, 0, -1)).toEqual(['a'])
    await sink.close?.()
  })

  test('a given client is never closed, neither by a time-out nor by the end', async () => {
    const proxy = await startProxy({ target: address })
    const ioredis = new Redis(`redis://${proxy.address}`)
    const nodeRedis = await createClient({ url: `redis://${proxy.address}` }).connect()
    for (const [name, client] of Object.entries({ ioredis, nodeRedis })) {
      const [drive, key] = [new SinkDrive(), `${own}:${name}`]
      const sink = listSink({ client }, key, 200)
      await drive.open(sink)
      proxy.pause()
      expect(await errorOf(drive.write(sink, ['a']))).toMatchObject({ code: 'TIMEOUT' })
      proxy.resume()
      await drive.write(sink, ['a'], { id: { attempt: 1 } })
      await sink.close?.()
      expect(await (client as Redis).ping()).toBe('PONG')
      expect(await admin.lrange(key, 0, -1)).toEqual(['a'])
    }
    expect(ioredis.status).toBe('ready')
    ioredis.disconnect()
    nodeRedis.destroy()
    await proxy.stop()
  })

  test('the key prefix of a given client of node-redis is used', async () => {
    const client = await createClient({ url, keyPrefix: `${own}:prefix:` }).connect()
    const [drive, sink] = [new SinkDrive(), redisSink<string>({ client, mode: 'list', key: 'list' })]
    await drive.open(sink)
    await drive.write(sink, ['a'])
    await sink.close?.()
    expect(await client.lRange('list', 0, -1)).toEqual(['a'])
    client.destroy()
  })

  test('connections that have died while nobody used them do not each cost a try', async () => {
    const proxy = await startProxy({ target: address })
    const [drive, sink] = [new SinkDrive(), listSink({ url: `redis://${proxy.address}` }, `${own}:idle`)]
    await drive.open(sink)
    const partitions = 5
    const ids = Array.from({ length: partitions }, (_, partition) => ({ partition, partitions }))
    await Promise.all(ids.map((id) => drive.write(sink, ['a'], { id })))
    expect(proxy.connections).toBe(partitions)
    proxy.cut()
    let failures = 0
    for (const id of ids) {
      const write = (attempt: number) => drive.write(sink, ['a'], { id: { ...id, batchTime: 2_000, attempt } })
      while ((await errorOf(write(failures))) !== undefined) failures++
    }
    expect(failures).toBeLessThan(partitions)
    expect(await admin.llen(`${own}:idle`)).toBe(2 * partitions)
    await sink.close?.()
    await proxy.stop()
  })
})

describe('a server that takes connections and says nothing', () => {
  const silentPlaces: Readonly<Record<string, (port: number) => RedisPlace>> = {
    'one server': (port) => ({ url: `redis://127.0.0.1:${String(port)}` }),
    'a cluster': (port) => ({ cluster: [`127.0.0.1:${String(port)}`] }),
    sentinels: (port) => ({ sentinels: [`127.0.0.1:${String(port)}`], master: 'm' }),
    'a given client of ioredis': (port) => ({ client: new Redis({ port, lazyConnect: true }) }),
    'a given client of node-redis': (port) => ({ client: createClient({ url: `redis://127.0.0.1:${String(port)}` }) }),
  }
  test.each(Object.keys(silentPlaces))(
    'start ends within the time-out, and no connection is left: %s',
    async (name) => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket.resume())
        socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const place = silentPlaces[name]?.((server.address() as AddressInfo).port)
      const sink = listSink(place as RedisPlace, 'k', 200)
      const error = await errorOf(new SinkDrive().open(sink))
      expect(error).toMatchObject({
        code: expect.stringMatching(/^(TIMEOUT|CONNECTION_FAILED)$/) as string,
        retryable: true,
      })
      await sink.close?.()
      await expect.poll(() => sockets.size, { timeout: 20_000 }).toBe(0)
      server.close()
    },
  )
})

await describeWithServices(
  { describe, test },
  ['redis-cluster', 'redis-sentinel'],
  'redisSink and given clients of several servers',
  (found) => {
    const addressesOf = (nodes: string) =>
      nodes.split(',').map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))

    test('a cluster stays connected when the sink is closed', async () => {
      const client = new Cluster(addressesOf(found['redis-cluster'].nodes))
      const [drive, sink] = [new SinkDrive(), listSink({ client }, `${newName()}:list`)]
      await drive.open(sink)
      await drive.write(sink, ['a'])
      await sink.close?.()
      expect(client.status).toBe('ready')
      expect(await client.ping()).toBe('PONG')
      client.disconnect()
    })

    test('sentinels by node-redis: the batch is there once, and the client stays connected', async () => {
      const { sentinels, master } = found['redis-sentinel']
      const client = createSentinel({ name: master, sentinelRootNodes: addressesOf(sentinels), keyPrefix: 'prefix:' })
      client.on('error', () => undefined)
      await client.connect()
      const [drive, key] = [new SinkDrive(), `${newName()}:list`]
      const sink = listSink({ client }, key)
      await drive.open(sink)
      for (let attempt = 0; attempt < 2; attempt++) await drive.write(sink, ['a', 'b'], { id: { attempt } })
      await sink.close?.()
      expect(await client.lRange(key, 0, -1)).toEqual(['a', 'b'])
      void client.destroy()
    })
  },
)

await describeWithInstalled({ describe, test }, ['redis-tls'], 'redisSink and passwords', () => {
  test('a password is in no error, log, target or ledger, by whatever client', async () => {
    const server = await startService('redis-tls')
    const { url, address, ca, username, password } = server.values
    const secrets = new RegExp(`not-the-password|${password}`)
    const places = (given: string): Record<string, RedisPlace> => ({
      options: { url, options: { username, password: given, tls: { ca } } },
      url: { url: url.replace('//', `//${username}:${given}@`), options: { tls: { ca } } },
      ioredis: { client: new Redis(url, { username, password: given, tls: { ca }, lazyConnect: true }) },
      'node-redis': { client: createClient({ url, username, password: given, socket: { tls: true, ca } }) },
      cluster: { cluster: [address], options: { redisOptions: { username, password: given, tls: { ca } } } },
      sentinels: {
        sentinels: [address],
        master: 'm',
        options: {
          sentinelUsername: username,
          sentinelPassword: given,
          sentinelTLS: { ca },
          enableTLSForSentinelMode: true,
        },
      },
    })
    try {
      for (const given of ['not-the-password', password])
        for (const [name, place] of Object.entries(places(given))) {
          const [drive, logger] = [new SinkDrive(), recordingLogger()]
          const sink = listSink(place, `list-${name}`)
          const opened = await errorOf(drive.open(sink, { logger }))
          const isRight = given === password && !['cluster', 'sentinels'].includes(name)
          if (isRight) expect(opened).toBeUndefined()
          else
            expect(opened).toMatchObject({
              code: expect.stringMatching(/CONNECTION_FAILED|ARGUMENT_INVALID/) as string,
            })
          if (given !== password && name !== 'sentinels')
            expect(inspect(opened), name).toMatch(/WRONGPASS.*check user, password and ACL/)
          const written = await errorOf(drive.write(sink, ['a']))
          await server.processes[0]?.pause()
          const timedOut = await errorOf(
            drive.write(sink, ['b'], { id: { batchTime: 2_000 }, signal: AbortSignal.timeout(50) }),
          )
          await server.processes[0]?.resume()
          await sink.close?.()
          for (const each of [opened, written, timedOut, sink.target, sink.guarantee, logger.lines])
            expect(inspect(each, { depth: 10, showHidden: true }), name).not.toMatch(secrets)
        }
      const reader = new Redis(url, { username, password, tls: { ca } })
      const ledgers = await reader.keys('sluice:ledger:*')
      expect(ledgers.length).toBeGreaterThan(3)
      for (const ledger of ledgers) expect(JSON.stringify([ledger, await reader.hgetall(ledger)])).not.toMatch(secrets)
      reader.disconnect()
    } finally {
      await server.stop()
    }
  }, 60_000)
})
