/** Free ports of 127.0.0.1. */
import { createServer } from 'node:net'
import { ServiceError } from './errors.js'

/**
 * Below what systems give to outgoing connections: such a connection must not take the port of a server that is just being
 * restarted.
 */
const LOWEST = 12_000
const HIGHEST = 30_000
const TRIES = 200

/** `count` different ports on which nobody listens. Somebody may take one before its server does: then its start fails. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries += 1) {
    if (tries >= TRIES + count) throw new ServiceError('services', 'no free port was found; stop some servers')
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
