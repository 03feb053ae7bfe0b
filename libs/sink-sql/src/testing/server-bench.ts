/** What tests of one sink against one server need: a table of their own, sinks on it, and what is in it. */
import {
  isSluiceError,
  systemClock,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { mysqlSink, type MysqlSinkOptions } from '../mysql.js'
import { postgresSink, type PostgresSinkOptions } from '../postgres.js'

export interface Sale {
  readonly id: number
  readonly what: string
}

export type SaleOptions = Partial<Omit<PostgresSinkOptions<Sale> & MysqlSinkOptions<Sale>, 'url'>> & { url?: string }
export type Ask = (sql: string) => Promise<readonly Record<string, unknown>[]>

export interface Kind {
  make(options: SaleOptions & { url: string }): Sink<Sale>
  connect(url: string): {
    /** As the sink takes it. */
    readonly pool: unknown
    ask: Ask
    /** Processes of the server for connections of this user, beside its own. */
    processes(): Promise<number[]>
    transaction(work: (ask: Ask) => Promise<void>): Promise<void>
    end(): Promise<void>
  }
}

export const inPostgres: Kind = {
  make: (options) => postgresSink<Sale>(options as never),
  connect(url) {
    const pool = new pg.Pool({ connectionString: url, max: 3 })
    pool.on('error', () => undefined)
    const ask: Ask = async (sql) => (await pool.query(sql)).rows as Record<string, unknown>[]
    return {
      pool,
      ask,
      processes: async () =>
        (await ask('SELECT pid FROM pg_stat_activity WHERE usename = current_user')).map(({ pid }) => Number(pid)),
      async transaction(work) {
        const client = await pool.connect()
        await work(async (sql) => (await client.query(sql)).rows as Record<string, unknown>[])
        client.release()
      },
      end: () => pool.end(),
    }
  },
}

export const inMysql: Kind = {
  make: (options) => mysqlSink<Sale>(options as never),
  connect(url) {
    const pool = createPool({ uri: url, connectionLimit: 3 })
    return {
      pool,
      ask: async (sql) => (await pool.query(sql))[0] as Record<string, unknown>[],
      processes: () => Promise.resolve([]),
      async transaction(work) {
        const client = await pool.getConnection()
        await work(async (sql) => (await client.query(sql))[0] as Record<string, unknown>[])
        client.release()
      },
      end: () => pool.end(),
    }
  },
}

const first: BatchPartitionId = {
  app: 'app',
  output: 'to-0',
  batchTime: 1_000,
  partition: 0,
  partitions: 1,
  planDigest: 'plan',
  epoch: 1,
  attempt: 0,
}
export const saleColumns = { id: 'integer', what: 'text' } as const
export const sales = (...ids: number[]): Sale[] => ids.map((id) => ({ id, what: `sale ${String(id)}` }))
export const code = (wanted: string) => (error: unknown) => isSluiceError(error) && error.code === wanted

async function* oneChunk<T>(records: readonly T[]): AsyncGenerator<readonly T[]> {
  yield await Promise.resolve(records)
}

let tables = 0

export class ServerBench {
  readonly table = `sales_${String(process.pid)}_${String(++tables)}`
  readonly app = `app of ${this.table}`
  readonly #kind: Kind
  readonly #url: string
  readonly #ask: Ask
  #open: Sink<Sale>[] = []

  constructor(kind: Kind, url: string, ask: Ask) {
    this.#kind = kind
    this.#url = url
    this.#ask = ask
  }

  /** In mode `insert`. */
  sinkOf(more: SaleOptions = {}): Sink<Sale> {
    const place = more.pool === undefined && more.client === undefined ? { url: this.#url } : {}
    const all = { ...place, table: this.table, mode: 'insert', columns: saleColumns, key: 'id', ...more }
    return this.#kind.make(all as SaleOptions & { url: string })
  }

  async opened(sink: Sink<Sale>, context: Partial<SinkContext> = {}): Promise<Sink<Sale>> {
    this.#open.push(sink)
    const say = (): void => undefined
    const logger = { debug: say, info: say, warn: say, error: say }
    const { signal } = new AbortController()
    const rest = { output: 'to-0', epoch: 1, lastPlanned: 1_000_000, logger, clock: systemClock, signal }
    await sink.open?.({ app: this.app, ...rest, ...context })
    return sink
  }

  /** The indexes of rejected records. */
  async put(
    sink: Sink<Sale>,
    records: readonly Sale[],
    id: Partial<BatchPartitionId> = {},
    more: Partial<WriteContext> = {},
  ): Promise<number[]> {
    const marked: number[] = []
    await sink.writePartition({ ...first, app: this.app, ...id }, oneChunk(records), {
      signal: new AbortController().signal,
      reject: (index) => void marked.push(index),
      settleRejects: () => Promise.resolve(),
      ...more,
    })
    return marked
  }

  async commit(sink: Sink<Sale>, id: Partial<BatchPartitionId> = {}, offsets: Record<string, unknown> = {}) {
    const { signal } = new AbortController()
    await sink.commitBatch?.({ ...first, app: this.app, ...id }, { offsets, signal })
  }

  async rows(): Promise<[number, unknown][]> {
    const found = await this.#ask(`SELECT id, what FROM ${this.table} ORDER BY id`)
    return found.map(({ id, what }) => [Number(id), what])
  }

  async end(): Promise<void> {
    for (const sink of this.#open) await sink.close?.()
    this.#open = []
    await this.#ask(`DROP TABLE IF EXISTS ${this.table}`)
  }
}
