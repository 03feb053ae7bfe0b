/** What the conformance suite cannot ask: modes by key, tables that do not fit, names and values, secrets, two at a time. */
import type { Sink } from '@sluice/core'
import { describeWithServices, type SqlValues } from '@sluice/services'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  code,
  inMysql,
  inPostgres,
  saleColumns,
  sales,
  ServerBench,
  type Kind,
  type Sale,
  type SaleOptions,
} from '../testing/server-bench.js'

function tests(values: SqlValues, kind: Kind): void {
  const { make, connect } = kind
  const db = connect(values.url)
  afterAll(() => db.end())
  let bench: ServerBench
  let table: string
  beforeEach(() => {
    bench = new ServerBench(kind, values.url, db.ask)
    table = bench.table
  })
  afterEach(() => bench.end())
  const sinkOf = (more: SaleOptions = {}): Sink<Sale> => bench.sinkOf(more)
  const opened: ServerBench['opened'] = (sink, context) => bench.opened(sink, context)
  const put: ServerBench['put'] = (...given) => bench.put(...given)
  const rows = () => bench.rows()

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
    const sink = await opened(sinkOf({ key: undefined } as SaleOptions))
    for (let batchTime = 1_000; batchTime <= 10_000; batchTime += 1_000) {
      await Promise.all([0, 1, 2].map((attempt) => put(sink, sales(batchTime), { batchTime, attempt })))
    }
    expect(await rows()).toHaveLength(10)
  })

  test('update and delete go by key: the last record counts, and who updates nothing is rejected', async () => {
    await put(await opened(sinkOf()), sales(1, 2, 3))
    const update = await opened(sinkOf({ mode: 'update' } as SaleOptions), { output: 'u' })
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
    await db.ask(`CREATE TABLE ${table} ${ddl}`)
    const text = ddl.includes('REAL') ? { id: 'real', what: 'text' } : saleColumns
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
