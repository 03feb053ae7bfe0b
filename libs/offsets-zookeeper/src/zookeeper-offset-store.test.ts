/** On a real server: what is stored, where it lies, and who may. */
import { randomBytes } from 'node:crypto'
import { describeWithServices } from '@sluice/services'
import { offsetStoreConformance } from '@sluice/testkit'
import { afterAll, describe, expect, test } from 'vitest'
import { newGroup, openStore, Plain } from './testing/plain.js'
import { zookeeperOffsetStore } from './zookeeper-offset-store.js'

const ONE_STREAM = 'nodes know group, topic and partition only: a group is for one stream'

await describeWithServices({ describe, test }, ['zookeeper'], 'zookeeperOffsetStore', ({ zookeeper: { url } }) => {
  const plain = new Plain(url)
  afterAll(() => {
    plain.close()
  })
  const pathOf = (group: string, topic: string, partition: number): string =>
    `/consumers/${group}/offsets/${topic}/${String(partition)}`

  for (const [name, place] of [
    ['an address', { connect: url }],
    ['a client given', { client: plain.client }],
  ] as const)
    offsetStoreConformance({
      describe,
      test,
      name: `zookeeperOffsetStore, ${name}`,
      open: () => ({ store: zookeeperOffsetStore(place), reopen: () => zookeeperOffsetStore(place) }),
      broken: () => zookeeperOffsetStore({ connect: '127.0.0.1:1', callTimeoutMs: 500 }),
      skip: [
        { test: 'offsets may be any text', reason: 'the layout is that of Kafka, whose offsets are numbers' },
        { test: 'streams and partitions may have any names', reason: 'Kafka says what topics may be called' },
        { test: 'streams are kept apart', reason: ONE_STREAM },
        { test: 'applications are kept apart', reason: `${ONE_STREAM}; a group with a slash is refused` },
      ],
    })

  test('offsets are decimal numbers at the very paths of old consumers, of the application by default', async () => {
    const group = newGroup()
    const store = await openStore({ connect: url, group })
    await store.store('s', { 'web-orders-0': '5', 'web-orders-11': '9007199254740993', 'web-1': '0' })
    expect(await plain.get(pathOf(group, 'web-orders', 0))).toEqual({ data: '5', version: 0 })
    expect(await plain.get(pathOf(group, 'web-orders', 11))).toEqual({ data: '9007199254740993', version: 0 })
    expect(await plain.get(pathOf(group, 'web', 1))).toEqual({ data: '0', version: 0 })
    await store.close?.()
    const byName = await openStore({ connect: url })
    await byName.load('s')
    await byName.store('s', { [`${group}-0`]: '1' })
    expect(await plain.get(pathOf('app', group, 0))).toEqual({ data: '1', version: 0 })
    await byName.close?.()
  })

  test('what other tools have put there is read, and gone on with', async () => {
    const group = newGroup()
    await plain.set(pathOf(group, 'orders', 3), '42')
    // What consumers of old keep beside.
    await plain.set(`/consumers/${group}/owners/orders/3`, 'a consumer')
    await plain.set(`/consumers/${group}/offsets/orders/lock`, 'no partition')
    const store = await openStore({ connect: url, group })
    expect(await store.load('s')).toEqual({ 'orders-3': '42' })
    await store.store('s', { 'orders-3': '43', 'orders-4': '1' })
    expect(await plain.get(pathOf(group, 'orders', 3))).toMatchObject({ data: '43' })
    expect(await store.load('s')).toEqual({ 'orders-3': '43', 'orders-4': '1' })
    await store.close?.()
  })

  test.each(['', 'abc', '-1', '7\n', '9223372036854775808'])('%j is no offset: told by its path', async (data) => {
    const group = newGroup()
    await plain.set(pathOf(group, 'orders', 0), data)
    const store = await openStore({ connect: url, group })
    await expect(store.load('s')).rejects.toMatchObject({
      code: 'DATA_CORRUPT',
      message: expect.stringContaining(`${pathOf(group, 'orders', 0)} says '${data}', which is no offset; `) as string,
    })
    await store.close?.()
  })

  test.each<[string, Record<string, string>, string]>([
    ['partitions that are not Kafka’s', { 'folder/file': '7' }, `'folder/file' is no partition of a Kafka topic`],
    ['offsets that are not Kafka’s', { 'orders-0': '{"line":3}' }, `'{"line":3}' of orders-0 is no offset of Kafka`],
  ])('%s are refused, and nothing is stored', async (_, wrong, message) => {
    const group = newGroup()
    const store = await openStore({ connect: url, group })
    await expect(store.store('s', { 'orders-1': '1', ...wrong })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining(message) as string,
    })
    expect(await plain.get(`/consumers/${group}`)).toBeUndefined()
    await store.close?.()
  })

  describe('FENCED', () => {
    const fenced = (message: string) => ({ code: 'FENCED', message: expect.stringContaining(message) as string })

    test('an older run overwrites nothing, not even a node of version 0, and none of the others', async () => {
      const group = newGroup()
      const [old, young] = [await openStore({ connect: url, group }), await openStore({ connect: url, group })]
      await old.load('s')
      await old.store('s', { 'orders-0': '1', 'orders-1': '1' })
      await young.load('s')
      await young.store('s', { 'orders-0': '2' })
      await expect(old.store('s', { 'orders-1': '3', 'orders-0': '3', 'orders-2': '3' })).rejects.toMatchObject(
        fenced(`${pathOf(group, 'orders', 0)} says '2', which this run has not stored; `),
      )
      expect(await plain.get(pathOf(group, 'orders', 0))).toEqual({ data: '2', version: 1 })
      expect(await plain.get(pathOf(group, 'orders', 1))).toEqual({ data: '1', version: 0 })
      expect(await plain.get(pathOf(group, 'orders', 2))).toBeUndefined()
      for (const store of [old, young]) await store.close?.()
    })

    test('two runs that store the same are told apart', async () => {
      const group = newGroup()
      const [one, other] = [await openStore({ connect: url, group }), await openStore({ connect: url, group })]
      for (const store of [one, other]) await store.load('s')
      await one.store('s', { 'orders-0': '1' })
      await expect(other.store('s', { 'orders-0': '1' })).rejects.toMatchObject({ code: 'FENCED' })
      expect(await plain.get(pathOf(group, 'orders', 0))).toEqual({ data: '1', version: 0 })
      for (const store of [one, other]) await store.close?.()
    })

    test('a node that was deleted, to begin anew, is not made again', async () => {
      const group = newGroup()
      const store = await openStore({ connect: url, group })
      await store.load('s')
      await store.store('s', { 'orders-0': '1' })
      await plain.remove(pathOf(group, 'orders', 0))
      await expect(store.store('s', { 'orders-0': '2' })).rejects.toMatchObject(fenced('was deleted after this run'))
      expect(await plain.get(pathOf(group, 'orders', 0))).toBeUndefined()
      await store.close?.()
    })

    test('a node that was set by hand, to go back, is not overwritten', async () => {
      const group = newGroup()
      const store = await openStore({ connect: url, group })
      await store.load('s')
      await store.store('s', { 'orders-0': '9' })
      await plain.set(pathOf(group, 'orders', 0), '3')
      await expect(store.store('s', { 'orders-0': '10' })).rejects.toMatchObject(fenced(`says '3'`))
      await store.close?.()
      const again = await openStore({ connect: url, group })
      expect(await again.load('s')).toEqual({ 'orders-0': '3' })
      await again.store('s', { 'orders-0': '4' })
      await again.close?.()
    })
  })

  test('runs that begin a group at the same time make its nodes together', async () => {
    const group = newGroup()
    const stores = await Promise.all(['a', 'b', 'c', 'd'].map(() => openStore({ connect: url, group })))
    await Promise.all(stores.map((store, i) => store.store('s', { [`topic-${String(i)}-0`]: String(i) })))
    const reader = await openStore({ connect: url, group })
    expect(await reader.load('s')).toEqual({ 'topic-0-0': '0', 'topic-1-0': '1', 'topic-2-0': '2', 'topic-3-0': '3' })
    for (const store of [...stores, reader]) await store.close?.()
  })

  test('thousands of partitions, more than a server takes at once', async () => {
    const group = `${newGroup()}-${'x'.repeat(100)}`
    const names = Array.from({ length: 5_000 }, (_, i) => `orders-${String(i)}`)
    const store = await openStore({ connect: url, group, callTimeoutMs: 60_000 })
    for (const round of ['1', '9007199254740993']) {
      const offsets = Object.fromEntries(names.map((name) => [name, round]))
      await store.store('s', offsets)
      expect(await store.load('s')).toEqual(offsets)
    }
    await store.close?.()
  }, 90_000)

  describe('a folder as the root', () => {
    test('holds all', async () => {
      const group = newGroup()
      await plain.set(`/kafka-${group}/cluster`, '')
      const store = await openStore({ connect: `${url}/kafka-${group}/cluster`, group })
      await store.store('s', { 'orders-0': '5' })
      await store.store('s', { 'orders-0': '6' })
      expect(await store.load('s')).toEqual({ 'orders-0': '6' })
      const path = `/kafka-${group}/cluster${pathOf(group, 'orders', 0)}`
      expect(await plain.get(path)).toEqual({ data: '6', version: 1 })
      await store.close?.()
    })

    test('that is not there is told, not made', async () => {
      const group = newGroup()
      await expect(openStore({ connect: `${url}/no-${group}`, group })).rejects.toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringContaining(`the folder of '${url}/no-${group}' is not there; `) as string,
      })
      expect(await plain.get(`/no-${group}`)).toBeUndefined()
    })
  })

  test('with acl creator others read, and cannot write', async () => {
    const group = newGroup()
    const auth = { user: 'sluice', password: randomBytes(8).toString('hex') }
    const store = await openStore({ connect: url, group, auth, acl: 'creator' })
    await store.load('s')
    await store.store('s', { 'orders-0': '1' })
    expect(await plain.get(pathOf(group, 'orders', 0))).toEqual({ data: '1', version: 0 })
    for (const other of [undefined, { ...auth, password: 'wrong' }]) {
      const stranger = await openStore({ connect: url, group, auth: other })
      expect(await stranger.load('s')).toEqual({ 'orders-0': '1' })
      for (const partition of ['orders-0', 'orders-1', 'others-0'])
        await expect(stranger.store('s', { [partition]: '2' })).rejects.toMatchObject({
          code: 'CONNECTION_FAILED',
          message: expect.stringMatching(/^(?!.*wrong).*this user.*\/consumers\/.*; see to `auth`/) as string,
        })
      await stranger.close?.()
    }
    await store.store('s', { 'orders-0': '2', 'orders-1': '1', 'others-0': '1' })
    await store.close?.()
  })

  test('a client of one’s own is used, and stays open', async () => {
    const own = new Plain(url)
    const group = newGroup()
    const store = await openStore({ client: own.client, group })
    await store.store('s', { 'orders-0': '1' })
    await store.close?.()
    await expect(store.load('s')).rejects.toMatchObject({ code: 'STOPPED' })
    expect(await own.get(pathOf(group, 'orders', 0))).toEqual({ data: '1', version: 0 })
    own.close()
  })
})
