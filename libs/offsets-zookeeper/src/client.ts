/**
 * Clients of node-zookeeper-client as promises. What is odd about it is dealt with here, and nowhere else: it connects again for ever
 * and cannot be told to stop, never notices that a server is silent, and throws into the event loop for answers that it does not know.
 */
import { ACL, createClient, type Client } from 'node-zookeeper-client'
import type { Socket } from 'node:net'
import { ANSWER, answerOf, zooKeeperError } from './errors.js'
import { DEFAULT_TIMEOUT_MS, type OwnPlace, type ZooKeeperClient } from './zookeeper-offset-store.config.js'

/** A write of one node. */
export interface Write {
  readonly path: string
  readonly data: string
  /** That it must have; undefined: it is not there. */
  readonly version: number | undefined
}

interface Refused {
  readonly write: Write
  /** {@link ANSWER}`.noNode`, `.badVersion` or `.nodeExists`. */
  readonly answer: number
}

export interface Node {
  readonly data: string
  readonly version: number
}

/** They reject as the client does, and may never end: whoever calls has the deadline. */
export interface Calls {
  /** The names below; undefined where there is no such node. */
  children(path: string): Promise<readonly string[] | undefined>
  read(path: string): Promise<Node | undefined>
  /** Makes an empty node, unless it is there. */
  make(path: string, acl: Acl): Promise<void>
  /** Writes all nodes, or none: then it gives the first that is not as expected. */
  write(writes: readonly Write[], acl: Acl): Promise<Refused | undefined>
  /** What is read after it is what all servers have agreed on before it. Rejects where the root is not there. */
  sync(): Promise<void>
}

type Acl = 'open' | 'creator'

export interface Connection extends Calls {
  /** False when it is of no use any more. */
  readonly isAlive: boolean
  /** Whether there is a session. */
  readonly isReady: boolean
  /** Resolves then. */
  readonly ready: Promise<void>
  /** Rejects when it has ended: the client forgets some of the calls that are under way. */
  readonly lost: Promise<never>
  /** Ends it at once. What was sent may still be done. */
  destroy(): void
  /** Lets the server end it, which it may not do. Only of one that has a session. */
  end(): Promise<void>
}

/** One that is the user's: never ended. */
export function givenConnection(client: ZooKeeperClient): Connection {
  return {
    ...callsOn(client),
    isAlive: true,
    isReady: true,
    ready: Promise.resolve(),
    lost: new Promise(() => undefined),
    destroy: () => undefined,
    end: () => Promise.resolve(),
  }
}

/** What is used of the inner life of a client, of version 1.1.3. */
interface Manager {
  readonly socket?: Socket
  readonly connectTimeoutHandler: NodeJS.Timeout | null
  findNextServer(callback: (server: unknown) => void): void
  onSocketData(data: Buffer): void
}

/** The server has not said why. */
export class NoSession extends Error {
  override readonly message = 'it gave no session'
}

/** How long it waits, at most, when no server could be reached, before it tries all again. */
const SPIN_MS = 200

/** Connects; one that breaks later is not mended, but has ended. */
export function ownConnection({ connect, auth, sessionTimeoutMs = DEFAULT_TIMEOUT_MS }: OwnPlace): Connection {
  const client = createClient(connect, { sessionTimeout: sessionTimeoutMs, spinDelay: SPIN_MS, retries: 0 })
  const manager = (client as unknown as { readonly connectionManager: Manager }).connectionManager
  let isAlive = true
  let isReady = false
  let problem: Error | undefined
  let lose: (error: Error) => void
  const lost = new Promise<never>((_, reject) => (lose = reject))
  lost.catch(() => undefined)
  const ready = new Promise<void>((resolve) => {
    client.once('connected', () => {
      isReady = true
      resolve()
    })
  })
  const destroy = (error = problem ?? new NoSession()): void => {
    if (!isAlive) return
    isAlive = false
    lose(error)
    manager.socket?.destroy()
    clearTimeout(manager.connectTimeoutHandler ?? undefined)
  }
  guard(manager, {
    isAlive: () => isAlive,
    failed: (error) => (problem = error),
    broken: destroy,
  })
  const rejected = zooKeeperError('CONNECTION_FAILED', `${connect} refuses the user of \`auth\`; see to its name`)
  client.once('authenticationFailed', () => destroy(rejected))
  client.once('disconnected', () => destroy())
  if (auth !== undefined) client.addAuthInfo('digest', Buffer.from(`${auth.user}:${auth.password}`))
  client.connect()
  return {
    ...callsOn(client),
    ready,
    lost,
    destroy: () => {
      destroy()
    },
    get isAlive() {
      return isAlive
    },
    get isReady() {
      return isReady
    },
    end: () => ended(client),
  }
}

interface Guard {
  isAlive(): boolean
  failed(error: Error): void
  broken(error: Error): void
}

/** The client goes on only while it is wanted, tells why it cannot connect, and errors in its handlers stay here. */
function guard(manager: Manager, { isAlive, failed, broken }: Guard): void {
  const findNextServer = manager.findNextServer.bind(manager)
  manager.findNextServer = (callback) => {
    findNextServer((server) => {
      if (!isAlive()) return
      callback(server)
      manager.socket?.once('error', failed)
    })
  }
  const onSocketData = manager.onSocketData.bind(manager)
  manager.onSocketData = (data) => {
    try {
      onSocketData(data)
    } catch (error) {
      broken(error as Error)
    }
  }
}

/** The session is not left for the server to time out, if it listens. */
function ended(client: Client): Promise<void> {
  return new Promise((resolve) => {
    client.once('disconnected', resolve)
    client.close()
  })
}

/** What is used of a transaction. */
interface Transaction {
  readonly ops: { version?: number }[]
  create(path: string, data: Buffer, acls: ACL[]): void
  setData(path: string, data: Buffer, version: number): void
  check(path: string): void
  commit(callback: (error: unknown, results?: readonly { readonly err?: number }[]) => void): void
}

type Acls = typeof ACL & {
  readonly OPEN_ACL_UNSAFE: ACL[]
  readonly CREATOR_ALL_ACL: ACL[]
  readonly READ_ACL_UNSAFE: ACL[]
}
const { OPEN_ACL_UNSAFE, CREATOR_ALL_ACL, READ_ACL_UNSAFE } = ACL as Acls
const acls = { open: OPEN_ACL_UNSAFE, creator: [...CREATOR_ALL_ACL, ...READ_ACL_UNSAFE] }

function callsOn(client: ZooKeeperClient): Calls {
  return {
    children: (path) =>
      orUndefined(ANSWER.noNode, (done: Done<string[]>) => {
        client.getChildren(path, done)
      }),
    read: (path) =>
      orUndefined(ANSWER.noNode, (done: Done<Node>) => {
        client.getData(path, (error, data, stat) => {
          // Of an empty node there are no data.
          done(error, error ? undefined : { data: String((data as Buffer | undefined) ?? ''), version: stat.version })
        })
      }),
    make: (path, acl) =>
      orUndefined(ANSWER.nodeExists, (done: Done<undefined>) => {
        client.create(path, acls[acl] as never[], done)
      }),
    write: (writes, acl) => write(client.transaction() as Transaction, writes, acls[acl]),
    async sync() {
      // The client has no sync. A transaction that changes nothing goes to the leader as well.
      const transaction = client.transaction() as Transaction
      transaction.check('/')
      try {
        await promised((done: Done<unknown>) => {
          transaction.commit(done)
        })
      } catch (error) {
        // Who may not read the root has asked the leader all the same.
        if (answerOf(error) !== ANSWER.noAuth) throw error
      }
    },
  }
}

type Done<T> = (error: unknown, value?: T) => void

function promised<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => {
      // Null or undefined, as it happens.
      if (error) reject(error)
      else resolve(value as T)
    })
  })
}

async function orUndefined<T>(expected: number, call: (done: Done<T>) => void): Promise<T | undefined> {
  try {
    return await promised(call)
  } catch (error) {
    if (answerOf(error) === expected) return undefined
    throw error
  }
}

function write(transaction: Transaction, writes: readonly Write[], acl: ACL[]): Promise<Refused | undefined> {
  for (const { path, data, version } of writes) {
    if (version === undefined) transaction.create(path, Buffer.from(data), acl)
    else {
      transaction.setData(path, Buffer.from(data), version)
      // The client takes version 0 for none, and would overwrite anything.
      const [op] = transaction.ops.slice(-1)
      if (op === undefined) throw new Error('a transaction of node-zookeeper-client without its ops')
      op.version = version
    }
  }
  return new Promise<Refused | undefined>((resolve, reject) => {
    transaction.commit((error, results) => {
      if (!error) {
        resolve(undefined)
        return
      }
      // Those before the refused one are told as 0, those after it as undone.
      const write = writes[results?.findIndex(({ err = 0 }) => err !== 0) ?? -1]
      const answer = answerOf(error)
      if (write === undefined || answer === undefined || !UNEXPECTED.includes(answer)) reject(error)
      else resolve({ write, answer })
    })
  })
}

const UNEXPECTED: readonly number[] = [ANSWER.noNode, ANSWER.badVersion, ANSWER.nodeExists]
