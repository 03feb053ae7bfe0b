/** Options of the store, and what is wrong with them. */
import { requireThat } from './errors.js'
import { isNodeName } from './layout.js'

/** What is used of a client of node-zookeeper-client. */
export interface ZooKeeperClient {
  getChildren(path: string, callback: (error: unknown, children: string[]) => void): void
  getData(path: string, callback: (error: unknown, data: Buffer, stat: { readonly version: number }) => void): void
  create(path: string, acls: never[], callback: (error: unknown) => void): void
  transaction(): unknown
}

/** Where ZooKeeper is. */
export type ZooKeeperPlace = OwnPlace | GivenPlace

export interface OwnPlace {
  /** `host:port,host:port`, maybe with a folder that counts as the root and must be there: `host:port,host:port/kafka`. */
  readonly connect: string
  /** A user and password of ZooKeeper's own scheme `digest`. Default: nobody. */
  readonly auth?: { readonly user: string; readonly password: string } | undefined
  /** Milliseconds after which the server forgets a client that is silent. Default: 10,000. */
  readonly sessionTimeoutMs?: number | undefined
  readonly client?: undefined
}

interface GivenPlace {
  /** One of node-zookeeper-client, which you connect and close. It is used as it is: when its session has ended, the store has, too. */
  readonly client: ZooKeeperClient
  readonly connect?: undefined
}

export type ZooKeeperOffsetStoreOptions = ZooKeeperPlace & {
  /** The name of the consumer group. Default: the `appName`. */
  readonly group?: string | undefined
  /**
   * Who may do what with nodes that are made below `/consumers`: `open`: everybody all; `creator`: who made them all, others read.
   * Default: `open`, as Kafka has it.
   */
  readonly acl?: 'open' | 'creator' | undefined
  /** Milliseconds until a call of the store counts as failed, with all tries to connect. Default: 10,000. */
  readonly callTimeoutMs?: number | undefined
}

type AnyPlace = Pick<ZooKeeperPlace, 'connect' | 'client'> & Pick<Partial<OwnPlace>, 'auth' | 'sessionTimeoutMs'>

export const DEFAULT_TIMEOUT_MS = 10_000

/** Throws `ARGUMENT_INVALID`. */
export function checkOptions(options: ZooKeeperOffsetStoreOptions): void {
  const { group, acl = 'open', callTimeoutMs = 1 } = options
  const { connect, client, auth, sessionTimeoutMs = 1 }: AnyPlace = options
  requireThat((connect === undefined) !== (client === undefined), 'give one of `connect` and `client`')
  if (connect !== undefined) requireConnect(connect)
  if (client !== undefined) requireClient(client, auth)
  if (group !== undefined) requireGroup(group)
  requireThat(['open', 'creator'].includes(acl), `there is no acl '${String(acl)}'; use open or creator`)
  requireThat(acl === 'open' || client !== undefined || auth !== undefined, 'acl creator needs `auth`: nobody creates')
  requireThat(auth === undefined || /^[^:]+$/.test(auth.user), 'the user of `auth` must have a name without colons')
  for (const [name, ms] of Object.entries({ callTimeoutMs, sessionTimeoutMs }))
    requireThat(ms >= 1, `${name} must be at least 1, not ${String(ms)}`)
}

export function requireGroup(group: string): void {
  requireThat(
    isNodeName(group),
    `'${group}' cannot be the name of a group in ZooKeeper; give a \`group\` without slashes and control characters`,
  )
}

function requireConnect(connect: string): void {
  requireThat(
    /^[^\s:/,]+:\d+(,[^\s:/,]+:\d+)*(\/[^\s/:,]+)*$/.test(connect),
    `'${connect}' is not of the form host:port,host:port or host:port,host:port/folder`,
  )
}

function requireClient(client: ZooKeeperClient, auth: unknown): void {
  const isOne = ['getChildren', 'getData', 'create', 'transaction'].every(
    (name) => typeof (client as unknown as Record<string, unknown>)[name] === 'function',
  )
  requireThat(isOne, 'the `client` is none of node-zookeeper-client; make it by its createClient(), or give `connect`')
  requireThat(auth === undefined, 'a `client` brings its own user; call its addAuthInfo(), and leave `auth` out')
}
