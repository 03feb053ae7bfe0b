/** Connections to PostgreSQL: a pool of ours, a pool of the user's, or one client of theirs. */
import type { Pool } from 'pg'
import { messageOf, sqlError } from '../errors.js'
import type { ServerConnection, ServerSource } from '../server/server-session.js'
import { Turns } from '../turns.js'
import { isCall, NOTHING, type Outcome, type SqlRow, type Step } from '../steps.js'
import { CopyIn } from './copy-in.js'
import { isLost, isTransient, toSluiceError } from './postgres-errors.js'

/** The calls that the sink makes on a client of the `pg` package. */
export interface PostgresClient {
  query(query: { readonly text: string; readonly values?: unknown[] }): Promise<unknown>
  on?(event: 'error', listener: (error: Error) => void): unknown
  off?(event: 'error', listener: (error: Error) => void): unknown
}

export interface PostgresPooledClient extends PostgresClient {
  release(destroy?: boolean): void
}

/** The call that the sink makes on a pool of the `pg` package. */
export interface PostgresPool {
  connect(): Promise<PostgresPooledClient>
}

/** Statements inside a transaction, for mode `custom`. Values take the places of `$1`, `$2`, … */
export interface PostgresTransaction {
  /** Resolves with the rows, whose values are as the `pg` package makes them, and with how many were changed. */
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: readonly SqlRow[]; changes: number }>
}

interface QueryResult {
  readonly rows: readonly SqlRow[]
  readonly rowCount: number | null
  readonly command: string
}

/** What is set for one transaction. Whatever the user's own settings are, these hold. */
export interface TransactionSettings {
  /** The server ends a transaction in which this process says nothing for so long: a stopped process must not hold locks for ever. */
  readonly idleTimeoutMs: number
  readonly lockTimeoutMs: number
}

class PostgresConnection implements ServerConnection {
  readonly #client: PostgresClient
  readonly #settings: TransactionSettings
  readonly #done: (isUsable: boolean) => void | Promise<void>
  #isDone = false
  readonly #onError = (): void => undefined

  constructor(
    client: PostgresClient,
    settings: TransactionSettings,
    done: (isUsable: boolean) => void | Promise<void>,
  ) {
    this.#client = client
    this.#settings = settings
    this.#done = done
    // Without a listener the end of a connection would be the end of the process.
    client.on?.('error', this.#onError)
  }

  async begin(): Promise<void> {
    const { idleTimeoutMs, lockTimeoutMs } = this.#settings
    const settings = {
      idle_in_transaction_session_timeout: String(idleTimeoutMs),
      lock_timeout: String(lockTimeoutMs),
      synchronous_commit: 'on',
      standard_conforming_strings: 'on',
      timezone: "'UTC'",
      datestyle: "'ISO'",
    }
    const set = Object.entries(settings).map(([name, value]) => `SET LOCAL ${name} = ${value}`)
    await this.#client.query({ text: ['BEGIN ISOLATION LEVEL READ COMMITTED', ...set].join('; ') })
  }

  async run(step: Step): Promise<Outcome> {
    if (isCall(step)) {
      const transaction: PostgresTransaction = { query: (sql, values) => this.#query(sql, values) }
      return { ...NOTHING, result: await step.call(transaction as never) }
    }
    if (step.copied !== undefined) return this.#copy(step.sql, step.copied)
    return this.#query(step.sql, step.values)
  }

  async #copy(sql: string, rows: string): Promise<Outcome> {
    const copy = new CopyIn(sql, rows)
    // Only clients of our own come here: of `pg`, whose types know nothing of it.
    void (this.#client as unknown as { query(statement: CopyIn): unknown }).query(copy)
    await copy.done
    return NOTHING
  }

  async #query(sql: string, values: readonly unknown[] = []): Promise<Outcome> {
    const query = values.length === 0 ? { text: sql } : { text: sql, values: [...values] }
    const { rows, rowCount } = (await this.#client.query(query)) as QueryResult
    return { rows, changes: rowCount ?? 0 }
  }

  async commit(): Promise<void> {
    const { command } = (await this.#client.query({ text: 'COMMIT' })) as QueryResult
    // So it answers where an error was caught by whoever got it.
    if (command === 'COMMIT') return
    const message = 'a statement has failed in the transaction, and apply went on; let its error through'
    throw sqlError('OUTPUT_FAILED', message)
  }

  async rollback(): Promise<void> {
    await this.#client.query({ text: 'ROLLBACK' })
  }

  async release(): Promise<void> {
    await this.#end(true)
  }

  destroy(): void {
    void this.#end(false)
  }

  async #end(isUsable: boolean): Promise<void> {
    if (this.#isDone) return
    this.#isDone = true
    await this.#done(isUsable)
    // What is said of a destroyed one later is still heard, and means nothing.
    if (isUsable) this.#client.off?.('error', this.#onError)
  }
}

const shared = (label: string): Pick<ServerSource, 'label' | 'isLost' | 'isTransient' | 'toSluiceError'> => ({
  label,
  isLost,
  isTransient,
  toSluiceError: (error) => toSluiceError(error, label),
})

/** Connections of a pool; `close` ends it where it is ours. */
export function pooledSource(
  label: string,
  pool: PostgresPool,
  settings: TransactionSettings,
  { close, cutOff: cutAll = () => undefined }: Pick<ServerSource, 'close' | 'cutOff'>,
): ServerSource {
  return {
    ...shared(label),
    close,
    cutOff: cutAll,
    async acquire() {
      const client = await pool.connect()
      return new PostgresConnection(client, settings, (isUsable) => {
        if (!isUsable) cutOff(client)
        client.release(!isUsable)
      })
    },
  }
}

/** A client that says goodbye first would wait for a server that hangs. */
function cutOff(client: PostgresClient): void {
  const { connection } = client as { connection?: { stream?: { destroy?(): void } } }
  connection?.stream?.destroy?.()
}

/** The one client of the user's: transactions in turn. What was given up has to end by itself before the next one begins. */
export function clientSource(label: string, client: PostgresClient, settings: TransactionSettings): ServerSource {
  const turns = new Turns()
  return {
    ...shared(label),
    close: () => Promise.resolve(),
    async acquire() {
      const end = await turns.take()
      return new PostgresConnection(client, settings, async (isUsable) => {
        // Statements of one client run one after another: this one ends after those that were given up.
        if (!isUsable) await client.query({ text: 'ROLLBACK' }).catch(() => undefined)
        end()
      })
    },
  }
}

export interface PostgresConnectionOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  /** `ClientConfig` of the `pg` package that wins over the URL, such as `ssl: { ca }` or a `password` function. Its types are not needed to compile. */
  readonly connection?: Readonly<Record<string, unknown>> | undefined
  readonly connectTimeoutMs: number
  readonly connections: number
}

/** A pool of our own. Rejects when the `pg` package is not there. */
export async function ownPool(
  options: PostgresConnectionOptions,
): Promise<{ pool: PostgresPool } & Required<Pick<ServerSource, 'close' | 'cutOff'>>> {
  const driver = await loadDriver()
  const { url, connection, connectTimeoutMs, connections } = options
  const pool = new driver.Pool({
    connectionString: url,
    ...connection,
    connectionTimeoutMillis: connectTimeoutMs,
    max: connections,
    keepAlive: true,
  })
  pool.on('error', () => undefined)
  const clients = new Set<PostgresClient>()
  pool.on('connect', (client) => {
    clients.add(client)
    // Its end may come with the last word of its beginning, before anybody could listen.
    client.on('error', () => undefined)
  })
  pool.on('remove', (client) => clients.delete(client))
  return {
    pool,
    close: () => pool.end(),
    cutOff: () => {
      clients.forEach(cutOff)
    },
  }
}

async function loadDriver(): Promise<{ Pool: typeof Pool }> {
  try {
    return (await import('pg')).default
  } catch (error) {
    throw sqlError('CONNECTION_FAILED', `the driver is missing (${messageOf(error)}); npm install pg`, { cause: error })
  }
}
