/** What the conformance suite cannot ask: faults of the network and the server, modes by key, tables that do not fit, secrets. */
import {
  isSluiceError,
  systemClock,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'
import { describeWithServices, startProxy, type Proxy, type SqlValues } from '@sluice/services'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mysqlSink, type MysqlSinkOptions } from '../mysql.js'
import { postgresSink, type PostgresSinkOptions } from '../postgres.js'

interface Sale {
  readonly id: number
  readonly what: string
}

type Options = Partial<Omit<PostgresSinkOptions<Sale> & MysqlSinkOptions<Sale>, 'url'>> & { url?: string }
type Ask = (sql: string) => Promise<readonly Record<string, unknown>[]>

interface Kind {
  make(options: Options & { url: string }): Sink<Sale>
  connect(url: string): {
    ask: Ask
    transaction(work: (ask: Ask) => Promise<void>): Promise<void>
    end(): Promise<void>
  }
}

const inPostgres: Kind = {
  make: (options) => postgresSink<Sale>(options as never),
  connect(url) {
    const pool = new pg.Pool({ connectionString: url, max: 3 })
    pool.on('error', () => undefined)
    return {
      ask: async (sql) => (await pool.query(sql)).rows as Record<string, unknown>[],
      async transaction(work) {
        const client = await pool.connect()
        await work(async (sql) => (await client.query(sql)).rows as Record<string, unknown>[])
        client.release()
      },
      end: () => pool.end(),
    }
  },
}

const inMysql: Kind = {
  make: (options) => mysqlSink<Sale>(options as never),
  connect(url) {
    const pool = createPool({ uri: url, connectionLimit: 3 })
    return {
      ask: async (sql) => (await pool.query(sql))[0] as Record<string, unknown>[],
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
  ...{
    app: 'app',
    output: 'to-0',
    batchTime: 1_000,
    partition: 0,
    partitions: 1,
    planDigest: 'plan',
    epoch: 1,
    attempt: 0,
  },
}
const columns = { id: 'integer', what: 'text' } as const
const sales = (...ids: number[]): Sale[] => ids.map((id) => ({ id, what: `sale ${String(id)}` }))
const code = (wanted: string) => (error: unknown) => isSluiceError(error) && error.code === wanted

async function* oneChunk<T>(records: readonly T[]): AsyncGenerator<readonly T[]> {
  yield await Promise.resolve(records)
}

async function write(
  sink: Sink<Sale>,
  records: readonly Sale[],
  id: Partial<BatchPartitionId> = {},
  more: Partial<WriteContext> = {},
): Promise<number[]> {
  const marked: number[] = []
  await sink.writePartition({ ...first, ...id }, oneChunk(records), {
    signal: new AbortController().signal,
    reject: (index) => void marked.push(index),
    settleRejects: () => Promise.resolve(),
    ...more,
  })
  return marked
}

let tables = 0

function tests(values: SqlValues, { make, connect }: Kind): void {
  const db = connect(values.url)
  afterAll(() => db.end())
  let table: string
  let app: string
  let open: Sink<Sale>[] = []
  let proxy: Proxy
  beforeEach(async () => {
    table = `sales_${String(process.pid)}_${String(++tables)}`
    app = `app of ${table}`
    open = []
    proxy = await startProxy({ target: `${values.host}:${values.port}` })
  })
  afterEach(async () => {
    for (const sink of open) await sink.close?.()
    await proxy.stop()
    await db.ask(`DROP TABLE IF EXISTS ${table}`)
  })
  const sinkOf = (more: Options = {}): Sink<Sale> =>
    make({ url: values.url, table, mode: 'insert', columns, key: 'id', ...more } as Options & { url: string })
  const proxied = (): string => values.url.replace(`:${values.port}/`, `:${String(proxy.port)}/`)
  async function opened(sink: Sink<Sale>, context: Partial<SinkContext> = {}): Promise<Sink<Sale>> {
    open.push(sink)
    const say = (): void => undefined
    const logger = { debug: say, info: say, warn: say, error: say }
    const signal = new AbortController().signal
    const rest = { output: 'to-0', epoch: 1, lastPlanned: 1_000_000, logger, clock: systemClock, signal }
    await sink.open?.({ app, ...rest, ...context })
    return sink
  }
  const put = (sink: Sink<Sale>, records: readonly Sale[], id: Partial<BatchPartitionId> = {}, more = {}) =>
    write(sink, records, { app, ...id }, more)
  const rows = async (): Promise<unknown[][]> =>
    (await db.ask(`SELECT id, what FROM ${table} ORDER BY id`)).map(({ id, what }) => [Number(id), what])

  test('E9: a connection that is cut at any byte leaves nothing or all, and the retry completes it', async () => {
    const records = sales(1, 2, 3, 4, 5)
    const measured = await opened(sinkOf({ url: proxied() }))
    await put(measured, [])
    const before = { ...proxy.passed }
    await put(
      measured,
      records.map(({ id, what }) => ({ id: -id, what })),
      { batchTime: 2_000 },
    )
    const bytes = { up: proxy.passed.up - before.up, down: proxy.passed.down - before.down }
    const wanted = records.map(({ id }) => -id)
    let batchTime = 2_000
    for (const direction of ['up', 'down'] as const) {
      const CUTS = 12
      for (let cut = 0; cut < CUTS; cut++) {
        batchTime += 1_000
        const batch = records.map(({ id, what }) => ({ id: batchTime + id, what }))
        proxy.cutAfter(Math.floor((bytes[direction] * cut) / CUTS), direction)
        const failed = await put(measured, batch, { batchTime }).catch((error: unknown) => error)
        proxy.passAgain()
        if (!Array.isArray(failed)) expect(failed).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
        await put(measured, batch, { batchTime, attempt: 1 })
        wanted.push(...batch.map(({ id }) => id))
      }
    }
    expect((await rows()).map(([id]) => id)).toEqual(wanted.sort((a, b) => a - b))
  })

  test('E9: when the answer to COMMIT is lost, the next attempt finds the batch applied', async () => {
    const sink = await opened(sinkOf({ url: proxied(), key: undefined } as Options))
    await put(sink, [])
    // All that is sent arrives; of what is answered nothing is heard.
    proxy.dropAfter(1_000_000, 'down')
    const controller = new AbortController()
    let heard = 0
    const writing = put(sink, sales(1), { batchTime: 2_000 }, { signal: controller.signal })
    const result = writing.catch((error: unknown) => error)
    while (heard === 0) {
      const [row] = await db.ask(`SELECT count(*) AS n FROM ${table}`)
      heard = Number(row?.['n'])
      if (heard === 0) await systemClock.sleep(1)
    }
    await result
    proxy.passAgain()
    await put(sink, sales(1), { batchTime: 2_000, attempt: 1 })
    expect(await rows()).toEqual([[1, 'sale 1']])
  })

  test('E9: a server that answers no more holds nobody up: the write ends with its signal, and leaves no connection', async () => {
    const sink = await opened(sinkOf({ url: proxied() }))
    await put(sink, [])
    proxy.pause()
    const controller = new AbortController()
    const writing = put(sink, sales(1), { batchTime: 2_000 }, { signal: controller.signal })
    controller.abort(new Error('time is over'))
    await expect(writing).rejects.toThrow('time is over')
    proxy.resume()
    await put(sink, sales(1), { batchTime: 2_000, attempt: 1 })
    expect(await rows()).toEqual([[1, 'sale 1']])
  })

  test('a server that does not answer rejects start within the time-out', async () => {
    proxy.pause()
    const opening = opened(sinkOf({ url: proxied(), timeoutMs: 200 }))
    const wanted = (error: unknown): boolean => code('TIMEOUT')(error) || code('CONNECTION_FAILED')(error)
    await expect(opening).rejects.toSatisfy(wanted)
  })

  test('E8: a write that has passed the fence holds off a new owner until it has ended', async () => {
    await opened(sinkOf())
    const events: string[] = []
    let next: Promise<unknown> = Promise.resolve()
    const sink = await opened(
      sinkOf({
        mode: 'custom',
        apply: async (db: { query(sql: string): Promise<unknown> }) => {
          next = opened(sinkOf(), { output: 'custom', epoch: 2 }).then(() => events.push('claimed'))
          await db.query(`INSERT INTO ${table} VALUES (1, 'before')`)
          for (let i = 0; i < 50; i++) await db.query('SELECT 1')
          events.push('applied')
        },
      } as never),
      { output: 'custom' },
    )
    await put(sink, sales(1), { output: 'custom' })
    await next
    expect(events).toEqual(['applied', 'claimed'])
    await expect(put(sink, sales(2), { output: 'custom', batchTime: 2_000 })).rejects.toSatisfy(code('FENCED'))
  })

  test('E9: of two attempts at the same time one is applied', async () => {
    const sink = await opened(sinkOf({ key: undefined } as Options))
    for (let batchTime = 1_000; batchTime <= 10_000; batchTime += 1_000) {
      await Promise.all([0, 1, 2].map((attempt) => put(sink, sales(batchTime), { batchTime, attempt })))
    }
    expect(await rows()).toHaveLength(10)
  })

  test('deadlocks with others are tried again', async () => {
    const sink = await opened(sinkOf({ mode: 'upsert' } as Options))
    await put(sink, sales(1, 2, 3))
    let isOver = false
    const others = (async () => {
      while (!isOver) {
        await db.transaction(async (ask) => {
          try {
            await ask('BEGIN')
            for (const id of [3, 2, 1]) await ask(`UPDATE ${table} SET what = 'theirs' WHERE id = ${String(id)}`)
            await ask('COMMIT')
          } catch {
            await ask('ROLLBACK')
          }
        })
      }
    })()
    for (let batchTime = 2_000; batchTime <= 40_000; batchTime += 1_000) await put(sink, sales(1, 2, 3), { batchTime })
    isOver = true
    await others
    expect((await rows()).map(([id]) => id)).toEqual([1, 2, 3])
  })

  test('update and delete go by key: the last record counts, and who updates nothing is rejected', async () => {
    await put(await opened(sinkOf()), sales(1, 2, 3))
    const update = await opened(sinkOf({ mode: 'update' } as Options), { output: 'u' })
    const records = [...sales(1, 7), { id: 1, what: 'last' }, { id: 2, what: 'sale 2' }]
    expect(await put(update, records, { output: 'u' })).toEqual([1])
    const remove = await opened(sinkOf({ mode: 'delete', columns: { id: 'integer' } } as never), { output: 'd' })
    expect(await put(remove, sales(3, 3, 8), { output: 'd' })).toEqual([])
    expect(await rows()).toEqual([
      [1, 'last'],
      [2, 'sale 2'],
    ])
  })

  test('E18: whom the database refuses is found among thousands, and the others are written', async () => {
    const sink = await opened(sinkOf())
    await put(sink, sales(17, 4_711))
    const ids = Array.from({ length: 9_000 }, (_, id) => id)
    const marked = await put(sink, sales(...ids, 5), { batchTime: 2_000 })
    expect(marked.sort((a, b) => a - b)).toEqual([17, 4_711, 9_000])
    expect(await rows()).toHaveLength(9_000)
  })

  test('E18: what a column would cut or round is rejected', async () => {
    await db.ask(`CREATE TABLE ${table} (id DECIMAL(6, 2) PRIMARY KEY, what VARCHAR(4) NOT NULL)`)
    const sink = await opened(
      sinkOf({ columns: { id: { type: 'decimal', value: ({ id }: Sale) => id / 1 }, what: 'text' } } as never),
    )
    const records = ['1.25', '1.255', '12345.1', '2'].map((id, i) => ({ id, what: ['ab', 'ab', 'ab', 'ab   '][i] }))
    const decimal = await opened(
      sinkOf({ columns: { id: { type: 'decimal', value: ({ id }: Sale) => id }, what: 'text' } } as never),
      { output: 'decimal' },
    )
    expect(await put(decimal, records as never, { output: 'decimal' })).toEqual([1, 2, 3])
    expect(await put(sink, [])).toEqual([])
    expect(await rows()).toEqual([[1.25, 'ab']])
  })

  test('names and values that try to break out of their quotes are names and values', async () => {
    const odd = 'a"`; DROP TABLE sluice_ledger; --?$1'
    const evil = `\\'; DROP TABLE sluice_ledger; -- " \` ? $1 \\`
    const sink = make({
      ...{ url: values.url, table: odd, mode: 'upsert', key: odd },
      columns: { [odd]: { type: 'integer', value: ({ id }: Sale) => id }, what: 'text' },
    } as never)
    await opened(sink)
    await put(sink, [{ id: 1, what: evil }])
    const quote = values.url.startsWith('mysql') ? '`' : '"'
    const name = `${quote}${odd.replaceAll(quote, quote + quote)}${quote}`
    expect((await db.ask(`SELECT what FROM ${name}`)).map(({ what }) => what)).toEqual([evil])
    await db.ask(`DROP TABLE ${name}`)
  })

  test.each([
    ['(id INTEGER PRIMARY KEY)', 'has no column what'],
    ['(id INTEGER PRIMARY KEY, what CHAR(9))', 'does not keep text'],
    ['(id REAL PRIMARY KEY, what VARCHAR(9))', 'does not keep'],
    ['(id INTEGER PRIMARY KEY, what VARCHAR(9), at INTEGER NOT NULL)', 'column at of table'],
    ['(id INTEGER, what VARCHAR(9))', 'no primary key or unique index of (id)'],
  ])('start refuses a table that the records do not fit: %s', async (ddl, message) => {
    await db.ask(`CREATE TABLE ${table} ${ddl.replace('REAL', 'REAL')}`)
    const text = ddl.includes('REAL') ? { id: 'real', what: 'text' } : columns
    if (ddl.includes('REAL') && values.url.startsWith('mysql')) await db.ask(`ALTER TABLE ${table} MODIFY id FLOAT`)
    const error: unknown = await opened(sinkOf({ mode: 'upsert', columns: text } as never)).catch(
      (caught: unknown) => caught,
    )
    expect(error).toMatchObject({ code: 'ARGUMENT_INVALID' })
    expect((error as Error).message).toContain(message)
  })

  test('a wrong password is an error that says so, and does not say the password', async () => {
    const url = values.url.replace(values.password, 'open%20sesame')
    const error: unknown = await opened(sinkOf({ url })).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: false })
    expect((error as Error).message).toMatch(/check user, password and database/)
    expect((error as Error).message).not.toMatch(/sesame/)
  })

  test('custom: what apply does is undone with the transaction, one that ends it is an error', async () => {
    await opened(sinkOf())
    const calls: number[][] = []
    const sink = sinkOf({
      mode: 'custom',
      apply: async (
        db: { query(sql: string): Promise<unknown> },
        records: readonly Sale[],
        _id: unknown,
        reject: (at: number, error: Error) => void,
      ) => {
        calls.push(records.map(({ id }) => id))
        for (const [at, { id }] of records.entries()) {
          if (id < 0) reject(at, new Error('less than nothing'))
          if (id === 99) await db.query('COMMIT')
          await db.query(`INSERT INTO ${table} VALUES (${String(id)}, 'custom')`)
        }
      },
    } as never)
    await opened(sink, { output: 'custom' })
    expect(await put(sink, sales(1, -1, 2), { output: 'custom' })).toEqual([1])
    expect(calls).toEqual([
      [1, -1, 2],
      [1, 2],
    ])
    const ending = put(sink, sales(99), { output: 'custom', batchTime: 2_000 })
    await expect(ending).rejects.toThrow(/has ended the transaction/)
    expect((await rows()).slice(0, 2)).toEqual([
      [1, 'custom'],
      [2, 'custom'],
    ])
  })
}

const functions = { describe, test }
await describeWithServices(functions, ['postgres'], 'postgres', ({ postgres }) => {
  tests(postgres, inPostgres)
})
await describeWithServices(functions, ['mariadb'], 'mariadb', ({ mariadb }) => {
  tests(mariadb, inMysql)
})
await describeWithServices(functions, ['mysql'], 'mysql', ({ mysql }) => {
  tests(mysql, inMysql)
})
