/** Connections by a user's client of node-redis: of one server, a cluster, or sentinels. */
import type { Connection, Connector } from './connection.js'
import { serverError } from './errors.js'
import type { Word } from './values.js'

interface ClientOptions {
  readonly socket?: object
}

/** What is used of a user's client. */
export interface GivenNodeRedis {
  readonly isReady?: boolean
  readonly options?: ClientOptions
  /** Of a cluster's. */
  readonly _options?: { readonly defaults?: ClientOptions }
  readonly _keyPrefix?: string | Buffer
  /** Only a cluster's client knows slots. */
  readonly slots?: unknown
  readonly masters?: readonly unknown[]
  nodeClient?(node: unknown): GivenNodeRedis | Promise<GivenNodeRedis>
  /** Only that of sentinels lends clients. */
  acquire?(): unknown
  duplicate?(overrides: object): unknown
  connect?(): Promise<unknown>
  sendCommand?(...args: unknown[]): Promise<unknown>
  on?(event: string, listener: (error: unknown) => void): unknown
  destroy?(): unknown
}

/** A duplicate of a user's client; the client itself, where it cannot be duplicated. */
export function givenNodeRedis(given: GivenNodeRedis, label: string): Connector {
  const isOwn = typeof given.duplicate === 'function'
  return {
    label,
    isCluster: given.slots !== undefined,
    // Commands by their words go out as they are: that the client puts it before keys is for its methods.
    keyPrefix: String(given._keyPrefix ?? ''),
    isOwn,
    connect(timeoutMs, signal) {
      if (!isOwn) return Promise.resolve(connectionOf(given, () => undefined))
      return open(given.duplicate?.(profileOf(given, timeoutMs)) as GivenNodeRedis, label, signal)
    },
  }
}

/** No retries and no queue. The client of sentinels shows nothing of its options: it ends with what it has queued when it is destroyed. */
function profileOf(given: GivenNodeRedis, timeoutMs: number): object {
  const profile = (options: ClientOptions = {}) => ({
    ...options,
    socket: { ...options.socket, connectTimeout: timeoutMs, reconnectStrategy: false },
    disableOfflineQueue: true,
  })
  if (given.slots !== undefined) return { defaults: profile(given._options?.defaults) }
  // One connection, so that WAIT is about what was written before it.
  return given.acquire === undefined ? profile(given.options) : { masterPoolSize: 1 }
}

async function open(client: GivenNodeRedis, label: string, signal: AbortSignal): Promise<Connection> {
  client.on?.('error', () => undefined)
  const destroy = (): void => {
    // It throws for one that is closed already, or rejects.
    try {
      void Promise.resolve(client.destroy?.()).catch(() => undefined)
    } catch {
      return
    }
  }
  signal.addEventListener('abort', destroy, { once: true })
  try {
    await client.connect?.()
  } catch (error) {
    destroy()
    throw serverError(error, label)
  } finally {
    signal.removeEventListener('abort', destroy)
  }
  return connectionOf(client, destroy)
}

function connectionOf(client: GivenNodeRedis, destroy: () => void): Connection {
  const isCluster = client.slots !== undefined
  return {
    ...(isCluster && { masters: () => mastersOf(client) }),
    get isReady() {
      return client.isReady !== false
    },
    send: (key, commands) => Promise.all(commands.map((words) => call(client, key, words))),
    destroy,
  }
}

/** Each kind of client wants something else before the words. */
function call(client: GivenNodeRedis, key: Word, words: readonly Word[]): Promise<unknown> {
  const before = client.slots !== undefined ? [key, false] : client.acquire !== undefined ? [false] : []
  return client.sendCommand?.(...before, words) ?? Promise.resolve()
}

function mastersOf(client: GivenNodeRedis): Promise<Connection[]> {
  return Promise.all(
    (client.masters ?? []).map(async (node) =>
      connectionOf((await client.nodeClient?.(node)) ?? client, () => undefined),
    ),
  )
}
