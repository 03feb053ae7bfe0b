import { EventEmitter, once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { SluiceError, milliseconds, seconds, systemClock } from '@sluice/core'
import type { Receiver, ReceiverContext } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { lineDecoder, socketReceiver } from './index.js'
import type { Decoder, DecoderFactory, LineDecoderOptions, SocketOptions } from './index.js'

// Made for these tests and good for nothing else: localhost and 127.0.0.1, until the year 3000.
const TEST_ONLY_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtp65D/rSTIN+8bET
BVPxUmh67ZmyS5L9VFeO5UrFvl2hRANCAAStUZBvMjK29i8Og/qK30BfEesnDmup
NYihzvmyGkWBGM8iZwqwj1+Q9sYyxNrMN2sZdAj8e1lkiZ9oQ7+CHNOL
-----END PRIVATE KEY-----`
const TEST_ONLY_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIBATAKBggqhkjOPQQDAjAbMRkwFwYDVQQDDBBzbHVpY2Ug
dGVzdCBvbmx5MCAXDTIwMDEwMTAwMDAwMFoYDzMwMDAwMTAxMDAwMDAwWjAbMRkw
FwYDVQQDDBBzbHVpY2UgdGVzdCBvbmx5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAErVGQbzIytvYvDoP6it9AXxHrJw5rqTWIoc75shpFgRjPImcKsI9fkPbGMsTa
zDdrGXQI/HtZZImfaEO/ghzTi6NOMEwwGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/
AAABMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0OBBYEFHtXZSQemAWojd84JZa54Q6c
4LMLMAoGCCqGSM49BAMCA0gAMEUCIQCVxiS5IvIB+7+bm+2xG9JNZ2y3WXYBcd6N
uuWP3bODWgIge9rmKiZQVDPtiBuhrlQmYYmKGOTgLunlh0/YJLVM+eE=
-----END CERTIFICATE-----`

const HOST = '127.0.0.1'
const DEADLINE_MS = 20_000
const POISON = 0x21
const ignore = (): void => undefined

/** Runs a receiver as the contract says: one context for each run, `onStop` after every `onStart`, never two at a time. */
class Runner<T> {
  readonly clock = new ManualClock()
  readonly records: T[] = []
  readonly restarts: { message: string; error: unknown; delayMs: number }[] = []
  readonly reports: { message: string; error: unknown }[] = []
  readonly stops: string[] = []
  maxInFlight = 0
  /** What stored bytes stood in that are to be given back. */
  readonly memories = new Set<ArrayBufferLike>()
  onStore: (records: readonly T[]) => Promise<void> | void = ignore
  #inFlight = 0
  #run = new AbortController()
  #started: Promise<void> = Promise.resolve()
  #ended: Promise<void> | undefined
  readonly #receiver: Receiver<T>
  readonly #changes = new EventEmitter().setMaxListeners(0)

  constructor(receiver: Receiver<T>) {
    this.#receiver = receiver
    runners.push(this as Runner<unknown>)
  }

  /** Starts the first or, when the last run has ended, the next run. */
  async start(): Promise<void> {
    if (this.#ended !== undefined) await this.#ended
    this.#run = new AbortController()
    this.#started = Promise.resolve(this.#receiver.onStart(this.#context(this.#run.signal)))
    await this.#started
  }

  async stop(): Promise<void> {
    this.#endRun()
    await this.#ended
  }

  async until(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(DEADLINE_MS)
    while (!condition()) await once(this.#changes, 'change', { signal })
  }

  #context(signal: AbortSignal): ReceiverContext<T> {
    const note = (what: () => void) => (): void => {
      if (signal.aborted) throw new Error('a run that has ended was used')
      what()
      this.#changes.emit('change')
    }
    return {
      streamId: 0,
      clock: this.clock,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      signal,
      position: {},
      store: (record) => this.#store([record], signal),
      storeAll: (records) => this.#store(records, signal),
      storePacked: (bytes, { release }) => {
        const stored = this.#store(this.#receiver.unpack?.(bytes) ?? [], signal)
        // Whoever wants its bytes back must not count on what is in them.
        if (release !== undefined) this.memories.add(bytes.fill(POISON).buffer)
        release?.()
        return stored
      },
      report: (message, error) => note(() => this.reports.push({ message, error }))(),
      restart: (message, error, delayMs = -1) =>
        note(() => {
          this.restarts.push({ message, error, delayMs })
          this.#endRun()
        })(),
      stop: (message = '') =>
        note(() => {
          this.stops.push(message)
          this.#endRun()
        })(),
    }
  }

  async #store(records: readonly T[], signal: AbortSignal): Promise<void> {
    this.#inFlight++
    this.maxInFlight = Math.max(this.maxInFlight, this.#inFlight)
    try {
      await this.onStore(records)
    } finally {
      this.#inFlight--
    }
    if (signal.aborted) throw stopped()
    for (const record of records) this.records.push(record)
    this.#changes.emit('change')
  }

  #endRun(): void {
    if (this.#run.signal.aborted) return
    this.#run.abort(stopped())
    this.#ended = this.#started.then(() => this.#receiver.onStop())
  }
}

function stopped(): SluiceError {
  return new SluiceError({ code: 'STOPPED', component: 'test', message: 'the run has ended' })
}

const servers: Server[] = []
const sockets = new Set<Socket>()
const runners: Runner<unknown>[] = []

afterEach(async () => {
  for (const runner of runners.splice(0)) {
    await runner.stop()
    expect(runner.clock.sleeping, 'timers left behind').toBe(0)
    expect(runner.maxInFlight).toBeLessThanOrEqual(1)
  }
  for (const server of servers.splice(0)) server.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
})

async function listen(server: Server, port = 0): Promise<number> {
  servers.push(server)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', ignore)
  })
  server.listen(port, HOST)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const serve = (onSocket: (socket: Socket) => void): Promise<number> => listen(createTcpServer(onSocket))
const serveTls = (onSocket: (socket: TLSSocket) => void): Promise<number> =>
  listen(createTlsServer({ key: TEST_ONLY_KEY, cert: TEST_ONLY_CERTIFICATE }, onSocket).on('tlsClientError', ignore))

async function unusedPort(): Promise<number> {
  const server = createTcpServer()
  const port = await listen(server)
  await close(server)
  return port
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await closed
}

function textRunner(port: number, options?: Partial<SocketOptions> & LineDecoderOptions): Runner<string> {
  return new Runner(socketReceiver({ host: HOST, port, ...options, decode: lineDecoder(options) }))
}

function gate(): { opened: Promise<void>; open(): void } {
  let open = ignore
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

const bytesDecoder: Decoder<Uint8Array> = { write: (bytes) => [bytes], end: () => [] }

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('receiving', () => {
  test('the lines that a server sends are stored in order', async () => {
    const runner = textRunner(await serve((socket) => socket.write('a b\r\n\nc\nd')))
    await runner.start()
    await runner.until(() => runner.records.length === 3)
    expect(runner.records).toEqual(['a b', '', 'c'])
  })

  test('any cutting into packets gives the same lines', async () => {
    const packets = fc.array(fc.constantFrom('a', '€', '\r', '\n', '\r\n', '\r\n\n'), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(packets, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), async (texts, sizes) => {
        const data = Buffer.from(texts.join(''))
        const port = await serve((socket) => void sendInPackets(socket, data, sizes))
        const runner = textRunner(port, { onEnd: 'stop' })
        await runner.start()
        await runner.until(() => runner.stops.length === 1)
        const lines = data.toString().replaceAll('\r\n', '\n').split('\n')
        expect(runner.records).toEqual(lines.at(-1) === '' ? lines.slice(0, -1) : lines)
      }),
      { numRuns: 40 },
    )
  })

  test('a decoder of your own gives records of any kind', async () => {
    const frames = Buffer.from([2, 10, 20, 0, 1, 30, 3, 1])
    const port = await serve((socket) => void sendInPackets(socket, frames, [3, 1]))
    const runner = new Runner(socketReceiver({ host: HOST, port, onEnd: 'stop', decode: () => lengthPrefixed() }))
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(runner.records).toEqual([[10, 20], [], [30]])
  })

  async function sendInPackets(socket: Socket, data: Buffer, sizes: readonly number[]): Promise<void> {
    socket.setNoDelay(true)
    for (let start = 0, i = 0; start < data.length; i++) {
      const size = sizes[i % sizes.length] ?? 1
      const packet = data.subarray(start, start + size)
      await new Promise((resolve) => socket.write(packet, resolve))
      await turn()
      start += size
    }
    socket.end()
  }

  function lengthPrefixed(): Decoder<number[]> {
    let bytes = Buffer.alloc(0)
    return {
      write(chunk) {
        bytes = Buffer.concat([bytes, chunk])
        const frames: number[][] = []
        for (let size = bytes[0]; size !== undefined && bytes.length > size; size = bytes[0]) {
          frames.push([...bytes.subarray(1, size + 1)])
          bytes = bytes.subarray(size + 1)
        }
        return frames
      },
      end: () => [],
    }
  }
})

describe('buffers', () => {
  const line = (i: number): string => `${String(i)} `.repeat(1_000)
  const lines = Array.from({ length: 500 }, (_, i) => line(i))

  test('are used again when the engine has done with them', async () => {
    const port = await serve((socket) => socket.end(`${lines.join('\n')}\n`))
    const runner = textRunner(port, { onEnd: 'stop' })
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(runner.records).toEqual(lines)
    expect(runner.memories.size).toBeLessThanOrEqual(4)
  })

  test('stay as they are where a decoder that packs may keep parts of them', async () => {
    const kept: Uint8Array[] = []
    const decode: DecoderFactory<Uint8Array> = Object.assign(() => bytesDecoder, {
      packing: {
        packer: () => ({ write: (bytes: Buffer) => [{ bytes, records: 1 }], end: () => [] }),
        unpack: (bytes: Uint8Array) => [bytes],
      },
    })
    const data = lines.join('\n')
    const port = await serve((socket) => socket.end(data))
    const runner = new Runner(socketReceiver({ host: HOST, port, onEnd: 'stop', decode }))
    runner.onStore = (bytes) => void kept.push(...bytes)
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(Buffer.concat(kept).toString()).toBe(data)
  })
})

describe('back-pressure', () => {
  test('a slow job makes a fast sender wait, and nothing is lost', { timeout: 60_000 }, async () => {
    const chunk = Buffer.from('0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n'.repeat(1_024))
    const chunks = 1_024
    const bound = (40 * 1_048_576) / chunk.length
    const sender = { sent: 0, waits: 0 }
    const port = await serve((socket) => void sendAll(socket, chunk, chunks, sender))
    const runner = textRunner(port, { onEnd: 'stop' })
    const { opened, open } = gate()
    const seen = { lines: 0, longestBlock: 0, mostAhead: 0 }
    runner.onStore = async (records) => {
      await opened
      await turn()
      seen.lines += records.length
      seen.longestBlock = Math.max(seen.longestBlock, records.length)
      seen.mostAhead = Math.max(seen.mostAhead, sender.sent - seen.lines / 1_024)
      records = []
    }
    await runner.start()
    await isStill(() => sender.sent)
    expect(sender.waits).toBeGreaterThan(0)
    expect(sender.sent).toBeLessThan(bound)
    open()
    await runner.until(() => runner.stops.length === 1)
    expect(seen.lines).toBe(chunks * 1_024)
    expect(seen.longestBlock).toBeLessThanOrEqual(2 * 1_024)
    expect(seen.mostAhead).toBeLessThan(bound)
    expect(runner.maxInFlight).toBe(1)
  })

  interface Sender {
    sent: number
    waits: number
  }

  async function sendAll(socket: Socket, chunk: Buffer, chunks: number, sender: Sender): Promise<void> {
    while (sender.sent < chunks) {
      sender.sent++
      if (socket.write(chunk)) continue
      sender.waits++
      await once(socket, 'drain')
    }
    socket.end()
  }

  async function isStill(value: () => number): Promise<void> {
    for (let turns = 0, last = -1; turns < 200; turns++) {
      if (value() !== last) turns = 0
      last = value()
      await turn()
    }
  }

  test('a connection that breaks while a store is pending ends when it is stored', async () => {
    const { opened, open } = gate()
    const runner = textRunner(await serve((socket) => socket.write('a\n')))
    const pending = gate()
    runner.onStore = () => {
      pending.open()
      return opened
    }
    await runner.start()
    await pending.opened
    const [socket] = sockets
    // While a store is pending nothing is read, so the other side's end is seen later.
    await once(socket!.end(), 'finish')
    for (let turns = 0; turns < 20; turns++) await turn()
    expect(runner.restarts).toEqual([])
    open()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.records).toEqual(['a'])
  })
})

describe('ends', () => {
  test('at the end of the stream the last line is stored, then it connects again', async () => {
    const runner = textRunner(await serve((socket) => socket.end('a\nb')))
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.records).toEqual(['a', 'b'])
    expect(runner.restarts[0]?.message).toContain('ended the stream')
    expect(runner.restarts[0]?.error).toBeUndefined()
    await runner.start()
    await runner.until(() => runner.records.length === 4)
  })

  test('with onEnd: stop the receiver stops for good', async () => {
    const runner = textRunner(await serve((socket) => socket.end('a\nb')), { onEnd: 'stop' })
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(runner.records).toEqual(['a', 'b'])
    expect(runner.restarts).toEqual([])
  })

  test('at a reset the incomplete line is dropped and its bytes are reported', async () => {
    const runner = textRunner(await serve((socket) => socket.write('whole\npart')))
    await runner.start()
    await runner.until(() => runner.records.length === 1)
    for (const socket of sockets) socket.resetAndDestroy()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.records).toEqual(['whole'])
    expect(runner.restarts[0]?.message).toMatch(
      /^lost the connection to 127.0.0.1:\d+ \(ECONNRESET\); .* \(dropped 4 bytes/,
    )
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
  })

  test('a server that is gone is tried at growing intervals, and from the start again when it was back', async () => {
    const greet = (socket: Socket): void => void socket.end('hello\n')
    const first = createTcpServer(greet)
    const port = await listen(first)
    const runner = textRunner(port)
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    await close(first)
    for (let tries = 0; tries < 8; tries++) await runner.start()
    await listen(createTcpServer(greet), port)
    await runner.start()
    await runner.until(() => runner.records.length === 2 && runner.restarts.length === 10)
    const ceilings = [1, 2, 4, 8, 16, 30, 30, 30, 30, 1].map((s) => s * 1_000)
    runner.restarts.forEach(({ delayMs }, i) => {
      // The first delivered, so the second is the first failure in a row to double.
      expect(delayMs).toBeLessThanOrEqual(ceilings[i] ?? 0)
      expect(delayMs).toBeGreaterThanOrEqual((ceilings[i] ?? 0) / 2)
    })
    expect(runner.restarts[1]?.message).toMatch(/^cannot reach 127.0.0.1:\d+ \(ECONNREFUSED\); is the server up/)
    expect(runner.restarts[1]?.error).toMatchObject({ code: 'CONNECTION_FAILED', component: 'source-socket' })
  })

  test('delays keep to the limits given', async () => {
    const runner = textRunner(await unusedPort(), {
      reconnect: { minDelay: milliseconds(7), maxDelay: milliseconds(7) },
    })
    await runner.start()
    await runner.start()
    expect(runner.restarts.map(({ delayMs }) => delayMs)).toEqual([7, 7])
  })

  test('a connection that cannot be made in time is given up', async () => {
    // Accepts, but never answers the TLS handshake.
    const runner = textRunner(await serve(ignore), { tls: true, connectTimeoutMs: 1_000 })
    const starting = runner.start()
    await runner.clock.advance(999)
    expect(runner.restarts).toEqual([])
    await runner.clock.advance(1)
    await starting
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'TIMEOUT', retryable: true })
    expect(runner.restarts[0]?.message).toContain('within 1000 ms')
  })

  test('silence longer than idleTimeoutMs ends the connection', async () => {
    const runner = textRunner(await serve((socket) => socket.write('a\nb')), { idleTimeoutMs: 1_000 })
    await runner.start()
    await runner.until(() => runner.records.length === 1)
    await runner.clock.advance(999)
    expect(runner.restarts).toEqual([])
    await runner.clock.advance(1)
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'TIMEOUT' })
    expect(runner.restarts[0]?.message).toContain('(dropped 1 byte of')
  })

  test('waiting for a slow job is no silence of the sender', async () => {
    const { opened, open } = gate()
    const pending = gate()
    const runner = textRunner(await serve((socket) => socket.write('a\n')), { idleTimeoutMs: 1_000 })
    runner.onStore = () => {
      pending.open()
      return opened
    }
    await runner.start()
    await pending.opened
    await runner.clock.advance(10_500)
    open()
    await runner.until(() => runner.records.length === 1)
    await runner.clock.advance(999)
    expect(runner.restarts).toEqual([])
    await runner.clock.advance(1)
    expect(runner.restarts).toHaveLength(1)
  })
})

describe('stops', () => {
  test('a stop closes the connection', async () => {
    const port = await serve((socket) => socket.write('a\n'))
    const runner = textRunner(port, { idleTimeoutMs: 1_000 })
    await runner.start()
    await runner.until(() => runner.records.length === 1)
    const [socket] = sockets
    socket?.resume()
    const closed = once(socket!, 'close')
    await runner.stop()
    await closed
    expect(runner.restarts).toEqual([])
  })

  test('a stop while connecting ends the start', async () => {
    const runner = textRunner(await serve(ignore), { tls: true })
    const starting = runner.start()
    await once(servers[0]!, 'connection')
    await runner.stop()
    await starting
    expect(runner.restarts).toEqual([])
  })

  test('a stop right after the start ends it, and nothing is received', async () => {
    const runner = textRunner(await serve((socket) => socket.write('a\n')))
    const starting = runner.start()
    await runner.stop()
    await starting
    for (let turns = 0; turns < 20; turns++) await turn()
    expect(runner.records).toEqual([])
    expect(runner.restarts).toEqual([])
  })

  test('the next run after a stop receives again', async () => {
    const runner = textRunner(await serve((socket) => socket.write('a\n')))
    for (let run = 1; run <= 3; run++) {
      await runner.start()
      await runner.until(() => runner.records.length === run)
      await runner.stop()
    }
    expect(runner.restarts).toEqual([])
  })

  test('a stop while a store is pending is quiet, whether the store ends by STOPPED or not', async () => {
    for (const ending of [stopped(), undefined]) {
      const { opened, open } = gate()
      const pending = gate()
      const runner = textRunner(await serve((socket) => socket.write('a\n')))
      runner.onStore = async () => {
        pending.open()
        await opened
        if (ending !== undefined) throw ending
      }
      await runner.start()
      await pending.opened
      await runner.stop()
      open()
      await turn()
      expect(runner.restarts).toEqual([])
      expect(runner.records).toEqual([])
    }
  })

  test('a store that is refused for another reason is a failure', async () => {
    const runner = textRunner(await serve((socket) => socket.write('a\nb\n')))
    runner.onStore = () => Promise.reject(new Error('disk full'))
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'RECEIVER_FAILED' })
    expect(runner.restarts[0]?.message).toMatch(/^2 records from .* could not be stored \(Error: disk full\)/)
  })
})

test('a store that fails after the connection has ended is reported', async () => {
  const { opened, open } = gate()
  const pending = gate()
  const runner = textRunner(await serve((socket) => socket.write('a\n')))
  runner.onStore = async () => {
    pending.open()
    await opened
    throw new Error('disk full')
  }
  await runner.start()
  await pending.opened
  for (const socket of sockets) await once(socket.end(), 'finish')
  open()
  await runner.until(() => runner.restarts.length === 1)
  expect([...runner.reports, ...runner.restarts].some(({ message }) => message.includes('disk full'))).toBe(true)
})

describe('bad data', () => {
  const text = 'a\n123456\nb\n'

  test('a long line fails the connection by default, after the lines before it', async () => {
    const runner = textRunner(await serve((socket) => socket.write(text)), { maxLineBytes: 5 })
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.records).toEqual(['a'])
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'LINE_TOO_LONG', retryable: false })
    expect(runner.restarts[0]?.message).toMatch(/cannot decode what .* sent: a line is longer than 5 bytes; raise/)
  })

  test.each([
    ['skip', ['a', 'b'], 'skipped 1 too long line'],
    ['truncate', ['a', '12345', 'b'], 'truncated 1 too long line'],
  ] as const)('with onLongLine: %s receiving goes on, and it is reported', async (onLongLine, lines, message) => {
    const runner = textRunner(await serve((socket) => socket.write(text)), { maxLineBytes: 5, onLongLine })
    await runner.start()
    await runner.until(() => runner.records.length === lines.length)
    expect(runner.records).toEqual(lines)
    expect(runner.reports).toHaveLength(1)
    expect(runner.reports[0]?.message).toContain(message)
    expect(runner.reports[0]?.error).toMatchObject({ code: 'LINE_TOO_LONG' })
  })

  test('data that fails again at once does not start the back-off over', async () => {
    const runner = textRunner(await serve((socket) => socket.write(text)), { maxLineBytes: 5 })
    for (let run = 1; run <= 3; run++) {
      await runner.start()
      await runner.until(() => runner.restarts.length === run)
    }
    expect(runner.restarts[2]?.delayMs).toBeGreaterThanOrEqual(2_000)
  })

  const boom = (): never => {
    throw new Error('boom')
  }
  const decoder = { write: () => [], end: () => [] }

  test.each([
    ['the factory', boom],
    ['write', () => ({ ...decoder, write: boom })],
    ['end', () => ({ ...decoder, end: boom })],
  ])('a decoder whose %s throws fails the connection', async (_, decode) => {
    const port = await serve((socket) => socket.end('a'))
    const runner = new Runner(socketReceiver({ host: HOST, port, decode }))
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.restarts[0]?.error).toMatchObject({ code: 'USER_FUNCTION_FAILED', cause: { message: 'boom' } })
  })

  test('a decoder that fails to drop what is incomplete is reported', async () => {
    const port = await serve((socket) => socket.write('a'))
    const written = gate()
    const write = (): readonly string[] => {
      written.open()
      return []
    }
    const runner = new Runner(socketReceiver({ host: HOST, port, decode: () => ({ ...decoder, write, drop: boom }) }))
    await runner.start()
    await written.opened
    for (const socket of sockets) socket.resetAndDestroy()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.reports[0]?.message).toContain('boom')
  })
})

describe('TLS', () => {
  test('lines come over TLS, and the server learns the name', async () => {
    const names: (string | false | null)[] = []
    const port = await serveTls((socket) => {
      names.push(socket.servername)
      socket.end('a\nb\n')
    })
    const tls = { ca: TEST_ONLY_CERTIFICATE, servername: 'localhost' }
    const runner = textRunner(port, { tls, onEnd: 'stop' })
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(runner.records).toEqual(['a', 'b'])
    expect(names).toEqual(['localhost'])
  })

  test('what was deciphered at once is stored piece by piece, in order, and all of it before the end', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${String(i)}`)
    const port = await serveTls((socket) => socket.end(`${lines.join('\n')}\n`))
    const runner = textRunner(port, { tls: { ca: TEST_ONLY_CERTIFICATE, servername: 'localhost' }, onEnd: 'stop' })
    let pieces = 0
    runner.onStore = async () => {
      pieces++
      for (let turn = 0; turn < 10; turn++) await systemClock.yield()
    }
    await runner.start()
    await runner.until(() => runner.stops.length === 1)
    expect(runner.records).toEqual(lines)
    expect(pieces).toBeGreaterThan(2)
  })

  test('behind a piece that could not be stored no later one is', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${String(i)}`)
    const port = await serveTls((socket) => socket.write(`${lines.join('\n')}\n`))
    const runner = textRunner(port, { tls: { ca: TEST_ONLY_CERTIFICATE, servername: 'localhost' } })
    let pieces = 0
    runner.onStore = async () => {
      for (let turn = 0; turn < 10; turn++) await systemClock.yield()
      if (++pieces === 2) throw new Error('no room')
    }
    await runner.start()
    await runner.until(() => runner.restarts.length === 1)
    expect(runner.restarts[0]?.error).toMatchObject({ cause: { message: 'no room' } })
    expect(runner.records).toEqual(lines.slice(0, runner.records.length))
    expect(pieces).toBe(2)
  })

  test('a certificate of an unknown authority is refused, with the remedy', async () => {
    const runner = textRunner(await serveTls((socket) => socket.end('a\n')), { tls: true })
    await runner.start()
    expect(runner.restarts[0]?.message).toMatch(
      /^cannot reach .* \(DEPTH_ZERO_SELF_SIGNED_CERT\); give .* tls: \{ ca \}/,
    )
    expect(runner.records).toEqual([])
  })

  test('a server that does not speak TLS is named', async () => {
    const runner = textRunner(await serve((socket) => socket.write('hello\n')), { tls: true })
    await runner.start()
    expect(runner.restarts[0]?.message).toContain('does the server speak TLS')
  })
})

describe('options', () => {
  test('the receiver is named by its server', () => {
    expect(socketReceiver({ host: 'localhost', port: 9999, decode: lineDecoder() }).name).toBe('socket localhost:9999')
    expect(socketReceiver({ host: '::1', port: 9999, decode: lineDecoder() }).name).toBe('socket [::1]:9999')
  })

  test.each<[string, object]>([
    ['host', { host: '' }],
    ['host', { host: undefined }],
    ['port', { port: 0 }],
    ['port', { port: 65_536 }],
    ['port', { port: '9999' }],
    ['tls', { tls: 'yes' }],
    ['tls', { tls: null }],
    ['tls.host', { tls: { host: 'elsewhere' } }],
    ['tls', { tls: { ca: 'no PEM', cert: 'no PEM' } }],
    ['connectTimeoutMs', { connectTimeoutMs: 0 }],
    ['idleTimeoutMs', { idleTimeoutMs: Number.NaN }],
    ['reconnect.minDelay', { reconnect: { minDelay: milliseconds(0) } }],
    ['reconnect.maxDelay', { reconnect: { minDelay: seconds(2), maxDelay: seconds(1) } }],
    ['onEnd', { onEnd: 'again' }],
    ['decode', { decode: lineDecoder()({ clock: new ManualClock(), report: ignore }) }],
  ])('refused at once: %s %j', (option, wrong) => {
    const options = { host: HOST, port: 9999, decode: lineDecoder(), ...wrong }
    const refusal = expect.objectContaining({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining(`] ${option} `),
    })
    expect(() => socketReceiver(options)).toThrow(refusal)
  })
})
