/** Connections by ioredis, which comes with this package. */
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import type { Connection, Connector } from './connection.js'
import { serverError } from './errors.js'
import type { Word } from './values.js'

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
  // A node is connected to by its first command; others wait so long for it. One that was sent to a node which then died may so be sent again.
  retryDelayOnFailover: 100,
  scaleReads: 'master',
  keyPrefix: '',
} as const

type Timed = ReturnType<typeof profileOf>

function profileOf(timeoutMs: number) {
  // A sentinel's connection is the driver's own, and ends by nothing else.
  return { ...PROFILE, connectTimeout: timeoutMs, sentinelCommandTimeout: timeoutMs }
}

/** One server, by its URL, which can be parsed. */
export function urlConnector(url: string, options: RedisOptions = {}): Connector {
  return redisConnector(new URL(url).host, options, (timed) => new Redis(url, { ...options, ...timed }))
}

function redisConnector(label: string, { keyPrefix = '' }: RedisOptions, make: (timed: Timed) => Redis): Connector {
  return {
    label,
    isCluster: false,
    isOwn: true,
    keyPrefix,
    connect: (timeoutMs, signal) => open(make(profileOf(timeoutMs)), label, signal),
  }
}

export interface SentinelPlace {
  readonly sentinels: readonly string[]
  readonly master: string
  readonly options?: RedisOptions | undefined
}

export function sentinelConnector({ sentinels, master, options = {} }: SentinelPlace): Connector {
  const nodes = { sentinels: sentinels.map(addressOf), name: master }
  const label = `the master ${master} of ${sentinels.join(',')}`
  return redisConnector(
    label,
    options,
    (timed) => new Redis({ ...options, ...nodes, ...timed, sentinelRetryStrategy: () => null }),
  )
}

export function clusterConnector(nodes: readonly string[], options: ClusterOptions = {}): Connector {
  const label = nodes.join(',')
  return {
    label,
    isCluster: true,
    isOwn: true,
    keyPrefix: options.keyPrefix ?? '',
    connect: (timeoutMs, signal) =>
      open(new Cluster(nodes.map(addressOf), timedCluster(options, timeoutMs)), label, signal),
  }
}

function timedCluster(options: ClusterOptions, timeoutMs: number) {
  const profile = { connectTimeout: timeoutMs, autoResendUnfulfilledCommands: false, replyMapping: 'legacy' } as const
  const redisOptions = { ...options.redisOptions, ...profile }
  return { ...options, ...CLUSTER_PROFILE, slotsRefreshTimeout: timeoutMs, redisOptions }
}

function addressOf(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

/** What is used of a user's client. */
export interface GivenIoredis {
  readonly isCluster?: boolean
  readonly options?: { readonly keyPrefix?: string; readonly redisOptions?: object }
  duplicate?(...args: unknown[]): unknown
}

/** A duplicate of a user's client; the client itself, where it cannot be duplicated. */
export function givenIoredis(given: GivenIoredis, label: string): Connector {
  const isCluster = given.isCluster === true
  const { keyPrefix = '', redisOptions = {} } = given.options ?? {}
  const isOwn = typeof given.duplicate === 'function'
  return {
    label,
    isCluster,
    keyPrefix,
    isOwn,
    connect(timeoutMs, signal) {
      if (!isOwn) return Promise.resolve(connectionOf(given as Client, () => undefined))
      const copy = isCluster
        ? given.duplicate?.([], timedCluster({ redisOptions }, timeoutMs))
        : given.duplicate?.(profileOf(timeoutMs))
      return open(copy as Client, label, signal)
    },
  }
}

type Client = Redis | Cluster

async function open(client: Client, label: string, signal: AbortSignal): Promise<Connection> {
  let failure: unknown
  client.on('error', (error: unknown) => (failure = error))
  const destroy = (): void => {
    client.disconnect()
  }
  signal.addEventListener('abort', destroy, { once: true })
  try {
    await client.connect()
  } catch (error) {
    destroy()
    throw serverError(lastNodeError(failure) ?? error, label)
  } finally {
    signal.removeEventListener('abort', destroy)
  }
  return connectionOf(client, destroy)
}

/** What a cluster's client says is that all nodes failed; why, it puts beside. */
function lastNodeError(failure: unknown): unknown {
  return (failure as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? failure
}

function connectionOf(client: Client, destroy: () => void): Connection {
  const masters = client.isCluster
    ? () => Promise.resolve((client as Cluster).nodes('master').map((node) => connectionOf(node, () => undefined)))
    : undefined
  return {
    ...(masters && { masters }),
    get isReady() {
      return client.status === 'ready'
    },
    async send(_key, commands) {
      const [first] = commands
      if (commands.length === 1 && first !== undefined) return [await call(client, first)]
      // By one pipeline they all go to the server of the first one's keys.
      const pipeline = client.pipeline()
      for (const command of commands) call(pipeline, command)
      const answers = (await pipeline.exec()) ?? []
      for (const [error] of answers) if (error !== null) throw error
      return answers.map(([, answer]) => answer)
    },
    destroy,
  }
}

/** Scripts by their own method: `call` would not know the slot of their keys. */
function call(client: object, [name = '', ...args]: readonly Word[]): unknown {
  const methods = client as Record<string, (...args: unknown[]) => unknown>
  const method = String(name).toLowerCase()
  if (method === 'evalsha' || method === 'eval') return methods[method]?.(...args)
  return methods['call']?.(name, ...args)
}
