import type { OffsetStore } from '@sluice/core'
import { describeWithServices, startProxy } from '@sluice/services'
import { offsetStoreConformance, SinkDrive } from '@sluice/testkit'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, describe, expect, test } from 'vitest'
import { redisOffsetStore } from './redis-offset-store.js'
import type { RedisPlace } from './redis-sink.config.js'

let apps = 0

await describeWithServices({ describe, test }, ['redis', 'redis-cluster'], 'redisOffsetStore', (services) => {
  const { url, address } = services.redis
  const reader = new Redis(url)
  const nodeRedis = createClient({ url })
  afterAll(() => {
    reader.disconnect()
  })
  const newApp = (): string => `offsets-${String(process.pid)}-${String(++apps)}`
  async function opened(appName: string, place: RedisPlace = { url }): Promise<OffsetStore> {
    const store = redisOffsetStore({ ...place, callTimeoutMs: 500 })
    const { logger, clock, signal } = new SinkDrive().context()
    await store.open?.({ appName, logger, clock, signal })
    return store
  }

  const places: Readonly<Record<string, RedisPlace>> = {
    'one server': { url },
    'one server, given ioredis': { client: reader },
    'one server, given node-redis': { client: nodeRedis },
    'a cluster': { cluster: services['redis-cluster'].nodes.split(',') },
  }
  for (const [name, place] of Object.entries(places))
    offsetStoreConformance({
      describe,
      test,
      name: `redisOffsetStore, ${name}`,
      open: () => ({ store: redisOffsetStore(place), reopen: () => redisOffsetStore(place) }),
      broken: () => redisOffsetStore({ url: 'redis://127.0.0.1:1' }),
    })

  test.each(['up', 'down'] as const)('E9: an answer that is lost on its way %s fences nobody', async (direction) => {
    const app = newApp()
    const proxy = await startProxy({ target: address })
    const store = await opened(app, { url: `redis://${proxy.address}` })
    await store.load('orders')
    await store.store('orders', { 'orders-0': '5' })
    proxy.dropAfter(0, direction)
    await expect(store.store('orders', { 'orders-0': '6' })).rejects.toMatchObject({ code: 'TIMEOUT' })
    proxy.passAgain()
    await store.store('orders', { 'orders-0': '7' })
    expect(await store.load('orders')).toEqual({ 'orders-0': '7' })
    await store.close?.()
    await proxy.stop()
  })
})
