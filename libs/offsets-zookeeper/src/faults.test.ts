/** Answers that are lost, servers that are silent or away, sessions that end. */
import { askZooKeeper, describeWithInstalled, describeWithServices, startProxy, startService } from '@sluice/services'
import type { OffsetStore } from '@sluice/core'
import { afterAll, describe, expect, test } from 'vitest'
import { newGroup, openStore, patiently, Plain, until } from './testing/plain.js'

const IMPATIENT_MS = 500

await describeWithServices({ describe, test }, ['zookeeper'], 'on a bad network', ({ zookeeper: { url } }) => {
  const plain = new Plain(url)
  afterAll(() => {
    plain.close()
  })

  interface Stage {
    readonly proxy: Awaited<ReturnType<typeof startProxy>>
    readonly store: OffsetStore
    readonly path: string
    readonly group: string
  }

  /** A store behind a proxy. */
  async function behindProxy(callTimeoutMs: number, body: (stage: Stage) => Promise<void>): Promise<void> {
    const proxy = await startProxy({ target: url })
    const group = newGroup()
    const store = await patiently(() => openStore({ connect: proxy.address, group, callTimeoutMs }))
    try {
      await patiently(() => store.load('s'))
      await body({ proxy, store, group, path: `/consumers/${group}/offsets/orders/0` })
    } finally {
      await store.close?.()
      await proxy.stop()
    }
  }

  describe.each([
    ['a new node', undefined],
    ['a node that was there', '5'],
  ])('%s', (_, first) => {
    const version = first === undefined ? 0 : 1
    const begin = async (store: OffsetStore) => {
      // Its parents are there, so that the next request is the write.
      const offsets = { 'orders-1': '0', ...(first === undefined ? {} : { 'orders-0': first }) }
      await patiently(() => store.store('s', offsets))
    }

    test.each(['up', 'down'] as const)(
      'E9: a connection that is cut on its way %s: written once',
      async (direction) => {
        await behindProxy(30_000, async ({ proxy, store, path }) => {
          await begin(store)
          proxy.cutAfter(0, direction)
          await store.store('s', { 'orders-0': '6' })
          expect(await plain.get(path)).toEqual({ data: '6', version })
          await store.store('s', { 'orders-0': '7' })
          expect(await plain.get(path)).toEqual({ data: '7', version: version + 1 })
        })
      },
    )

    test.each(['up', 'down'] as const)('E9: an answer that never comes, lost on its way %s', async (direction) => {
      await behindProxy(IMPATIENT_MS, async ({ proxy, store, path }) => {
        await begin(store)
        proxy.dropAfter(0, direction)
        for (const offset of ['6', '7'])
          await expect(store.store('s', { 'orders-0': offset })).rejects.toMatchObject({
            code: 'TIMEOUT',
            retryable: true,
            message: expect.stringContaining(`no answer from ${proxy.address} within 500 ms; `) as string,
          })
        proxy.passAgain()
        // What may have been written is found, and recognised.
        await patiently(() => store.store('s', { 'orders-0': '8', 'orders-1': '1' }))
        expect(await plain.get(path)).toMatchObject({ data: '8' })
        expect(await patiently(() => store.load('s'))).toEqual({ 'orders-0': '8', 'orders-1': '1' })
      })
    })

    test('E9: somebody else’s write in place of the lost one is told, and kept', async () => {
      await behindProxy(IMPATIENT_MS, async ({ proxy, store, path }) => {
        await begin(store)
        proxy.dropAfter(0, 'up')
        await expect(store.store('s', { 'orders-0': '6' })).rejects.toMatchObject({ code: 'TIMEOUT' })
        proxy.passAgain()
        await plain.set(path, '99')
        const again = patiently(() => store.store('s', { 'orders-0': '7' }))
        await expect(again).rejects.toMatchObject({ code: 'FENCED' })
        expect(await plain.get(path)).toMatchObject({ data: '99' })
      })
    })
  })

  test('a connection that breaks while nothing goes on is made again', async () => {
    await behindProxy(30_000, async ({ proxy, store }) => {
      for (const offset of ['1', '2', '3']) {
        await store.store('s', { 'orders-0': offset })
        proxy.cut()
      }
      expect(await store.load('s')).toEqual({ 'orders-0': '3' })
    })
  })

  test('nothing connects any more when it is closed, also while it could not', async () => {
    const proxy = await startProxy({ target: url })
    const store = await patiently(() => openStore({ connect: proxy.address, callTimeoutMs: IMPATIENT_MS }))
    proxy.refuse()
    proxy.cut()
    await expect(store.load('s')).rejects.toMatchObject({ code: 'CONNECTION_FAILED' })
    const under = store.load('s')
    const outcome = expect(under).rejects.toMatchObject({ code: 'STOPPED' })
    await store.close?.()
    await outcome
    // Long enough for many tries: another store gives up meanwhile.
    const tryInVain = () =>
      expect(openStore({ connect: '127.0.0.1:1', callTimeoutMs: IMPATIENT_MS })).rejects.toMatchObject({
        code: 'CONNECTION_FAILED',
      })
    await tryInVain()
    const { accepted } = proxy
    await tryInVain()
    expect(proxy.accepted).toBe(accepted)
    expect(proxy.connections).toBe(0)
    await proxy.stop()
  })

  test('an abort ends what is under way, with its reason', async () => {
    const proxy = await startProxy({ target: url })
    const ended = new AbortController()
    const store = await openStore({ connect: proxy.address, callTimeoutMs: 600_000 }, ended)
    proxy.pause()
    const outcome = expect(store.load('s')).rejects.toThrow('stopped by the test')
    ended.abort(new Error('stopped by the test'))
    await outcome
    await store.close?.()
    await proxy.stop()
  })

  test('a client of one’s own that was closed is told', async () => {
    const own = new Plain(url)
    const store = await patiently(() => openStore({ client: own.client, callTimeoutMs: IMPATIENT_MS }))
    own.close()
    await expect(store.load('s')).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/no connection to the client given .*start again with a new client/) as string,
    })
    await store.close?.()
  })
})

await describeWithInstalled({ describe, test }, ['zookeeper'], 'a server of its own', () => {
  async function withServer(
    body: (server: { url: string; process: Awaited<ReturnType<typeof startService>>['processes'][0] }) => Promise<void>,
  ): Promise<void> {
    const own = await startService('zookeeper')
    try {
      await body({ url: own.values.url, process: own.processes[0]! })
    } finally {
      await own.stop()
    }
  }

  test('killed and started again: what was stored is there, and versions hold', async () => {
    await withServer(async ({ url, process }) => {
      const store = await openStore({ connect: url, group: 'g', callTimeoutMs: 30_000 })
      const impatient = await patiently(() => openStore({ connect: url, group: 'other', callTimeoutMs: IMPATIENT_MS }))
      await store.load('s')
      await store.store('s', { 'orders-0': '1' })
      await process.kill()
      await expect(impatient.store('s', { 'orders-0': '1' })).rejects.toMatchObject({ code: 'CONNECTION_FAILED' })
      const waiting = store.store('s', { 'orders-0': '2' })
      await process.restart()
      await waiting
      await patiently(() => impatient.store('s', { 'orders-0': '2' }))
      await store.store('s', { 'orders-0': '3' })
      expect(await store.load('s')).toEqual({ 'orders-0': '3' })
      expect(await patiently(() => impatient.load('s'))).toEqual({ 'orders-0': '2' })
      for (const each of [store, impatient]) await each.close?.()
    })
  }, 120_000)

  test('frozen: calls end in time, nothing is lost, and a store can be closed', async () => {
    await withServer(async ({ url, process }) => {
      const store = await patiently(() => openStore({ connect: url, group: 'g', callTimeoutMs: IMPATIENT_MS }))
      const idle = await openStore({ connect: url, group: 'idle' })
      await patiently(() => store.load('s'))
      await patiently(() => store.store('s', { 'orders-0': '1' }))
      await process.pause()
      for (const offset of ['2', '3'])
        await expect(store.store('s', { 'orders-0': offset })).rejects.toMatchObject({ code: 'TIMEOUT' })
      await idle.close?.()
      await process.resume()
      // Those that were lost may be done only now.
      await patiently(() => store.store('s', { 'orders-0': '4' }))
      expect(await patiently(() => store.load('s'))).toEqual({ 'orders-0': '4' })
      await store.close?.()
    })
  }, 120_000)

  test('that has ended the session: a new one goes on with the same versions', async () => {
    await withServer(async ({ url }) => {
      const proxy = await startProxy({ target: url })
      const store = await openStore({ connect: proxy.address, group: 'g', sessionTimeoutMs: 1_000 })
      await store.load('s')
      await store.store('s', { 'orders-0': '1' })
      proxy.pause()
      // The one that asks is one itself.
      const isAlone = async () => /Connections: 1\b/.test(await askZooKeeper(Number(url.split(':')[1]), 'srvr'))
      await until(isAlone, 'the session is expired')
      proxy.resume()
      await store.store('s', { 'orders-0': '2' })
      expect(await store.load('s')).toEqual({ 'orders-0': '2' })
      await store.close?.()
      await proxy.stop()
    })
  }, 120_000)
})
