import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Receiver } from '@sluice/core'
import { receiverConformance, type ReceiverTarget } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { lineDecoder, socketReceiver } from './index.js'

const HOST = '127.0.0.1'

/** A server that sends lines to who is connected. */
class LineServer {
  readonly sockets = new Set<Socket>()
  readonly #server = createServer((socket) => {
    this.sockets.add(socket)
    socket.on('error', () => undefined)
    // Only who reads sees that its peer has gone.
    socket.resume()
    socket.on('close', () => this.sockets.delete(socket))
  })
  port = 0

  async listen(): Promise<void> {
    this.#server.listen(this.port, HOST)
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  async end(): Promise<void> {
    for (const socket of this.sockets) socket.resetAndDestroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  send(lines: readonly string[]): void {
    for (const socket of this.sockets) socket.write(lines.map((line) => `${line}\n`).join(''))
  }

  /** Both ends of a connection do not learn of its making and its end at the same time. */
  async settle(connections: number): Promise<void> {
    for (let turn = 0; this.sockets.size !== connections && turn < 1_000; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

async function open(): Promise<ReceiverTarget<string>> {
  const server = new LineServer()
  await server.listen()
  const socket = socketReceiver({ host: HOST, port: server.port, decode: lineDecoder() })
  let running = false
  const receiver: Receiver<string> = {
    '~sluice': 'receiver/1',
    name: socket.name,
    unpack: socket.unpack,
    async onStart(context) {
      await socket.onStart(context)
      running = !context.signal.aborted
      if (running) await server.settle(1)
    },
    async onStop() {
      running = false
      await socket.onStop()
      await server.settle(0)
    },
  }
  return {
    receiver,
    send: (lines) => {
      server.send(lines)
    },
    held: () => server.sockets.size,
    break: () => server.end(),
    repair: () => server.listen(),
    close: () => server.end(),
  }
}

receiverConformance<string>({
  describe,
  test,
  name: 'source-socket',
  open,
  record: (index) => `line ${String(index)}`,
  skip: [
    {
      test: 'E14: a run goes on above the last safe position, without loss and without doubles',
      reason: 'plain TCP cannot resume: what the kernel had acknowledged at a crash is lost, and the README says so',
    },
  ],
})
