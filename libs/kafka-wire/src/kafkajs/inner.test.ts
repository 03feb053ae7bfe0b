import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import kafkajs from 'kafkajs'
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'
import { expect, it, vi } from 'vitest'
import { toSluice, typeOf } from './failures.js'
import { connectionsOf, createCluster, dropConnection, errorOfCode, mendKafkajs, retire, sendRaw } from './inner.js'
import type { Broker, ConnectionState } from './inner.js'

const clusterTo = (port: number) => {
  const options = { brokers: [`127.0.0.1:${String(port)}`], requestTimeout: 200, logLevel: kafkajs.logLevel.NOTHING }
  return createCluster(new kafkajs.Kafka(options))
}

/** Not connected to anybody yet. */
async function seedOf(cluster: ReturnType<typeof clusterTo>): Promise<Broker> {
  await (cluster.brokerPool as unknown as { createSeedBroker(): Promise<void> }).createSeedBroker()
  return (cluster.brokerPool as unknown as { readonly seedBroker: Broker }).seedBroker
}

async function connectionTo(port: number): Promise<ConnectionState> {
  return (await seedOf(clusterTo(port))).connectionPool.pool[1] as ConnectionState
}

it('finds in kafkajs the inner names that it uses', () => {
  const cluster = clusterTo(1)
  const methods = ['connect', 'disconnect', 'findBroker', 'findGroupCoordinator'] as const
  for (const name of methods) expect(cluster[name]).toBeTypeOf('function')
  expect(cluster.brokerPool.brokers).toEqual({})
  expect(cluster.brokerPool.metadata).toBeNull()
  expect(cluster.brokerPool.findConnectedBroker).toBeTypeOf('function')
  expect(cluster.brokerPool.refreshMetadata).toBeTypeOf('function')
  expect(connectionsOf(cluster)).toEqual([])
  expect(RequestQueue.prototype.scheduleCheckPendingRequests).toBeTypeOf('function')
})

it('finds in its brokers and connections what it uses', async () => {
  const broker = await seedOf(clusterTo(1))
  for (const name of [
    'isConnected',
    'connect',
    'disconnect',
    'metadata',
    'listOffsets',
    'offsetCommit',
    'offsetFetch',
  ] as const) {
    expect(broker[name]).toBeTypeOf('function')
  }
  expect(broker.connectionPool.pool).toHaveLength(2)
  for (const name of ['isConnected', 'connect', 'disconnect', 'send', 'rejectRequests'] as const) {
    expect(broker.connectionPool.pool[1]?.[name]).toBeTypeOf('function')
  }
})

it('names its errors as Kafka does', () => {
  expect(typeOf(errorOfCode(1))).toBe('OFFSET_OUT_OF_RANGE')
  expect(typeOf(errorOfCode(6))).toBe('NOT_LEADER_FOR_PARTITION')
})

it('refuses another kafkajs', () => {
  expect(() => createCluster({} as never)).toThrow('this is not kafkajs 2.2.4')
})

it('sets no timer for a queue in which nothing waits', () => {
  mendKafkajs()
  mendKafkajs()
  vi.useFakeTimers()
  const queue = Object.assign(Object.create(RequestQueue.prototype) as object, {
    pending: [] as unknown[],
    throttledUntil: -1,
    throttleCheckTimeoutId: null,
  }) as unknown as { pending: unknown[]; scheduleCheckPendingRequests(): void }
  try {
    queue.scheduleCheckPendingRequests()
    expect(vi.getTimerCount()).toBe(0)
    queue.pending.push({})
    queue.scheduleCheckPendingRequests()
    expect(vi.getTimerCount()).toBe(1)
  } finally {
    vi.useRealTimers()
  }
})

it.each([
  [new kafkajs.KafkaJSConnectionError('refused'), 'CONNECTION_FAILED', true],
  [Object.assign(new Error('wrong password'), { name: 'KafkaJSSASLAuthenticationError' }), 'CONNECTION_FAILED', false],
  [errorOfCode(58), 'CONNECTION_FAILED', false],
  [errorOfCode(6), 'BROKER_REFUSED', true],
  [errorOfCode(15), 'BROKER_REFUSED', true],
  [errorOfCode(3), 'BROKER_REFUSED', false],
  [errorOfCode(29), 'BROKER_REFUSED', false],
  [errorOfCode(47), 'FENCED', false],
  [new kafkajs.KafkaJSNumberOfRetriesExceeded(errorOfCode(6), { retryCount: 1, retryTime: 1 }), 'BROKER_REFUSED', true],
] as const)('takes %s for %s', (error, code, retryable) => {
  expect(toSluice(error, 'reading orders/3')).toMatchObject({
    code,
    retryable,
    cause: error,
    message: expect.stringMatching(/^\[kafka-wire\] reading orders\/3: .*; /) as unknown,
  })
})

it('leaves errors of Sluice as they are', () => {
  const error = toSluice(errorOfCode(47), 'writing')
  expect(toSluice(error, 'reading')).toBe(error)
})

it('forgets the begin of an answer when it connects anew, and connects once for all who ask', async () => {
  mendKafkajs()
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let accepted = 0
  server.on('connection', () => accepted++)
  const { port } = server.address() as AddressInfo
  const connection = await connectionTo(port)
  Object.assign(connection, { chunks: [Buffer.of(0, 0)], bytesBuffered: 2, bytesNeeded: 99 })
  await Promise.all([connection.connect(), connection.connect(), connection.connect()])
  expect(connection).toMatchObject({ chunks: [], bytesBuffered: 0, bytesNeeded: 4 })
  await dropConnection(connection, new Error('enough'))
  expect([accepted, connection.isConnected(), connection.broker]).toEqual([1, false, `127.0.0.1:${String(port)}`])
  server.close()
})

it('fails a request that comes while its connection ends, whenever that is', async () => {
  mendKafkajs()
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = await connectionTo((server.address() as AddressInfo).port)
  const failures: unknown[] = []
  for (let microtasks = 0; microtasks < 20; microtasks++) {
    await connection.connect()
    const request = sendRaw(connection, { key: 1, version: 11, name: 'Fetch' }, Buffer.of(0))
    const failed = request.catch((error: unknown) => error)
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    await dropConnection(connection, new Error('dropped'))
    failures.push((await failed) instanceof Error)
  }
  expect(failures).toEqual(Array.from({ length: 20 }, () => true))
  server.close()
})

it('takes nothing from a socket whose end was asked for, once there is another', async () => {
  mendKafkajs()
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = await connectionTo((server.address() as AddressInfo).port)
  await connection.connect()
  await connection.disconnect()
  await connection.connect()
  await vi.waitUntil(() => sockets.length === 2, 10_000)
  sockets[0]?.end(Buffer.of(1, 2))
  sockets[1]?.write(Buffer.of(0, 0, 1))
  await vi.waitUntil(() => connection.bytesBuffered >= 3, 10_000)
  expect(Buffer.concat(connection.chunks)).toEqual(Buffer.of(0, 0, 1))
  expect(connection.isConnected()).toBe(true)
  await dropConnection(connection, new Error('enough'))
  for (const socket of sockets) socket.destroy()
  server.close()
})

it('ends a login that nobody answers with its connection, which kafkajs would wait for without end', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = (await connectionTo((server.address() as AddressInfo).port)) as ConnectionState & {
    sendAuthRequest(request: object): Promise<unknown>
  }
  await connection.connect()
  const login = connection.sendAuthRequest({ request: { encode: () => Promise.resolve(Buffer.of(1)) }, response: {} })
  const failed = login.catch((error: unknown) => (error as Error).name)
  await dropConnection(connection, new Error('dropped'))
  expect(await failed).toBe('KafkaJSConnectionError')
  server.close()
})

it('retires a cluster: nothing connects again, and what tries to is told why', async () => {
  const cluster = clusterTo(1)
  const reason = new kafkajs.KafkaJSNonRetriableError('enough')
  await retire(cluster, reason)
  await expect(cluster.connect()).rejects.toBe(reason)
  await expect(cluster.refreshMetadata()).rejects.toBe(reason)
  await expect(cluster.brokerPool.findConnectedBroker()).rejects.toBe(reason)
  await cluster.disconnect()
})

it('retires a cluster with the connections to brokers that it has forgotten, and were opened again', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cluster = clusterTo((server.address() as AddressInfo).port)
  const forgotten = (await seedOf(cluster)).connectionPool.pool[0] as ConnectionState
  // This is how kafkajs leaves a broker that is away, and how somebody goes on who has kept it.
  await seedOf(cluster)
  await forgotten.connect()
  expect(connectionsOf(cluster)).toEqual([forgotten])
  await vi.waitUntil(() => sockets.length === 1, 10_000)
  const reason = new Error('enough')
  await retire(cluster, reason)
  await vi.waitUntil(() => sockets[0]?.destroyed === true, 10_000)
  await expect(forgotten.connect()).rejects.toBe(reason)
  server.close()
})

it('keeps no connection whose socket is gone', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cluster = clusterTo((server.address() as AddressInfo).port)
  for (let i = 0; i < 5; i++) {
    const connection = (await seedOf(cluster)).connectionPool.pool[0] as ConnectionState
    await connection.connect()
    expect(connectionsOf(cluster)).toEqual([connection])
    await dropConnection(connection, new Error('dropped'))
  }
  await retire(cluster, new Error('enough'))
  server.close()
})

it('makes no copy of an answer that comes as one piece, also after others', async () => {
  const connection = await connectionTo(1)
  const fulfilled: Buffer[] = []
  Object.assign(connection, {
    requestQueue: { fulfillRequest: ({ payload }: { payload: Buffer }) => fulfilled.push(payload) },
    ...{ chunks: [], bytesBuffered: 0, bytesNeeded: 4 },
  })
  const answers = [1, 2, 3].map((fill) => {
    const bytes = Buffer.alloc(4 + 4 + 100, fill)
    bytes.writeInt32BE(104, 0)
    return bytes
  })
  const [whole, halved, last] = answers as [Buffer, Buffer, Buffer]
  for (const part of [whole, halved.subarray(0, 50), halved.subarray(50), last]) connection.processData(part)
  expect(fulfilled).toEqual(answers.map((bytes) => bytes.subarray(8)))
  expect(fulfilled.map(({ buffer }) => buffer === whole.buffer || buffer === last.buffer)).toEqual([true, false, true])
})
