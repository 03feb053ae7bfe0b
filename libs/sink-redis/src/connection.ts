/** Connections by either driver, in one form: commands in, answers out, no retries and no queue for a server that is away. */
import type { Clock } from '@sluice/core'
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { messageOf, redisError, serverError } from './errors.js'
import type { RedisPlace } from './redis-sink.config.js'
import type { Script } from './scripts.js'
import type { Word } from './values.js'

/** One connection; of a cluster one to each node. */
export interface Connection {
  /** Sends commands, in order, to the server of that key, and gives their answers. An error of any rejects. */
  send(key: Word, commands: readonly (readonly Word[])[]): Promise<unknown[]>
  /** Of a cluster: one to each of its masters. */
  masters?(): Promise<readonly Pick<Connection, 'send'>[]>
  /** Ends it at once. What was sent may still be done. */
  destroy(): void
}

/** How to connect. */
export interface Connector {
  /** For messages: no user, no password. */
  readonly label: string
  readonly isCluster: boolean
  /** Put before all keys: that of the user's own client. */
  readonly keyPrefix: string
  /** False for a client that can only be shared: its connection cannot be ended, so that a late write cannot be told apart. */
  readonly isOwn: boolean
  connect(timeoutMs: number): Promise<Connection>
}

/** No retries and no queue: what becomes of a write is known at once, or it is unknown, and the output's policy decides. */
const PROFILE = {
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  retryStrategy: () => null,
  reconnectOnError: null,
  keyPrefix: '',
  replyMapping: 'legacy',
} as const

const CLUSTER_PROFILE = {
  lazyConnect: true,
  enableOfflineQueue: false,
  clusterRetryStrategy: () => null,
  enableReadyCheck: true,
  maxRedirections: 3,
  slotsRefreshTimeout: 5_000,
  keyPrefix: '',
} as const

export function connectorOf(place: RedisPlace): Connector {
  if ('client' in place && place.client !== undefined) return clientConnector(place.client)
  if ('cluster' in place && place.cluster !== undefined) return clusterConnector(place.cluster, place.options)
  if ('sentinels' in place && place.sentinels !== undefined) return sentinelConnector(place)
  const { url, options = {} } = place as { url: string; options?: RedisOptions }
  const label = new URL(url).host
  return redisConnector(label, options, (timed) => new Redis(url, { ...options, ...timed }))
}

type Timed = typeof PROFILE & { readonly connectTimeout: number }

function redisConnector(label: string, { keyPrefix = '' }: RedisOptions, make: (timed: Timed) => Redis): Connector {
  return {
    label,
    isCluster: false,
    isOwn: true,
    keyPrefix,
    connect: (timeoutMs) => openIoredis(make({ ...PROFILE, connectTimeout: timeoutMs }), label),
  }
}

function sentinelConnector(place: {
  readonly sentinels: readonly string[]
  readonly master: string
  readonly options?: RedisOptions | undefined
}): Connector {
  const { sentinels, master, options = {} } = place
  const nodes = { sentinels: sentinels.map(addressOf), name: master }
  const label = `the master ${master} of ${sentinels.join(',')}`
  return redisConnector(
    label,
    options,
    (timed) => new Redis({ ...options, ...nodes, ...timed, sentinelRetryStrategy: () => null }),
  )
}

function clusterConnector(nodes: readonly string[], options: ClusterOptions = {}): Connector {
  return {
    label: nodes.join(','),
    isCluster: true,
    isOwn: true,
    keyPrefix: options.keyPrefix ?? '',
    connect: (timeoutMs) =>
      openIoredis(new Cluster(nodes.map(addressOf), timedCluster(options, timeoutMs)), nodes.join(',')),
  }
}

function timedCluster(options: ClusterOptions, timeoutMs: number) {
  const profile = { connectTimeout: timeoutMs, autoResendUnfulfilledCommands: false, replyMapping: 'legacy' } as const
  const redisOptions = { ...options.redisOptions, ...profile }
  return { ...options, ...CLUSTER_PROFILE, redisOptions }
}

function addressOf(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

/** Of ioredis, what is used. */
type IoredisClient = Redis | Cluster

async function openIoredis(client: IoredisClient, label: string): Promise<Connection> {
  let failure: unknown
  client.on('error', (error: unknown) => (failure = error))
  try {
    await client.connect()
  } catch (error) {
    client.disconnect()
    throw serverError(lastNodeError(failure) ?? error, label)
  }
  return ioredisConnection(client, () => {
    client.disconnect()
  })
}

/** What a cluster's client says is that all nodes failed; why, it puts beside. */
function lastNodeError(failure: unknown): unknown {
  return (failure as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? failure
}

function ioredisConnection(client: IoredisClient, destroy: () => void): Connection {
  const masters = client.isCluster
    ? () => Promise.resolve((client as Cluster).nodes('master').map((node) => ioredisConnection(node, () => undefined)))
    : undefined
  return {
    ...(masters && { masters }),
    async send(_key, commands) {
      const [first] = commands
      if (commands.length === 1 && first !== undefined) return [await ioredisCall(client, first)]
      // By one pipeline they all go to the server of the first one's keys.
      const pipeline = client.pipeline()
      for (const command of commands) ioredisCall(pipeline, command)
      const answers = (await pipeline.exec()) ?? []
      for (const [error] of answers) if (error !== null) throw error
      return answers.map(([, answer]) => answer)
    },
    destroy,
  }
}

/** Scripts by their own method: `call` would not know the slot of their keys. */
function ioredisCall(client: object, [name = '', ...args]: readonly Word[]): unknown {
  const methods = client as Record<string, (...args: unknown[]) => unknown>
  const method = String(name).toLowerCase()
  if (method === 'evalsha' || method === 'eval') return methods[method]?.(...args)
  return methods['call']?.(name, ...args)
}

/** What is used of the users' clients. */
interface AnyClient {
  readonly isCluster?: boolean
  readonly options?: Record<string, unknown>
  readonly _options?: Record<string, unknown>
  readonly slots?: unknown
  readonly masters?: readonly unknown[]
  nodeClient?(node: unknown): AnyClient | Promise<AnyClient>
  duplicate?(...args: unknown[]): unknown
  connect?(): Promise<unknown>
  sendCommand?(...args: unknown[]): Promise<unknown>
  call?(...args: unknown[]): Promise<unknown>
  on?(event: string, listener: (error: unknown) => void): unknown
  destroy?(): unknown
  disconnect?(): unknown
}

function clientConnector(client: object): Connector {
  const given = client as AnyClient
  const label = 'the server of the given client'
  if (typeof given.call === 'function') return givenIoredis(given, label)
  if (typeof given.sendCommand === 'function') return givenNodeRedis(given, label)
  throw redisError(
    'ARGUMENT_INVALID',
    'the client has neither `call` nor `sendCommand`; give one of ioredis or node-redis',
  )
}

function givenIoredis(given: AnyClient, label: string): Connector {
  const isCluster = given.isCluster === true
  const { keyPrefix = '', redisOptions = {} } = given.options as { keyPrefix?: string; redisOptions?: object }
  const isOwn = typeof given.duplicate === 'function'
  return {
    label,
    isCluster,
    keyPrefix,
    isOwn,
    connect(timeoutMs) {
      if (!isOwn) return Promise.resolve(ioredisConnection(given as unknown as Redis, () => undefined))
      const copy = isCluster
        ? given.duplicate?.([], timedCluster({ redisOptions }, timeoutMs))
        : given.duplicate?.({ ...PROFILE, connectTimeout: timeoutMs })
      return openIoredis(copy as IoredisClient, label)
    },
  }
}

function givenNodeRedis(given: AnyClient, label: string): Connector {
  // A cluster's client knows its slots, and wants to be told a command's first key.
  const isCluster = given.slots !== undefined
  const isOwn = typeof given.duplicate === 'function'
  return {
    label,
    isCluster,
    keyPrefix: '',
    isOwn,
    async connect(timeoutMs) {
      if (!isOwn) return nodeRedisConnection(given, isCluster, () => undefined)
      const socket = {
        ...(given.options?.['socket'] as object | undefined),
        connectTimeout: timeoutMs,
        reconnectStrategy: false,
      }
      const copy = given.duplicate?.(isCluster ? {} : { socket, disableOfflineQueue: true }) as AnyClient
      copy.on?.('error', () => undefined)
      const destroy = (): void => {
        // It throws for one that is closed already.
        try {
          copy.destroy?.()
        } catch {
          return
        }
      }
      try {
        await copy.connect?.()
      } catch (error) {
        destroy()
        throw serverError(error, label)
      }
      return nodeRedisConnection(copy, isCluster, destroy)
    },
  }
}

function nodeRedisConnection(client: AnyClient, isCluster: boolean, destroy: () => void): Connection {
  const masters = (): Promise<Connection[]> =>
    Promise.all(
      (client.masters ?? []).map(async (node) =>
        nodeRedisConnection((await client.nodeClient?.(node)) ?? client, false, () => undefined),
      ),
    )
  return {
    ...(isCluster && { masters }),
    send(key, commands) {
      const call = (words: readonly Word[]): Promise<unknown> =>
        (isCluster ? client.sendCommand?.(key, false, words) : client.sendCommand?.(words)) ?? Promise.resolve()
      return Promise.all(commands.map(call))
    },
    destroy,
  }
}

/**
 * The connections of a sink: one for each call that goes on at the same time. After a time-out, an abort or an error of the connection it
 * is ended, never used again (E9).
 */
export class Connections {
  readonly #connector: Connector
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  #closed = false

  constructor(connector: Connector, clock: Clock, timeoutMs: number) {
    this.#connector = connector
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  get label(): string {
    return this.#connector.label
  }

  /** Lends a connection for `work`, which may make any number of calls by {@link Calls}. */
  async use<R>(signal: AbortSignal | undefined, work: (calls: Calls) => Promise<R>): Promise<R> {
    signal?.throwIfAborted()
    if (this.#closed) throw redisError('STOPPED', 'the sink is closed; open it before it is written to')
    const connection = this.#idle.pop() ?? (await this.#connect(signal))
    const abort = abortOf(signal)
    const callsOn = (to: Pick<Connection, 'send'>): Calls =>
      new Calls(
        (key, commands) => this.#timed(this.#send(to, key, commands), 'a call', abort.comes),
        async () => (await connection.masters?.())?.map(callsOn),
      )
    const calls = callsOn(connection)
    try {
      const result = await work(calls)
      if (this.#closed) this.#end(connection)
      else this.#idle.push(connection)
      return result
    } catch (error) {
      this.#end(connection)
      throw error
    } finally {
      abort.forget()
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<Connection> {
    let isWanted = true
    const connecting = this.#connector.connect(this.#timeoutMs).then((connection) => {
      if (isWanted && !this.#closed) {
        this.#all.add(connection)
        return connection
      }
      connection.destroy()
      throw redisError('STOPPED', 'the sink was closed while it connected; open it again')
    })
    const abort = abortOf(signal)
    try {
      return await this.#timed(connecting, 'connecting', abort.comes)
    } finally {
      isWanted = false
      abort.forget()
    }
  }

  async #send(
    connection: Pick<Connection, 'send'>,
    key: Word,
    commands: readonly (readonly Word[])[],
  ): Promise<unknown[]> {
    try {
      return await connection.send(key, commands)
    } catch (error) {
      throw serverError(error, this.label)
    }
  }

  #end(connection: Connection): void {
    this.#all.delete(connection)
    connection.destroy()
  }

  /** Ends with `work`, with the abort, or with a time-out, whichever is first. */
  async #timed<R>(work: Promise<R>, what: string, abort: Promise<never>): Promise<R> {
    const timer = new AbortController()
    const late = this.#clock.sleep(this.#timeoutMs, timer.signal).then(() => {
      throw this.#timeout(what)
    })
    // Those that come too late are nobody's.
    for (const each of [work, late]) each.catch(() => undefined)
    try {
      return await Promise.race([work, late, abort])
    } finally {
      timer.abort()
    }
  }

  #timeout(what: string) {
    return redisError(
      'TIMEOUT',
      `${what} has not ended within ${String(this.#timeoutMs)} ms at ${this.label}; is the server up? Else raise callTimeoutMs`,
      { retryable: true },
    )
  }

  /** Ends all connections: what is under way fails. */
  close(): void {
    this.#closed = true
    this.#idle.length = 0
    for (const connection of this.#all) this.#end(connection)
  }
}

/** A promise that rejects with the reason of the signal, with one listener however many wait for it. */
function abortOf(signal: AbortSignal | undefined): { readonly comes: Promise<never>; forget(): void } {
  let onAbort = (): void => undefined
  const comes = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(signal?.reason as Error)
    }
  })
  comes.catch(() => undefined)
  signal?.addEventListener('abort', onAbort, { once: true })
  return {
    comes,
    forget: () => {
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

type Send = (key: Word, commands: readonly (readonly Word[])[]) => Promise<unknown[]>

/** Calls on one connection. */
export class Calls {
  readonly #send: Send
  readonly #masters: () => Promise<readonly Calls[] | undefined>

  constructor(send: Send, masters: () => Promise<readonly Calls[] | undefined>) {
    this.#send = send
    this.#masters = masters
  }

  /** Calls to each server that takes writes: of a cluster, to all its masters. */
  async servers(): Promise<readonly Calls[]> {
    return (await this.#masters()) ?? [this]
  }

  /** Runs a script, and what is to follow it on the same server. */
  async run(
    script: Script,
    keys: readonly Word[],
    args: readonly Word[],
    ...next: readonly (readonly Word[])[]
  ): Promise<{ readonly answer: readonly string[]; readonly after: readonly unknown[] }> {
    const words = [String(keys.length), ...keys, ...args]
    const [key = ''] = keys
    const [answer, ...after] = await this.#send(key, [['EVALSHA', script.sha, ...words], ...next]).catch(
      (error: unknown) => {
        if (!messageOf(error).includes('NOSCRIPT')) throw error
        return this.#send(key, [['EVAL', script.source, ...words], ...next])
      },
    )
    return { answer: (answer as unknown[]).map(String), after }
  }

  async command(key: Word, ...words: readonly Word[]): Promise<unknown> {
    const [answer] = await this.#send(key, [words])
    return answer
  }
}
