import { expect, test } from 'vitest'
import { openStore } from './testing/plain.js'
import { zookeeperOffsetStore } from './zookeeper-offset-store.js'
import type { ZooKeeperOffsetStoreOptions } from './zookeeper-offset-store.config.js'

const connect = 'localhost:2181'

test.each<[string, object, RegExp]>([
  ['no place', {}, /one of `connect` and `client`/],
  ['two places', { connect, client: {} }, /one of `connect` and `client`/],
  ['a URL', { connect: 'zookeeper://localhost:2181' }, /not of the form host:port/],
  ['a folder behind each server', { connect: 'a:2181/kafka,b:2181/kafka' }, /not of the form/],
  ['a server without port', { connect: 'localhost' }, /not of the form/],
  ['a client of something else', { client: { get: () => undefined } }, /none of node-zookeeper-client/],
  ['an empty group', { connect, group: '' }, /'' cannot be the name of a group/],
  ['a group with a slash', { connect, group: 'a/b' }, /without slashes/],
  ['an unknown acl', { connect, acl: 'mine' }, /no acl 'mine'/],
  ['an acl for a creator who is nobody', { connect, acl: 'creator' }, /needs `auth`/],
  ['a user with a colon', { connect, auth: { user: 'a:b', password: 'secret' } }, /without colons/],
  ['no time for a call', { connect, callTimeoutMs: 0 }, /callTimeoutMs must be at least 1/],
  ['no time for a session', { connect, sessionTimeoutMs: NaN }, /sessionTimeoutMs must be at least 1/],
])('%s is refused', (_, options, message) => {
  expect(() => zookeeperOffsetStore(options as ZooKeeperOffsetStoreOptions)).toThrow(
    expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.stringMatching(message) as string }),
  )
})

test('a name of the application that cannot be that of a group is refused at the start', async () => {
  const store = zookeeperOffsetStore({ connect })
  const context = { appName: 'a/b', logger: console, clock: undefined as never, signal: new AbortController().signal }
  await expect(store.open?.(context)).rejects.toMatchObject({
    code: 'ARGUMENT_INVALID',
    message: expect.stringContaining('give a `group`') as string,
  })
})

test('a store that is not open says so, and where nobody listens that is told with the address', async () => {
  await expect(zookeeperOffsetStore({ connect }).load('orders')).rejects.toMatchObject({ code: 'STOPPED' })
  await expect(openStore({ connect: '127.0.0.1:1', callTimeoutMs: 500 })).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    retryable: true,
    message: expect.stringMatching(/no connection to 127\.0\.0\.1:1 within 500 ms \(.*ECONNREFUSED/) as string,
  })
})
