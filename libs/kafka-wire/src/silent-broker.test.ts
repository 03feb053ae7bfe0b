/** A broker that accepts connections and says nothing: calls end at their deadline, and the client can be closed. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { kafkajsClient } from './kafkajs/kafkajs-client.js'
import { platformaticClient } from './platformatic/platformatic-client.js'

const sockets: Socket[] = []
const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))

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
  await client.close()
})
