/** The sender of `socket`, a program of its own. Run by `fork` with the number of lines: sends its port, then them to each client. */
import { createServer } from 'node:net'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'

const LINES_PER_CHUNK = 2_000

function serve(count: number): void {
  const chunk = Buffer.from(
    Array.from(
      { length: LINES_PER_CHUNK },
      (_, i) => `line ${String(i)} of a text that is neither long nor short\n`,
    ).join(''),
  )
  const server = createServer((socket) => {
    let left = count / LINES_PER_CHUNK
    const send = (): void => {
      while (left > 0) {
        left--
        if (!socket.write(chunk)) return
      }
      socket.end()
    }
    socket.on('drain', send)
    socket.on('error', () => undefined)
    send()
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    process.send?.(typeof address === 'object' ? address?.port : undefined)
  })
}

/** How many lines the sender sends when so many are wanted. */
export function wholeChunks(count: number): number {
  return Math.max(1, Math.round(count / LINES_PER_CHUNK)) * LINES_PER_CHUNK
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) serve(Number(argv[2]))
