/** Connections to MySQL and MariaDB: a pool of ours, a pool of the user's, or one connection of theirs. */
import type { createPool } from 'mysql2/promise'
import { messageOf, sqlError } from '../errors.js'
import type { ServerConnection, ServerSource } from '../server/server-session.js'
import { LOCK_TIMEOUT_MS } from '../server/server-options.js'
import { Turns } from '../turns.js'
import { isCall, NOTHING, type Outcome, type SqlRow, type Step } from '../steps.js'
import { isLost, isTransient, toSluiceError } from './mysql-errors.js'
import { filled } from './mysql-literal.js'

/** The call that the sink makes on a connection of `mysql2/promise`. */
export interface MysqlClient {
  query(sql: string, values?: unknown[] | null): Promise<[unknown, unknown]>
}

export interface MysqlPooledClient extends MysqlClient {
  release(): void
  destroy(): void
}

/** The call that the sink makes on a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlPooledClient>
}

/** Statements inside a transaction, for mode `custom`. Values take the places of `?`. */
export interface MysqlTransaction {
  /** Resolves with the rows, whose values are as mysql2 makes them, and with how many were changed. */
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: readonly SqlRow[]; changes: number }>
}

/**
 * What holds in our transactions: nothing is cut, a zero is a zero, backslashes escape, times are UTC, and the server ends a transaction
 * in which this process says nothing any more.
 */
const settingsOf = (idleTimeoutMs: number): Readonly<Record<string, string>> => ({
  sql_mode: "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'",
  time_zone: "'+00:00'",
  // It knows whole seconds only.
  wait_timeout: String(Math.ceil(idleTimeoutMs / 1_000)),
  innodb_lock_wait_timeout: String(LOCK_TIMEOUT_MS / 1_000),
})
const NAMES = Object.keys(settingsOf(0))
const KEEP = `SET ${NAMES.map((name) => `@sluice_${name} = @@SESSION.${name}`).join(', ')}`
const setting = (idleTimeoutMs: number): string =>
  `SET ${Object.entries(settingsOf(idleTimeoutMs))
    .map(([name, value]) => `SESSION ${name} = ${value}`)
    .join(', ')}`
const PUT_BACK = `SET ${NAMES.map((name) => `SESSION ${name} = @sluice_${name}`).join(', ')}`
const ISOLATION = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED'

/** How a connection is made ready for a transaction, and given back. */
interface Handling {
  before(client: MysqlClient): Promise<void>
  after(client: MysqlClient): Promise<void>
  done(isUsable: boolean): void
  /**
   * What to say for the values of a statement that has them in its text. For null mysql2 sends the text as it is; for `[]` it looks
   * through all of it, but takes no `:name` in it for a placeholder where the user's connection knows such.
   */
  readonly noValues: null | []
}

class MysqlConnection implements ServerConnection {
  readonly #client: MysqlClient
  readonly #handling: Handling
  #isDone = false

  constructor(client: MysqlClient, handling: Handling) {
    this.#client = client
    this.#handling = handling
  }

  async begin(): Promise<void> {
    await this.#handling.before(this.#client)
    await this.#client.query('START TRANSACTION')
  }

  async run(step: Step): Promise<Outcome> {
    if (!isCall(step)) return this.#query(step.values === undefined ? step.sql : filled(step.sql, step.values))
    const query: MysqlTransaction['query'] = async (sql, values) =>
      outcomeOf(await this.#client.query(sql, values === undefined ? undefined : [...values]))
    return { ...NOTHING, result: await step.call({ query } as never) }
  }

  async #query(sql: string): Promise<Outcome> {
    try {
      return outcomeOf(await this.#client.query(sql, this.#handling.noValues))
    } catch (error) {
      // The statement holds the records of thousands, and may be logged with the error.
      if (typeof error === 'object' && error !== null) Reflect.deleteProperty(error, 'sql')
      throw error
    }
  }

  async commit(): Promise<void> {
    await this.#client.query('COMMIT')
  }

  async rollback(): Promise<void> {
    await this.#client.query('ROLLBACK')
  }

  async release(): Promise<void> {
    if (this.#isDone) return
    try {
      await this.#handling.after(this.#client)
    } catch {
      this.destroy()
      return
    }
    this.#end(true)
  }

  destroy(): void {
    this.#end(false)
  }

  #end(isUsable: boolean): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#handling.done(isUsable)
  }
}

/** `affectedRows` counts what has changed, or what has matched, by an option of the connection; the text has both. */
function outcomeOf([result]: readonly unknown[]): Outcome {
  if (Array.isArray(result)) return { rows: result as SqlRow[], changes: 0 }
  const { affectedRows = 0, info = '' } = result as { affectedRows?: number; info?: string }
  const matched = /Rows matched: (\d+)/.exec(info)?.[1]
  return { rows: [], changes: matched === undefined ? affectedRows : Number(matched) }
}

const shared = (label: string): Pick<ServerSource, 'label' | 'isLost' | 'isTransient' | 'toSluiceError'> => ({
  label,
  isLost,
  isTransient,
  toSluiceError: (error) => toSluiceError(error, label),
})

/** Connections of a pool that is ours: they are set once. */
export function ownSource(
  label: string,
  pool: MysqlPool,
  idleTimeoutMs: number,
  end: Pick<ServerSource, 'close' | 'cutOff'>,
): ServerSource {
  const ready = new WeakSet<object>()
  return {
    ...shared(label),
    ...end,
    async acquire() {
      const client = await pool.getConnection()
      // The pool gives the same connection in another wrapper each time.
      const { connection = client } = client as { connection?: object }
      return new MysqlConnection(client, {
        async before() {
          if (ready.has(connection)) return
          await client.query(setting(idleTimeoutMs))
          await client.query(ISOLATION.replace('SET', 'SET SESSION'))
          ready.add(connection)
        },
        after: () => Promise.resolve(),
        noValues: null,
        done: (isUsable) => {
          giveBack(client, isUsable)
        },
      })
    },
  }
}

const borrowed = (idleTimeoutMs: number): Omit<Handling, 'done'> => ({
  noValues: [],
  async before(client) {
    await client.query(KEEP)
    await client.query(setting(idleTimeoutMs))
    await client.query(ISOLATION)
  },
  async after(client) {
    await client.query(PUT_BACK)
  },
})

/** Connections of the user's pool: they are given back as they were. */
export function pooledSource(label: string, pool: MysqlPool, idleTimeoutMs: number): ServerSource {
  return {
    ...shared(label),
    close: () => Promise.resolve(),
    async acquire() {
      const client = await pool.getConnection()
      const done = (isUsable: boolean): void => {
        giveBack(client, isUsable)
      }
      return new MysqlConnection(client, { ...borrowed(idleTimeoutMs), done })
    },
  }
}

function giveBack(client: MysqlPooledClient, isUsable: boolean): void {
  if (isUsable) {
    client.release()
    return
  }
  client.destroy()
  // It would wait for a server that hangs.
  const { connection } = client as { connection?: { stream?: { destroy?(): void } } }
  connection?.stream?.destroy?.()
}

/** The one connection of the user's: transactions in turn. What was given up has to end by itself before the next one begins. */
export function clientSource(label: string, client: MysqlClient, idleTimeoutMs: number): ServerSource {
  const turns = new Turns()
  return {
    ...shared(label),
    close: () => Promise.resolve(),
    async acquire() {
      const end = await turns.take()
      const done = (isUsable: boolean): void => {
        // Statements of one connection run one after another: these end after those that were given up.
        const ended = isUsable ? Promise.resolve() : client.query('ROLLBACK').then(() => client.query(PUT_BACK))
        ended.then(end, end)
      }
      return new MysqlConnection(client, { ...borrowed(idleTimeoutMs), done })
    },
  }
}

export interface MysqlConnectionOptions {
  /** `mysql://user:password@host:port/database` */
  readonly url: string
  /** `PoolOptions` of mysql2 that win over those in the URL, such as `ssl: { ca }`. Its types are not needed to compile. */
  readonly connection?: Readonly<Record<string, unknown>> | undefined
  readonly connectTimeoutMs: number
  readonly connections: number
}

/** A pool of our own. Rejects when mysql2 is not there. */
export async function ownPool(
  options: MysqlConnectionOptions,
): Promise<{ pool: MysqlPool } & Pick<ServerSource, 'close' | 'cutOff'>> {
  const { url, connection, connectTimeoutMs, connections } = options
  const driver = await loadDriver()
  const pool = driver.createPool({
    uri: url,
    ...connection,
    connectTimeout: connectTimeoutMs,
    connectionLimit: connections,
    charset: 'utf8mb4',
    // Numbers that no number holds are texts.
    supportBigNumbers: true,
    bigNumberStrings: true,
    multipleStatements: false,
    namedPlaceholders: false,
    enableKeepAlive: true,
  })
  const open = new Set<{ destroy(): void }>()
  pool.on('connection', (connection) => {
    open.add(connection)
    connection.once('end', () => open.delete(connection))
  })
  return {
    pool: pool as unknown as MysqlPool,
    close: () => pool.end(),
    cutOff: () => {
      for (const connection of open) connection.destroy()
    },
  }
}

async function loadDriver(): Promise<{ createPool: typeof createPool }> {
  try {
    return await import('mysql2/promise')
  } catch (error) {
    throw sqlError('CONNECTION_FAILED', `the driver is missing (${messageOf(error)}); npm install mysql2`, {
      cause: error,
    })
  }
}
