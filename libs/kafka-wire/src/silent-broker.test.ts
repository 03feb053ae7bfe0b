/** A broker that accepts connections and says nothing: calls end at their deadline, and the client can be closed. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { kafkajsClient } from './kafkajs/kafkajs-client.js'
import { platformaticClient } from './platformatic/platformatic-client.js'

const sockets: Socket[] = []
const server = createServer((socket) => sockets.push(socket.resume().on('error', () => undefined)))

beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
})

it.each([
  ['kafkajs', kafkajsClient],
  ['platformatic', platformaticClient],
] as const)('%s waits for no answer longer than callTimeoutMs', async (_name, newClient) => {
  const brokers = [`127.0.0.1:${String((server.address() as AddressInfo).port)}`]
  const client = newClient({ brokers, callTimeoutMs: 100 })
  const late = { code: 'TIMEOUT', retryable: true, message: expect.stringMatching(/within 100 ms/) as unknown }
  await expect(client.connect()).rejects.toMatchObject(late)
  await expect(client.metadata(['orders'])).rejects.toMatchObject(late)
  await expect(client.listOffsets('orders', [0], 'latest')).rejects.toMatchObject(late)
  await expect(client.fetchCommitted('g', [{ topic: 'orders', partitions: [0] }])).rejects.toMatchObject(late)
  await expect(client.produce('orders', [{ value: 'a' }, { value: 'b' }])).rejects.toMatchObject(late)
  const request = { topic: 'orders', partition: 0, offset: 0n, isolation: 'committed', maxBytes: 1 } as const
  // One request, which may meet a connection that the calls before have given up.
  await expect(client.fetch({ ...request, maxWaitMs: 0 })).rejects.toMatchObject({ retryable: true })
  const range = { topic: 'orders', partition: 0, from: 0n, to: 1n, deadlineMs: 150 }
  await expect(client.readRange(range)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringMatching(/within 150 ms/) as unknown,
  })
  const producer = await client.transactional('app/out/0')
  await expect(producer.init()).rejects.toMatchObject(late)
  await expect(producer.init()).rejects.toMatchObject({ code: 'STOPPED' })
  await producer.close()
  await client.close()
})

it('what hangs while a transaction begins is given up, with its connections', async () => {
  const before = sockets.length
  const client = kafkajsClient({
    brokers: [`127.0.0.1:${String((server.address() as AddressInfo).port)}`],
    callTimeoutMs: 100,
  })
  const producer = await client.transactional('app/out/0')
  await expect(producer.init()).rejects.toMatchObject({ code: 'TIMEOUT' })
  const own = sockets.slice(before)
  expect(own.length).toBeGreaterThan(0)
  await vi.waitFor(() => expect(own.every(({ closed }) => closed)).toBe(true), { timeout: 30_000 })
  await client.close()
})
