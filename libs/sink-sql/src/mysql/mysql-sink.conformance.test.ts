import type { Sink } from '@sluice/core'
import { describeWithServices, type SqlValues } from '@sluice/services'
import { awkwardBytes, awkwardTexts, sinkConformance, type SinkTarget, type Skip } from '@sluice/testkit'
import { createConnection, createPool, type Pool } from 'mysql2/promise'
import { afterAll, describe, test } from 'vitest'
import { awkwardOrders, order, orderColumns, refusedOrders, staleOrders, type Order } from '../testing/orders.js'
import { fill, written } from '../testing/stale.js'
import type { MysqlPlace, MysqlSinkOptions } from './mysql-sink.config.js'
import { mysqlSink } from './mysql-sink.js'

const columns = orderColumns
const writesTo = (table: string) =>
  ({
    insert: { mode: 'insert', columns },
    upsert: { mode: 'upsert', columns, key: 'id' },
    insertIgnore: { mode: 'insertIgnore', columns, key: ['id'] },
    update: { mode: 'update', columns, key: 'id' },
    delete: { mode: 'delete', columns, key: 'id' },
    // A crashed process is told from a slow one by the server, after that time.
    batch: { mode: 'upsert', columns, key: 'id', transaction: 'batch', idleTimeoutMs: 1_000 },
    custom: {
      mode: 'custom',
      columns,
      apply: async (db, records, _id, reject) => {
        for (const [
          at,
          { id, quantity, cents, price, exact, paid, at: time, blob, text, lines },
        ] of records.entries()) {
          if (quantity < 0) reject(at, new Error('less than nothing'))
          const ms = time?.toISOString().replace('T', ' ').replace('Z', '') ?? null
          const values = [id, quantity, cents, price, exact, paid, ms, Buffer.from(blob), text, JSON.stringify(lines)]
          await db.query(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values)
        }
      },
    },
  }) satisfies Record<string, Partial<MysqlSinkOptions<Order>>>

type Mode = keyof ReturnType<typeof writesTo>

const mayReorder: readonly Skip[] = [
  { test: 'the records of a partition keep their order', reason: 'rows are written in the order of their keys' },
]

/** Modes in which the rows are there before, and are updated or deleted. */
const known: readonly Mode[] = ['update', 'delete']

/** Modes in which the rows of a partition come in the order of their keys. */
const byKey: readonly Mode[] = ['upsert', 'insertIgnore', 'update', 'delete', 'batch']

/** What a sink does when it opens and closes is the same code in every mode; those of the whole batch have their own. */
const sameLife: readonly Mode[] = ['insertIgnore', 'update', 'delete', 'custom']
const life: readonly Skip[] = ['opening', 'open', 'closing', 'closed', 'reopened'].flatMap((state) =>
  ['writePartition', 'commitBatch', 'close'].map((operation) => ({
    test: `lifecycle: ${operation} while ${state}`,
    reason: 'the same code as in modes insert and upsert',
  })),
)

const many: Partial<Record<Mode, number>> = { insert: 100_000, update: 500, delete: 500, custom: 1_000 }
const awkward = awkwardOrders(awkwardTexts, awkwardBytes)

function refusedIn(mode: Mode): readonly Order[] {
  if (mode === 'custom') return [order('less', -1), order('lesser', -2)]
  return mode === 'delete' ? refusedOrders.filter(({ id }) => /\0|\p{Surrogate}/u.test(id)) : refusedOrders
}

let tables = 0

/** Tests of many sinks against one server, each with a table of its own; the ledger is that of all. */
function conformance(name: string, values: SqlValues, modes: readonly Mode[], placeOf: (db: Pool) => MysqlPlace) {
  const ssl = values.ca === '' ? {} : { ssl: { ca: values.ca } }
  const numbers = { supportBigNumbers: true, bigNumberStrings: true, dateStrings: true, jsonStrings: true }
  const db = createPool({ uri: values.url, connectionLimit: 4, ...numbers, ...ssl })
  afterAll(() => db.end())
  for (const mode of modes) {
    const make = (table: string, as: Mode = mode): Sink<Order> =>
      mysqlSink<Order>({
        ...placeOf(db),
        schema: values.database,
        table,
        ...writesTo(table)[as],
      } as MysqlSinkOptions<Order>)
    sinkConformance<Order>({
      describe,
      test,
      name: `${name}, ${mode}`,
      open: () => targetOf(db, mode, make),
      record: (index) => order(`order ${String(index)}`, index),
      awkward: mode === 'custom' ? awkward.map(plain) : awkward,
      refused: refusedIn(mode),
      broken: () =>
        mysqlSink<Order>({ url: 'mysql://a:b@127.0.0.1:1/none', table: 'orders', ...writesTo('none').insert }),
      deadlineMs: 120_000,
      manyRecords: modes.length > 1 ? (many[mode] ?? 5_000) : 5_000,
      // Without a key rows are in no order but that of their making.
      skip: [...(byKey.includes(mode) ? mayReorder : []), ...(sameLife.includes(mode) ? life : [])],
    })
  }
}

/** `custom` rejects what is less than nothing. */
const plain = (each: Order): Order => ({ ...each, quantity: Math.abs(each.quantity) })

async function targetOf(
  db: Pool,
  mode: Mode,
  make: (table: string, as?: Mode) => Sink<Order>,
): Promise<SinkTarget<Order>> {
  const table = `orders_${String(process.pid)}_${String(++tables)}`
  const stale = known.includes(mode) ? staleOrders(awkward) : []
  if (stale.length > 0) await fill(make(table, 'insert'), stale, mode)
  return {
    sink: make(table),
    reopen: () => make(table),
    readBack: async () => written(await readBack(db, table), stale, mode),
    close: async () => void (await db.query(`DROP TABLE IF EXISTS ${table}`)),
  }
}

async function readBack(db: Pool, table: string): Promise<Order[]> {
  const [there] = await db.query(`SHOW TABLES LIKE '${table}'`)
  if ((there as unknown[]).length === 0) return []
  // As text mysql2 rounds doubles.
  const [rows] = await db.execute(`SELECT * FROM ${table}`)
  return (rows as Record<string, unknown>[]).map((row) => ({
    id: row['id'] as string,
    quantity: Number(row['quantity']),
    cents: BigInt(row['cents'] as string),
    price: row['price'] as number,
    exact: (row['exact'] as string).replace(/[.]?0+$/, ''),
    paid: row['paid'] === 1,
    at: row['at'] === null ? null : new Date(`${(row['at'] as string).replace(' ', 'T')}Z`),
    blob: Uint8Array.from(row['blob'] as Buffer),
    text: row['text'] as string,
    lines: JSON.parse(row['lines'] as string) as unknown,
  }))
}

const functions = { describe, test }
const all: readonly Mode[] = ['insert', 'upsert', 'insertIgnore', 'update', 'delete', 'custom', 'batch']

for (const name of ['mariadb', 'mysql'] as const) {
  await describeWithServices(functions, [name], `${name} by a URL`, ({ [name]: values }) => {
    conformance(`mysqlSink, ${name}`, values, all, () => ({ url: values.url }))
  })

  await describeWithServices(functions, [name], `${name} by a pool of the user`, ({ [name]: values }) => {
    conformance(`mysqlSink on a given pool, ${name}`, values, ['insert'], (pool) => ({ pool }))
  })

  const secure = `${name}-tls` as const
  await describeWithServices(functions, [secure], `${name} over TLS`, ({ [secure]: values }) => {
    const place = { url: values.url, connection: { ssl: { ca: values.ca } } }
    conformance(`mysqlSink over TLS, ${name}`, values, ['upsert'], () => place)
  })
}

await describeWithServices(functions, ['mariadb'], 'by a connection of the user', ({ mariadb }) => {
  const client = createConnection({ uri: mariadb.url, charset: 'utf8mb4' })
  afterAll(async () => (await client).end())
  // One for all sinks, as an application has it.
  const query = async (sql: string, values?: unknown[]): Promise<[unknown, unknown]> =>
    (await client).query(sql, values)
  conformance('mysqlSink on a given connection', mariadb, ['upsert'], () => ({ client: { query } }))
})
