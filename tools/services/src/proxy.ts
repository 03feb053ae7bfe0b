/** A TCP proxy that breaks connections on purpose: at a chosen byte, at a chosen moment, in either direction. */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/** `up`: from the client to the server. `down`: from the server to the client. */
export type Direction = 'up' | 'down'

export interface ProxyOptions {
  /** `host:port` of the server. May be told later by `setTarget`; until then clients are turned away. */
  readonly target?: string
  /** Where to listen at 127.0.0.1. Default: any free port. */
  readonly port?: number
}

export interface Proxy {
  readonly host: string
  readonly port: number
  /** `host:port`, what clients connect to. */
  readonly address: string
  /** How many connections are open. */
  readonly connections: number
  /** How many have been accepted since it was started. */
  readonly accepted: number
  /** Bytes passed on so far, over all connections. */
  readonly passed: Readonly<Record<Direction, number>>
  /** What `passed` was after each chunk: where one side talks and waits for the answer, the steps of their conversation. */
  readonly steps: Readonly<Record<Direction, readonly number[]>>
  setTarget(target: string): void
  /** Resets all open connections on both sides, as a crash would. New ones are accepted. */
  cut(): void
  /** Turns new clients away until `accept()`. Open connections stay. */
  refuse(): void
  accept(): void
  /** Passes nothing on, in both directions, until `resume()`; connections stay, and nothing is lost. */
  pause(): void
  resume(): void
  /** Passes on every chunk that arrives from now `ms` later; 0 ends it. */
  delay(ms: number): void
  /** Ends one direction of all open connections: the receiver sees the end (FIN), the other direction goes on. */
  halfClose(direction: Direction): void
  /** Passes on exactly `bytes` more in that direction, counted over all connections. Then the receiver sees the end of its connection, the sender a reset. Once. */
  cutAfter(bytes: number, direction: Direction): void
  /** Passes on exactly `bytes` more in that direction, then silently swallows the rest of all connections, until `passAgain()`. */
  dropAfter(bytes: number, direction: Direction): void
  /** Passes on exactly `bytes` more in that direction; then the receiver sees the end (FIN), and the other direction goes on. Once. */
  endAfter(bytes: number, direction: Direction): void
  /** Passes on exactly `bytes` more in that direction, and what comes next on that connection `ms` later. Once. */
  holdAfter(bytes: number, direction: Direction, ms: number): void
  passAgain(): void
  /** Resets all and listens no more. */
  stop(): Promise<void>
}

/** Starts a proxy at 127.0.0.1. */
export async function startProxy(options: ProxyOptions = {}): Promise<Proxy> {
  const proxy = new TcpProxy(options.target)
  await proxy.listen(options.port ?? 0)
  return proxy
}

interface Fault {
  readonly kind: 'cut' | 'drop' | 'end' | 'hold'
  bytesLeft: number
  readonly ms?: number
}

class TcpProxy implements Proxy {
  readonly host = '127.0.0.1'
  readonly passed = { up: 0, down: 0 }
  readonly steps: Record<Direction, number[]> = { up: [], down: [] }
  accepted = 0
  isPaused = false
  delayMs = 0
  readonly faults: Record<Direction, Fault | undefined> = { up: undefined, down: undefined }
  #target: string | undefined
  #refuses = false
  readonly #server: Server
  readonly #open = new Set<Connection>()

  constructor(target: string | undefined) {
    this.#target = target
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      this.#onClient(client)
    })
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, this.host)
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get address(): string {
    return `${this.host}:${String(this.port)}`
  }

  get connections(): number {
    return this.#open.size
  }

  setTarget(target: string): void {
    this.#target = target
  }

  cut(): void {
    for (const connection of this.#open) connection.reset()
  }

  refuse(): void {
    this.#refuses = true
  }

  accept(): void {
    this.#refuses = false
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.#pump()
  }

  delay(ms: number): void {
    this.delayMs = ms
  }

  halfClose(direction: Direction): void {
    for (const connection of this.#open) connection.pipe(direction).endWriting()
  }

  cutAfter(bytes: number, direction: Direction): void {
    this.faults[direction] = { kind: 'cut', bytesLeft: bytes }
  }

  dropAfter(bytes: number, direction: Direction): void {
    this.faults[direction] = { kind: 'drop', bytesLeft: bytes }
  }

  endAfter(bytes: number, direction: Direction): void {
    this.faults[direction] = { kind: 'end', bytesLeft: bytes }
  }

  holdAfter(bytes: number, direction: Direction, ms: number): void {
    this.faults[direction] = { kind: 'hold', bytesLeft: bytes, ms }
  }

  passAgain(): void {
    this.faults.up = undefined
    this.faults.down = undefined
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  #pump(): void {
    for (const connection of this.#open) {
      connection.pipe('up').pump()
      connection.pipe('down').pump()
    }
  }

  #onClient(client: Socket): void {
    this.accepted += 1
    const target = this.#target
    if (this.#refuses || target === undefined) {
      client.on('error', () => undefined)
      client.resetAndDestroy()
      return
    }
    const at = target.lastIndexOf(':')
    const server = connect({ host: target.slice(0, at), port: Number(target.slice(at + 1)), allowHalfOpen: true })
    const connection = new Connection(this, client, server)
    this.#open.add(connection)
    connection.onClose = () => {
      this.#open.delete(connection)
    }
  }
}

/** A client's connection and the one to the server that belongs to it. */
class Connection {
  onClose: () => void = () => undefined
  readonly #client: Socket
  readonly #server: Socket
  readonly #pipes: Record<Direction, Pipe>

  constructor(proxy: TcpProxy, client: Socket, server: Socket) {
    this.#client = client
    this.#server = server
    this.#pipes = {
      up: new Pipe(proxy, 'up', client, server),
      down: new Pipe(proxy, 'down', server, client),
    }
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => {
        this.reset()
      })
      socket.on('close', () => {
        if (client.closed && server.closed) this.onClose()
      })
    }
  }

  pipe(direction: Direction): Pipe {
    return this.#pipes[direction]
  }

  /** Both sides see ECONNRESET. One that is not connected yet cannot be reset, and is closed. */
  reset(): void {
    for (const socket of [this.#client, this.#server]) {
      if (socket.destroyed) continue
      if (socket.connecting) socket.destroy()
      else socket.resetAndDestroy()
    }
    this.onClose()
  }
}

/** One direction of a connection: what has arrived and is not passed on yet, in order. */
class Pipe {
  readonly #waiting: { readonly due: number; readonly chunk: Buffer | 'end' }[] = []
  readonly #proxy: TcpProxy
  readonly #direction: Direction
  readonly #from: Socket
  readonly #to: Socket
  #timer: NodeJS.Timeout | undefined
  #hasEnded = false

  constructor(proxy: TcpProxy, direction: Direction, from: Socket, to: Socket) {
    this.#proxy = proxy
    this.#direction = direction
    this.#from = from
    this.#to = to
    from.on('data', (chunk: Buffer) => {
      this.#arrived(chunk)
    })
    from.on('end', () => {
      this.#arrived('end')
    })
    to.on('drain', () => {
      this.pump()
    })
    from.on('close', () => {
      clearTimeout(this.#timer)
    })
  }

  endWriting(): void {
    this.#hasEnded = true
    this.#to.end()
  }

  /** Passes on all that is due. */
  pump(): void {
    while (!this.#proxy.isPaused && !this.#to.destroyed) {
      const first = this.#waiting[0]
      if (first === undefined) {
        if (!this.#to.writableNeedDrain) this.#from.resume()
        return
      }
      const waitMs = first.due - performance.now()
      if (waitMs > 0) {
        this.#pumpIn(waitMs)
        return
      }
      this.#waiting.shift()
      if (first.chunk === 'end') this.endWriting()
      else this.#pass(first.chunk)
    }
  }

  #arrived(chunk: Buffer | 'end'): void {
    this.#waiting.push({ due: performance.now() + this.#proxy.delayMs, chunk })
    // Read on only when this is passed on: a sender is to feel that nobody takes what it sends.
    if (this.#proxy.delayMs === 0) this.#from.pause()
    this.pump()
  }

  #pumpIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.pump()
    }, Math.ceil(ms))
  }

  #pass(chunk: Buffer): void {
    const fault = this.#proxy.faults[this.#direction]
    if (fault === undefined || fault.bytesLeft > chunk.length) {
      if (fault !== undefined) fault.bytesLeft -= chunk.length
      this.#write(chunk)
      return
    }
    const head = chunk.subarray(0, fault.bytesLeft)
    fault.bytesLeft = 0
    this.#write(head)
    if (fault.kind === 'drop') return
    this.#proxy.faults[this.#direction] = undefined
    if (fault.kind === 'end') this.endWriting()
    else if (fault.kind === 'hold')
      this.#waiting.unshift({ due: performance.now() + (fault.ms ?? 0), chunk: chunk.subarray(head.length) })
    else this.#break()
  }

  /** The receiver is surely to get what was written, which a reset may throw away: it sees that and then the end. */
  #break(): void {
    this.#hasEnded = true
    this.#to.destroySoon()
    this.#from.resetAndDestroy()
  }

  #write(chunk: Buffer): void {
    if (this.#hasEnded || this.#to.destroyed) return
    if (chunk.length === 0) return
    this.#proxy.passed[this.#direction] += chunk.length
    this.#proxy.steps[this.#direction].push(this.#proxy.passed[this.#direction])
    this.#to.write(chunk)
  }
}
