import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sink } from '@sluice/core'
import { awkwardBytes, awkwardTexts, sinkConformance, type SinkTarget, type Skip } from '@sluice/testkit'
import { describe, test } from 'vitest'
import type { Columns } from '../columns.js'
import { loadDriver, SqliteConnection, type SqliteDriverName, type SqliteTransaction } from './sqlite-driver.js'
import { readSqlite } from './read-sqlite.js'
import { sqliteSink } from './sqlite-sink.js'

interface Order {
  readonly id: string
  readonly quantity: number
  readonly cents: bigint
  readonly price: number
  readonly paid: boolean
  readonly at: Date | null
  readonly blob: Uint8Array
  readonly lines: unknown
}

const columns: Columns<Order> = {
  id: 'text',
  quantity: 'integer',
  cents: 'bigint',
  price: 'real',
  paid: 'boolean',
  at: { type: 'timestamp', nullable: true },
  blob: 'bytes',
  lines: 'json',
}

const order = (id: string, index: number, more: Partial<Order> = {}): Order => ({
  id,
  quantity: index,
  cents: 2n ** 53n + BigInt(index),
  price: index / 3,
  paid: index % 2 === 0,
  at: index % 5 === 0 ? null : new Date(1_700_000_000_000 + index),
  blob: Uint8Array.of(index % 256, 0, 255),
  lines: { sku: `sku ${String(index)}`, sizes: [index, null, 'x'] },
  ...more,
})

/**
 * Integers beyond 2⁵³ are read as text, as drivers differ in what they make of them, and text as bytes: node-sqlite3-wasm reads
 * no byte order mark.
 */
const QUERY =
  'SELECT CAST(id AS BLOB) AS id, quantity, CAST(cents AS TEXT) AS cents, price, paid, at, blob, lines FROM orders ORDER BY rowid'

function rowsOf(db: SqliteTransaction): Order[] {
  if (db.all("SELECT 1 FROM sqlite_master WHERE name = 'orders'").length === 0) return []
  return db.all(QUERY).map((row) => ({
    id: Buffer.from(row['id'] as Uint8Array).toString(),
    quantity: Number(row['quantity']),
    cents: BigInt(row['cents'] as string),
    price: row['price'] as number,
    paid: row['paid'] === 1,
    at: row['at'] === null ? null : new Date(row['at'] as string),
    blob: Uint8Array.from(row['blob'] as Uint8Array),
    lines: JSON.parse(row['lines'] as string) as unknown,
  }))
}

async function targetOf(driver: SqliteDriverName, make: (file: string) => Sink<Order>): Promise<SinkTarget<Order>> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-sqlite-'))
  const file = join(folder, 'orders.db')
  const { open } = await loadDriver(driver)
  // As a database in use: it is there before the sink opens.
  open(file, false).close()
  return {
    sink: make(file),
    reopen: () => make(file),
    readBack: () => readSqlite({ file, driver }, rowsOf),
    close: () => rm(folder, { recursive: true }),
  }
}

const names: readonly SqliteDriverName[] = ['node:sqlite', 'better-sqlite3', 'node-sqlite3-wasm']
const there = await Promise.all(names.map((name) => loadDriver(name).catch(() => undefined)))
const drivers = there.filter((driver) => driver !== undefined).map(({ name }) => name)

const mayReorder: readonly Skip[] = [
  { test: 'the records of a partition keep their order', reason: 'rows are written in the order of their keys' },
]

const writes = {
  insert: { mode: 'insert', columns },
  upsert: { mode: 'upsert', columns, key: 'id' },
  insertIgnore: { mode: 'insertIgnore', columns, key: ['id'] },
} as const

const refused = [
  order('no price', 1, { price: NaN }),
  order('no quantity', 2, { quantity: undefined as never }),
  order('half a \ud800 character', 3),
  order('nul \0 inside', 4),
  order('not in time', 5, { at: new Date(NaN) }),
  order('Map', 6, { lines: new Map() }),
]

const awkward = [
  ...awkwardTexts.filter((text) => !text.includes('\0')).map((text, index) => order(text, -1 - index)),
  ...awkwardTexts.map((text, index) => order(`json ${String(index)}`, 1, { lines: { [text]: text } })),
  ...awkwardBytes.map((blob, index) => order(`bytes ${String(index)}`, 1, { blob })),
  ...[-(2n ** 63n), 2n ** 63n - 1n, 0n].map((cents) => order(`cents ${String(cents)}`, 1, { cents })),
  ...[5e-324, Number.MAX_VALUE, 0.1, -1].map((price) => order(`price ${String(price)}`, 1, { price })),
  ...[-62_167_219_200_000, -1, 253_402_300_799_999].map((ms) => order(`at ${String(ms)}`, 1, { at: new Date(ms) })),
]

for (const driver of drivers) {
  for (const [mode, write] of Object.entries(writes)) {
    sinkConformance<Order>({
      describe,
      test,
      name: `sqliteSink by ${driver}, ${mode}`,
      open: () => targetOf(driver, (file) => sqliteSink<Order>({ file, driver, table: 'orders', ...write })),
      record: (index) => order(`order ${String(index)}`, index),
      awkward,
      refused,
      broken: () =>
        sqliteSink({ file: join(tmpdir(), 'no such folder', 'orders.db'), driver, table: 'orders', ...write }),
      manyRecords: mode === 'insert' ? 100_000 : 20_000,
      skip: mode === 'insert' ? [] : mayReorder,
    })
  }

  sinkConformance<Order>({
    describe,
    test,
    name: `sqliteSink by ${driver}, custom`,
    open: () =>
      targetOf(driver, (file) =>
        sqliteSink<Order>({
          file,
          driver,
          table: 'orders',
          columns,
          mode: 'custom',
          apply: (db, records, _id, reject) => {
            for (const [at, { id, quantity, cents, price, paid, at: time, blob, lines }] of records.entries()) {
              if (quantity < 0) reject(at, new Error('less than nothing'))
              const values = [id, quantity, cents, price, paid ? 1 : 0, time?.toISOString() ?? null, blob]
              db.run('INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)', [...values, JSON.stringify(lines)])
            }
          },
        }),
      ),
    record: (index) => order(`order ${String(index)}`, index),
    awkward: awkward.map((record) => ({ ...record, quantity: Math.abs(record.quantity) })),
    refused: [order('less', -1), order('lesser', -2)],
    broken: () =>
      sqliteSink({
        file: join(tmpdir(), 'no such folder', 'x.db'),
        driver,
        table: 'x',
        mode: 'custom',
        apply: () => undefined,
      }),
    manyRecords: 20_000,
  })
}

// A database of the user's own: one for all sinks, as an application has it.
for (const driver of drivers) {
  sinkConformance<Order>({
    describe,
    test,
    name: `sqliteSink on a given database of ${driver}`,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-sqlite-'))
      const file = join(folder, 'orders.db')
      const { handle, close } = (await loadDriver(driver)).open(file, false)
      const make = (): Sink<Order> => sqliteSink<Order>({ database: handle, table: 'orders', mode: 'insert', columns })
      const db = new SqliteConnection(handle)
      return {
        sink: make(),
        reopen: make,
        readBack: () => Promise.resolve(rowsOf(db)),
        close: async () => {
          db.release()
          close()
          await rm(folder, { recursive: true })
        },
      }
    },
    record: (index) => order(`order ${String(index)}`, index),
    awkward,
    refused,
    broken: async () => {
      const { handle, close } = (await loadDriver(driver)).open(
        join(await mkdtemp(join(tmpdir(), 'sluice-sqlite-')), 'x.db'),
        false,
      )
      close()
      return sqliteSink({ database: handle, table: 'orders', mode: 'insert', columns })
    },
    manyRecords: 20_000,
  })
}
