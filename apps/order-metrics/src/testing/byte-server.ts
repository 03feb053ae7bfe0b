/** A TCP server that is somebody else's: it sends given bytes to its first reader, cut where it likes. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface ByteServer {
  readonly address: string
  close(): void
}

/** Sends `bytes` in packets whose sizes `nextSize` gives, then ends the connection unless `keepOpen`. */
export async function serveBytes(
  bytes: Buffer,
  nextSize: () => number,
  options: { readonly keepOpen?: boolean } = {},
): Promise<ByteServer> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    send(socket, bytes, nextSize)
      .then(() => options.keepOpen === true || socket.end())
      .catch(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function send(socket: Socket, bytes: Buffer, nextSize: () => number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const end = at + nextSize()
    if (!socket.write(bytes.subarray(at, end))) await once(socket, 'drain')
    at = end
    // Without a pause the kernel would put packets together again.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
