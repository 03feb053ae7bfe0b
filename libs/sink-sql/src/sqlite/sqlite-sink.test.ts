import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  isSluiceError,
  systemClock,
  type BatchPartitionId,
  type Logger,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readSqlite } from './read-sqlite.js'
import { loadDriver, SqliteConnection, type SqliteDriverName } from './sqlite-driver.js'
import { sqliteSink } from './sqlite-sink.js'
import type { SqliteSinkOptions } from './sqlite-sink.config.js'

interface Sale {
  readonly id: number
  readonly what: string
}

const names: readonly SqliteDriverName[] = ['node:sqlite', 'better-sqlite3', 'node-sqlite3-wasm']
const there = await Promise.all(names.map((name) => loadDriver(name).catch(() => undefined)))
const drivers = there.filter((driver) => driver !== undefined).map(({ name }) => name)

let folder: string
let file: string
let open: Sink<Sale>[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-sqlite-'))
  file = join(folder, 'sales.db')
  open = []
})
afterEach(async () => {
  for (const sink of open) await sink.close?.()
  await rm(folder, { recursive: true })
})

const first: BatchPartitionId = {
  app: 'app-1',
  output: 'to-0',
  batchTime: 1_000,
  partition: 0,
  partitions: 1,
  planDigest: 'plan',
  epoch: 1,
  attempt: 0,
}

function linesTo(lines: string[]): Logger {
  const add = (line: string): void => void lines.push(line)
  return { debug: add, info: add, warn: add, error: add }
}

async function opened(sink: Sink<Sale>, context: Partial<SinkContext> = {}): Promise<Sink<Sale>> {
  open.push(sink)
  await sink.open?.({
    app: 'app-1',
    output: 'to-0',
    epoch: 1,
    lastPlanned: 1_000_000,
    logger: linesTo([]),
    clock: systemClock,
    signal: new AbortController().signal,
    ...context,
  })
  return sink
}

async function* oneChunk<T>(records: readonly T[]): AsyncGenerator<readonly T[]> {
  yield await Promise.resolve(records)
}

interface Rejects {
  readonly marked: number[]
  readonly settled: number[][]
}

async function write(
  sink: Sink<Sale>,
  records: readonly Sale[],
  id: Partial<BatchPartitionId> = {},
  more: Partial<WriteContext> = {},
): Promise<Rejects> {
  const rejects: Rejects = { marked: [], settled: [] }
  await sink.writePartition({ ...first, ...id }, oneChunk(records), {
    signal: new AbortController().signal,
    reject: (index) => void rejects.marked.push(index),
    settleRejects: () => {
      rejects.settled.push([...rejects.marked])
      return Promise.resolve()
    },
    ...more,
  })
  return rejects
}

const sales = (...ids: number[]): Sale[] => ids.map((id) => ({ id, what: `sale ${String(id)}` }))
const columns = { id: 'integer', what: 'text' } as const
const code = (wanted: string) => (error: unknown) => isSluiceError(error) && error.code === wanted

describe.each(drivers)('by %s', (driver) => {
  const insert = { file, driver, table: 'sales', mode: 'insert', columns, key: 'id' } as const
  const make = (more: Partial<SqliteSinkOptions<Sale>> = {}): Sink<Sale> =>
    sqliteSink<Sale>({ ...insert, file, ...more } as SqliteSinkOptions<Sale>)
  const rows = (sql = 'SELECT id, what FROM sales ORDER BY id'): Promise<Record<string, unknown>[]> =>
    readSqlite({ file, driver }, (db) => db.all(sql))
  const ids = async (): Promise<unknown[]> => (await rows()).map(({ id }) => id)

  test('start says which driver it has taken', async () => {
    const lines: string[] = []
    await opened(make(), { logger: linesTo(lines) })
    expect(lines).toEqual([`sqlite-sink: sales in ${file} by ${driver}`])
  })

  test('E1: the ledger has a row for each partition of the last batch, and no more', async () => {
    const sink = await opened(make())
    for (const partition of [0, 1, 2, 3]) await write(sink, sales(partition), { partition, partitions: 4 })
    for (const partition of [0, 1]) await write(sink, [], { batchTime: 2_000, partition, partitions: 2 })
    const ledger = 'SELECT partition, batch_time, partitions, plan_digest, epoch FROM sluice_ledger ORDER BY partition'
    expect(await rows(ledger)).toEqual([
      { partition: 0, batch_time: 2_000, partitions: 2, plan_digest: 'plan', epoch: 1 },
      { partition: 1, batch_time: 2_000, partitions: 2, plan_digest: 'plan', epoch: 1 },
    ])
    // What was removed is not forgotten: the newest entry speaks for it.
    const late = write(sink, sales(9), { partition: 3, partitions: 4 })
    await expect(late).rejects.toSatisfy(code('IDENTITY_CONFLICT'))
    expect(await ids()).toEqual([0, 1, 2, 3])
  })

  test('E1: a partition of another plan is refused also where only its neighbours have been written', async () => {
    const sink = await opened(make())
    await write(sink, sales(1), { partition: 0, partitions: 2 })
    for (const other of [{ planDigest: 'other' }, { partitions: 3 }]) {
      const writing = write(sink, sales(2), { partition: 1, partitions: 2, ...other })
      await expect(writing).rejects.toSatisfy(code('IDENTITY_CONFLICT'))
    }
    expect(await ids()).toEqual([1])
  })

  test('E1: open refuses a ledger that is ahead of the log, and of a log without batches', async () => {
    const sink = await opened(make())
    await write(sink, sales(1))
    for (const lastPlanned of [999, undefined]) {
      await expect(opened(make(), { epoch: 2, lastPlanned })).rejects.toSatisfy(code('LOG_BEHIND_SINK'))
    }
    await opened(make(), { app: 'app-2', lastPlanned: undefined })
    // What was refused has claimed nothing.
    await write(sink, sales(2), { batchTime: 2_000 })
    expect(await ids()).toEqual([1, 2])
  })

  test('E8: the fence is checked in the transaction of the rows', async () => {
    const old = await opened(make())
    const owner = await opened(make(), { epoch: 2 })
    await expect(write(old, sales(1))).rejects.toSatisfy(code('FENCED'))
    await expect(opened(make(), { epoch: 1 })).rejects.toSatisfy(code('FENCED'))
    await write(owner, sales(2), { epoch: 2 })
    expect(await ids()).toEqual([2])
  })

  test('E9: a write that was given up while the database was locked writes nothing when it is free', async () => {
    const sink = await opened(make({ busyTimeoutMs: 60_000 }))
    const { handle, close } = (await loadDriver(driver)).open(file, false)
    handle.exec('BEGIN IMMEDIATE')
    const controller = new AbortController()
    const writing = write(sink, sales(1), {}, { signal: controller.signal })
    controller.abort(new Error('time is over'))
    await expect(writing).rejects.toThrow('time is over')
    handle.exec('COMMIT')
    close()
    expect(await ids()).toEqual([])
    await write(sink, sales(1), { attempt: 1 })
    expect(await ids()).toEqual([1])
  })

  test('a database that stays locked is an error that may be tried again, and names the lock', async () => {
    const sink = await opened(make({ busyTimeoutMs: 20 }))
    const { handle, close } = (await loadDriver(driver)).open(file, false)
    handle.exec('BEGIN IMMEDIATE')
    const error: unknown = await write(sink, sales(1)).catch((caught: unknown) => caught)
    handle.exec('COMMIT')
    close()
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
    expect((error as Error).message).toContain('sales.db.lock')
    await write(sink, sales(1))
    expect(await ids()).toEqual([1])
  })

  test('E18: what the database refuses is found in a transaction that is undone, and settled before the others are there', async () => {
    const sink = await opened(make())
    await write(sink, sales(3))
    const seen: unknown[][] = []
    const marked: string[] = []
    await write(
      sink,
      [{ id: 1, what: 'x' }, ...sales(3, 4), { id: 5, what: null as never }, ...sales(4, 6)],
      { batchTime: 2_000 },
      {
        reject: (index, error) => void marked.push(`${String(index)} ${error.message}`),
        settleRejects: async () => void seen.push([marked.length, ...(await ids())]),
      },
    )
    expect(marked).toEqual([
      expect.stringMatching(/^3 .*column what is null/),
      expect.stringMatching(/^1 .*UNIQUE constraint failed: sales\.id/),
      expect.stringMatching(/^4 .*UNIQUE constraint failed: sales\.id/),
    ])
    expect(seen).toEqual([
      [1, 3],
      [3, 3],
    ])
    expect(await ids()).toEqual([1, 3, 4, 6])
  })

  test('E18: a dead-letter sink stores reject indexes; a re-run adds only what is new', async () => {
    const sink = await opened(make())
    expect(await sink.settledIndexes?.(first)).toEqual([])
    await write(sink, sales(12, 17), {}, { indexes: [2, 7] })
    expect(await sink.settledIndexes?.(first)).toEqual([2, 7])
    // The process has ended, and the batch is run again: another record is refused as well.
    const again = await opened(make(), { epoch: 2 })
    await write(again, sales(17, 19), { epoch: 2 }, { indexes: [7, 9] })
    await write(again, sales(17, 19), { epoch: 2, attempt: 1 }, { indexes: [7, 9] })
    expect(await again.settledIndexes?.({ ...first, epoch: 2 })).toEqual([2, 7, 9])
    expect(await ids()).toEqual([12, 17, 19])
    expect(await again.settledIndexes?.({ ...first, batchTime: 2_000 })).toEqual([])
  })

  test('upsert keeps the last record of a key, insertIgnore the first, within a batch and between batches', async () => {
    const records = [...sales(2, 1), { id: 2, what: 'again' }]
    for (const [mode, texts] of [
      ['upsert', ['later', 'again']],
      ['insertIgnore', ['sale 1', 'sale 2']],
    ] as const) {
      const sink = await opened(make({ mode, table: mode, key: 'id' } as Partial<SqliteSinkOptions<Sale>>), {
        output: mode,
      })
      await write(sink, records, { output: mode })
      await write(sink, [{ id: 1, what: 'later' }], { output: mode, batchTime: 2_000 })
      expect((await rows(`SELECT what FROM "${mode}" ORDER BY id`)).map(({ what }) => what)).toEqual(texts)
    }
  })

  test('a name that tries to break out of its quotes is a name', async () => {
    const table = 'a"; DROP TABLE sluice_ledger; --'
    const odd: Record<string, 'integer' | 'text'> = { 'id") VALUES (1); --': 'integer', what: 'text' }
    const sink = sqliteSink<Sale>({
      ...{ file, driver, table, mode: 'upsert', key: 'id") VALUES (1); --' },
      columns: { ...odd, 'id") VALUES (1); --': { type: 'integer', value: ({ id }) => id } },
    })
    await opened(sink)
    await write(sink, sales(1))
    expect(await rows(`SELECT * FROM "${table.replace('"', '""')}"`)).toEqual([
      { 'id") VALUES (1); --': 1, what: 'sale 1' },
    ])
  })

  test.each([
    ['CREATE TABLE sales (id INTEGER)', 'has no column what'],
    ['CREATE TABLE sales (id INTEGER, what INTEGER)', 'column what of table sales is INTEGER and does not keep text'],
    ['CREATE TABLE sales (id TEXT, what TEXT)', 'column id of table sales is TEXT and does not keep integer'],
    ['CREATE TABLE sales (id INTEGER, what TEXT, at TEXT NOT NULL)', 'column at of table sales must have a value'],
    ['CREATE TABLE sales (id INTEGER, what TEXT)', 'no primary key or unique index of (id)'],
    ['CREATE TABLE sales (id INTEGER PRIMARY KEY, what TEXT AS (1))', 'column what of table sales is generated'],
  ])('open refuses a table that the records do not fit: %s', async (ddl, message) => {
    const { handle, close } = (await loadDriver(driver)).open(file, false)
    handle.exec(ddl)
    close()
    const sink = make({ mode: 'upsert', key: 'id' })
    const error: unknown = await opened(sink).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'ARGUMENT_INVALID' })
    expect((error as Error).message).toContain(message)
  })

  test('custom: what apply does is undone with the transaction, and rejected records are left out', async () => {
    const calls: number[][] = []
    const sink = sqliteSink<Sale>({
      ...{ file, driver, table: 'sales', columns, key: 'id', mode: 'custom' },
      apply: (db, records, id, reject) => {
        calls.push(records.map((record) => record.id))
        for (const [at, record] of records.entries()) {
          if (record.id < 0) reject(at, new Error('less than nothing'))
          db.run('INSERT INTO sales VALUES (?, ?)', [record.id, String(id.batchTime)])
        }
      },
    })
    await opened(sink)
    const rejects = await write(sink, sales(1, -1, 2, -2))
    expect(calls).toEqual([
      [1, -1, 2, -2],
      [1, 2],
    ])
    expect(rejects.marked).toEqual([1, 3])
    expect(await ids()).toEqual([1, 2])
  })

  test.each([
    ['is asynchronous', async () => Promise.resolve(), 'ASYNC_FUNCTION'],
    ['ends the transaction', (db: { run(sql: string): unknown }) => void db.run('COMMIT'), 'OUTPUT_FAILED'],
    [
      'throws',
      () => {
        throw new Error('no')
      },
      'OUTPUT_FAILED',
    ],
  ])('custom: an apply that %s is an error, and nothing counts as applied', async (_what, apply, wanted) => {
    await opened(make())
    const sink = sqliteSink<Sale>({ file, driver, table: 'sales', mode: 'custom', apply: apply as () => void })
    await opened(sink, { output: 'custom' })
    await expect(write(sink, sales(1), { output: 'custom' })).rejects.toSatisfy(code(wanted))
    expect(await rows("SELECT * FROM sluice_ledger WHERE output = 'custom'")).toEqual([])
  })

  test('a table whose conflicts end the transaction is found out, not written to without one', async () => {
    const { handle, close } = (await loadDriver(driver)).open(file, false)
    handle.exec('CREATE TABLE sales (id INTEGER UNIQUE ON CONFLICT ROLLBACK, what TEXT)')
    close()
    const sink = await opened(make({ key: undefined } as Partial<SqliteSinkOptions<Sale>>))
    await expect(write(sink, sales(1, 1, 2))).rejects.toThrow(/ended the transaction/)
    expect(await ids()).toEqual([])
  })

  test('a given database stays open, and a setting that a power cut would show is warned of', async () => {
    const { handle, close } = (await loadDriver(driver)).open(file, false)
    handle.exec('PRAGMA synchronous = NORMAL')
    const lines: string[] = []
    const sink = sqliteSink<Sale>({ database: handle, table: 'sales', mode: 'insert', columns })
    await opened(sink, { logger: linesTo(lines) })
    await write(sink, sales(1))
    await sink.close?.()
    const db = new SqliteConnection(handle)
    expect(db.all('SELECT id FROM sales')).toEqual([{ id: 1 }])
    db.release()
    close()
    expect(lines).toEqual([expect.stringContaining('PRAGMA synchronous = FULL')])
  })

  test('one sink may belong to two outputs', async () => {
    const sink = await opened(make())
    await opened(sink, { output: 'to-1' })
    await write(sink, sales(1))
    await write(sink, sales(2), { output: 'to-1' })
    expect(await ids()).toEqual([1, 2])
  })
})

test.each([
  [{ file: ':memory:' }, "':memory:' is no path"],
  [{ database: { exec: () => undefined, prepare: () => ({}) } }, 'either a `file` or a `database`'],
  [{ table: 'SLUICE_ledger' }, "is the sink's own"],
  [{ mode: 'upsert', key: [] }, 'mode upsert needs a `key`'],
  [{ mode: 'replace' }, "there is no mode 'replace'"],
  [{ key: 'price' }, 'key price is none of the columns'],
  [{ columns: { id: { type: 'integer', nullable: true } }, key: 'id' }, 'key id must not be nullable'],
  [{ columns: {} }, 'needs `columns`'],
  [{ busyTimeoutMs: -1 }, 'busyTimeoutMs must be at least 0'],
])('options that make no sense throw at the call: %o', (wrong, message) => {
  const options = { file: 'sales.db', table: 'sales', mode: 'insert', columns, ...wrong }
  expect(() => sqliteSink(options as never)).toThrow(message)
})

test('without any driver, start says what to install', async () => {
  await expect(loadDriver('sqlite-of-nobody' as never)).rejects.toThrow(/npm install node-sqlite3-wasm/)
})
