import { systemClock, type OffsetStore } from '@sluice/core'
import { describeWithServices, startProxy } from '@sluice/services'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, describe, expect, test } from 'vitest'
import { redisOffsetStore } from './redis-offset-store.js'
import type { RedisPlace } from './redis-sink.config.js'
import { silent } from './testing/drive.js'

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
    await store.open?.({ appName, logger: silent, clock: systemClock, signal: new AbortController().signal })
    return store
  }

  const places: Readonly<Record<string, RedisPlace>> = {
    'one server': { url },
    'one server, given ioredis': { client: reader },
    'one server, given node-redis': { client: nodeRedis },
    'a cluster': { cluster: services['redis-cluster'].nodes.split(',') },
  }
  test.each(Object.keys(places))(
    'what was stored is loaded by the next run, others stay as they are: %s',
    async (name) => {
      const app = newApp()
      const first = await opened(app, places[name])
      expect(await first.load('orders')).toEqual({})
      await first.store('orders', { 'orders-0': '5', 'orders-1': '7' })
      await first.store('orders', { 'orders-1': '9' })
      await first.store('orders', {})
      await first.close?.()
      const second = await opened(app, places[name])
      expect(await second.load('orders')).toEqual({ 'orders-0': '5', 'orders-1': '9' })
      expect(await second.load('others')).toEqual({})
      await second.close?.()
    },
  )

  test('a run that another one has overtaken is fenced, and changes nothing', async () => {
    const app = newApp()
    const [old, next] = [await opened(app), await opened(app)]
    await old.load('orders')
    await old.store('orders', { 'orders-0': '5' })
    await next.load('orders')
    await next.store('orders', { 'orders-0': '8', 'orders-1': '1' })
    await expect(old.store('orders', { 'orders-0': '6' })).rejects.toMatchObject({
      code: 'FENCED',
      message: expect.stringMatching(/another run .* has stored offsets of orders/) as string,
    })
    await expect(old.store('orders', { 'orders-1': '2' })).rejects.toMatchObject({ code: 'FENCED' })
    expect(await next.load('orders')).toEqual({ 'orders-0': '8', 'orders-1': '1' })
    for (const store of [old, next]) await store.close?.()
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

  test('one that is not open says so', async () => {
    await expect(redisOffsetStore({ url }).load('orders')).rejects.toMatchObject({ code: 'STOPPED' })
  })
})
