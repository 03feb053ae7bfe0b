/**
 * A sender of `socket`, a program of its own. Run by `fork` with the number of lines: sends its port. Each client gets the lines
 * at once, and then the end; with the argument `standing` there is one client, which gets them whenever the parent sends a message.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'

const LINES_PER_CHUNK = 2_000

async function serve(count: number, isStanding: boolean): Promise<void> {
  const server = createServer().listen(0, '127.0.0.1')
  server.on('connection', (socket) => socket.on('error', () => undefined))
  if (isStanding) {
    const client = once(server, 'connection') as Promise<[Socket]>
    process.on('message', () => void client.then(([socket]) => send(socket, count)))
  } else {
    server.on('connection', (socket) => void send(socket, count).then(() => socket.end()))
  }
  await once(server, 'listening')
  process.send?.(portOf(server))
}

async function send(socket: Socket, count: number): Promise<void> {
  for (let left = count / LINES_PER_CHUNK; left > 0; left--) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
}

const chunk = Buffer.from(
  Array.from(
    { length: LINES_PER_CHUNK },
    (_, i) => `line ${String(i)} of a text that is neither long nor short\n`,
  ).join(''),
)

function portOf(server: Server): number | undefined {
  const address = server.address()
  return typeof address === 'object' ? address?.port : undefined
}

/** How many lines the sender sends when so many are wanted. */
export function wholeChunks(count: number): number {
  return Math.max(1, Math.round(count / LINES_PER_CHUNK)) * LINES_PER_CHUNK
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) await serve(Number(argv[2]), argv[3] === 'standing')
