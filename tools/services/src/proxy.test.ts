import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startProxy, type Proxy } from './proxy.js'

/** Answers what it gets, and ends when the client has. */
class EchoServer {
  readonly sockets: Socket[] = []
  #received = ''
  readonly #server: Server

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.push(socket)
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        this.#received += String(chunk)
      })
      socket.pipe(socket)
    })
  }

  get received(): string {
    return this.#received
  }

  /** Resolves when it has got that text in all. */
  async got(text: string): Promise<void> {
    while (this.received.length < text.length) await once(this.sockets[0]!, 'data')
    expect(this.received).toBe(text)
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A client that notes what it gets and how its connection ends. */
class Client {
  readonly socket: Socket
  received = ''
  /** Resolves with `end` or the code of the error. */
  readonly ended: Promise<string>

  constructor(proxy: Proxy) {
    this.socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true })
    this.socket.on('data', (chunk) => {
      this.received += String(chunk)
    })
    this.ended = new Promise((resolve) => {
      this.socket.on('end', () => {
        resolve('end')
      })
      this.socket.on('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? '')
      })
    })
  }

  /** Resolves when it has got that text in all. */
  async got(text: string): Promise<void> {
    while (this.received.length < text.length) await once(this.socket, 'data')
    expect(this.received).toBe(text)
  }
}

describe('a proxy in front of a server', () => {
  let server: EchoServer
  let proxy: Proxy
  const clients: Client[] = []

  beforeEach(async () => {
    server = new EchoServer()
    proxy = await startProxy({ target: await server.listen() })
  })

  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.destroy()
    await proxy.stop()
    await server.close()
  })

  function client(): Client {
    const made = new Client(proxy)
    clients.push(made)
    return made
  }

  /** A client that has had one answer, so that it surely is connected through. */
  async function connected(): Promise<Client> {
    const made = client()
    made.socket.write('hi;')
    await made.got('hi;')
    return made
  }

  test('passes bytes both ways, and the end of each direction', async () => {
    const one = client()
    const text = 'x'.repeat(1_000_000)
    one.socket.end(text)
    expect(await one.ended).toBe('end')
    expect(one.received).toBe(text)
    expect(proxy.passed).toEqual({ up: text.length, down: text.length })
    expect(proxy.accepted).toBe(1)
  })

  test('cut resets what is open, and lets new clients in', async () => {
    const [one, two] = [await connected(), await connected()]
    expect(proxy.connections).toBe(2)
    proxy.cut()
    expect(proxy.connections).toBe(0)
    expect(await Promise.all([one.ended, two.ended])).toEqual(['ECONNRESET', 'ECONNRESET'])
    await connected()
  })

  test('refuse turns new clients away and leaves open ones, until accept', async () => {
    const one = await connected()
    proxy.refuse()
    const two = client()
    two.socket.write('lost')
    expect(await two.ended).toMatch(/ECONNRESET|EPIPE/)
    one.socket.write('still')
    await one.got('hi;still')
    proxy.accept()
    await connected()
  })

  test('paused it passes nothing on and loses nothing', async () => {
    const one = await connected()
    proxy.pause()
    one.socket.write('later')
    const other = await startProxy({ target: proxy.address })
    const through = new Client(other)
    clients.push(through)
    through.socket.write('also')
    // Both have been written, and a connection made after them is open: nothing of theirs has come through.
    while (proxy.accepted < 2) await new Promise(setImmediate)
    expect(server.received).toBe('hi;')
    proxy.resume()
    await one.got('hi;later')
    await through.got('also')
    await other.stop()
  })

  test('a delay holds each chunk back that long, in order', async () => {
    const one = await connected()
    proxy.delay(40)
    const start = performance.now()
    one.socket.write('a')
    one.socket.write('b')
    await one.got('hi;ab')
    // Once on the way there and once on the way back.
    expect(performance.now() - start).toBeGreaterThanOrEqual(80)
    proxy.delay(0)
    one.socket.write('c')
    await one.got('hi;abc')
  })

  test('half-closed down, the client sees the end and can still write', async () => {
    const one = await connected()
    proxy.halfClose('down')
    expect(await one.ended).toBe('end')
    one.socket.write('heard')
    await server.got('hi;heard')
    expect(one.received).toBe('hi;')
  })

  test('half-closed up, the server sees the end and can still answer', async () => {
    const one = await connected()
    const socket = server.sockets[0]!
    socket.unpipe(socket)
    const ended = once(socket, 'end')
    proxy.halfClose('up')
    await ended
    socket.write('answer')
    await one.got('hi;answer')
  })

  test.each([0, 1, 5])('cut after %d bytes up, the server gets exactly these', async (bytes) => {
    const one = await connected()
    proxy.cutAfter(bytes, 'up')
    const socket = server.sockets[0]!
    const ended = once(socket, 'close')
    one.socket.write('12345')
    expect(await one.ended).toBe('ECONNRESET')
    await ended
    expect(server.received).toBe(`hi;${'12345'.slice(0, bytes)}`)
    await connected()
  })

  test('cut after some bytes down, the client gets exactly these: the server has done what is not confirmed', async () => {
    const one = await connected()
    proxy.cutAfter(2, 'down')
    one.socket.write('12345')
    expect(await one.ended).toBe('end')
    expect(one.received).toBe('hi;12')
    expect(server.received).toBe('hi;12345')
  })

  test('ended after some bytes up, the server gets exactly these and the end, and can still answer', async () => {
    const one = await connected()
    const socket = server.sockets[0]!
    socket.unpipe(socket).resume()
    const ended = once(socket, 'end')
    proxy.endAfter(2, 'up')
    one.socket.write('12345')
    await ended
    expect(server.received).toBe('hi;12')
    socket.write('answer')
    await one.got('hi;answer')
    await connected()
  })

  test('held after some bytes, the rest comes later, in order', async () => {
    const one = await connected()
    proxy.holdAfter(2, 'down', 40)
    const start = performance.now()
    one.socket.write('12345')
    await one.got('hi;12')
    one.socket.write('678')
    await one.got('hi;12345678')
    expect(performance.now() - start).toBeGreaterThanOrEqual(39)
  })

  test('its steps are the ends of the chunks that it has passed on', async () => {
    const one = await connected()
    one.socket.write('12345')
    await one.got('hi;12345')
    expect(proxy.steps).toEqual({ up: [3, 8], down: [3, 8] })
  })

  test('dropping after some bytes, the rest is swallowed and the connection stays, until it passes again', async () => {
    const one = await connected()
    proxy.dropAfter(2, 'down')
    one.socket.write('12345')
    await one.got('hi;12')
    await server.got('hi;12345')
    one.socket.write('678')
    await server.got('hi;12345678')
    proxy.halfClose('down')
    expect(await one.ended).toBe('end')
    expect(one.received).toBe('hi;12')
    proxy.passAgain()
    await connected()
  })

  test('a server that is not there is a reset for the client', async () => {
    const lonely = await startProxy({ target: '127.0.0.1:1' })
    const one = new Client(lonely)
    one.socket.write('hello')
    expect(await one.ended).toMatch(/ECONNRESET|EPIPE|end/)
    one.socket.destroy()
    await lonely.stop()
  })

  test('without a target clients are turned away until one is told', async () => {
    const early = await startProxy()
    const one = new Client(early)
    expect(await one.ended).toMatch(/ECONNRESET|EPIPE/)
    early.setTarget(proxy.address)
    const two = new Client(early)
    two.socket.write('now')
    await two.got('now')
    two.socket.destroy()
    await early.stop()
  })
})
