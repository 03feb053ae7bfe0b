/**
 * A program that sends the lines of a file, numbered, to whoever connects, from where they ask for: somebody else's till, which goes on
 * whatever becomes of its readers. `node sender.js FILE LINES_PER_SECOND` prints its port; it holds the last lines
 * back until its input says `all`.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HELD_BACK = 500
const CHUNK_LINES = 200
const PAUSE_MS = 20

const [file = '', rate = ''] = process.argv.slice(2)
const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
const startMs = performance.now()
let isAll = false

function released(): number {
  if (isAll) return lines.length
  return Math.min(lines.length - HELD_BACK, Math.floor(((performance.now() - startMs) / 1_000) * Number(rate)))
}

async function serve(socket: Socket): Promise<void> {
  socket.on('error', () => socket.destroy())
  const [request] = (await once(socket, 'data')) as [Buffer]
  let next = Number(/^RESUME (\d+)\n$/.exec(request.toString())?.[1])
  while (!socket.destroyed && next < lines.length) {
    const end = Math.min(released(), next + CHUNK_LINES)
    const text = lines.slice(next, Math.max(end, next)).map((line, i) => `${String(next + i + 1)}\t${line}\n`)
    next += text.length
    if (text.length === 0) await sleep(PAUSE_MS)
    else if (!socket.write(text.join(''))) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
  }
  socket.end('END\n')
}

const server = createServer({ noDelay: true }, (socket) => {
  serve(socket).catch(() => socket.destroy())
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`${String((server.address() as AddressInfo).port)}\n`)
process.stdin.on('data', () => (isAll = true)).on('end', () => process.exit())
