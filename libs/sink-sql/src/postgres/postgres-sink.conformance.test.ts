import type { Sink } from '@sluice/core'
import { describeWithServices, type SqlValues } from '@sluice/services'
import { awkwardBytes, awkwardTexts, sinkConformance, type SinkTarget, type Skip } from '@sluice/testkit'
import pg from 'pg'
import { afterAll, describe, test } from 'vitest'
import { awkwardOrders, order, orderColumns, refusedOrders, staleOrders, type Order } from '../testing/orders.js'
import { fill, written } from '../testing/stale.js'
import type { PostgresPlace, PostgresSinkOptions } from './postgres-sink.config.js'
import { postgresSink } from './postgres-sink.js'

const columns = orderColumns
const writesIn = (schema: string) =>
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
          const values = [id, quantity, cents, price, exact, paid, time, blob, text, JSON.stringify(lines)]
          await db.query(`INSERT INTO ${schema}.orders VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, values)
        }
      },
    },
  }) satisfies Record<string, Partial<PostgresSinkOptions<Order>>>

type Mode = keyof ReturnType<typeof writesIn>

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

let schemas = 0

/** Tests of many sinks against one server, each in a schema of its own. */
function conformance(name: string, values: SqlValues, modes: readonly Mode[], placeOf: (db: pg.Pool) => PostgresPlace) {
  const ssl = values.ca === '' ? {} : { ssl: { ca: values.ca } }
  const db = new pg.Pool({ connectionString: values.url, max: 4, ...ssl })
  db.on('error', () => undefined)
  afterAll(() => db.end())
  for (const mode of modes) {
    const make = (schema: string, as: Mode = mode): Sink<Order> =>
      postgresSink<Order>({
        ...placeOf(db),
        schema,
        table: 'orders',
        ...writesIn(schema)[as],
      } as PostgresSinkOptions<Order>)
    sinkConformance<Order>({
      describe,
      test,
      name: `${name}, ${mode}`,
      open: () => targetOf(db, mode, make),
      record: (index) => order(`order ${String(index)}`, index),
      awkward: mode === 'custom' ? awkward.map(plain) : awkward,
      refused: refusedIn(mode),
      broken: () =>
        postgresSink<Order>({ url: 'postgres://a:b@127.0.0.1:1/none', table: 'orders', ...writesIn('none').insert }),
      deadlineMs: 120_000,
      manyRecords: modes.length > 1 ? (many[mode] ?? 5_000) : 5_000,
      skip: [...(byKey.includes(mode) ? mayReorder : []), ...(sameLife.includes(mode) ? life : [])],
    })
  }
}

/** `custom` rejects what is less than nothing, and pg writes years as it likes. */
const plain = (each: Order): Order => ({ ...each, quantity: Math.abs(each.quantity), at: null })

async function targetOf(
  db: pg.Pool,
  mode: Mode,
  make: (schema: string, as?: Mode) => Sink<Order>,
): Promise<SinkTarget<Order>> {
  const schema = `conformance_${String(process.pid)}_${String(++schemas)}`
  await db.query(`CREATE SCHEMA ${schema}`)
  const stale = known.includes(mode) ? staleOrders(awkward) : []
  if (stale.length > 0) await fill(make(schema, 'insert'), stale, mode)
  return {
    sink: make(schema),
    reopen: () => make(schema),
    readBack: async () => written(await readBack(db, schema), stale, mode),
    close: async () => void (await db.query(`DROP SCHEMA ${schema} CASCADE`)),
  }
}

async function readBack(db: pg.Pool, schema: string): Promise<Order[]> {
  const { rows: there } = await db.query<{ name: string | null }>(`SELECT to_regclass('${schema}.orders') AS name`)
  if (there[0]?.name === null) return []
  const { rows } = await db.query<Record<string, unknown>>(
    `SELECT *, extract(epoch FROM at) * 1000 AS ms, trim_scale(exact) AS exact, lines::text AS lines FROM ${schema}.orders ORDER BY ctid`,
  )
  return rows.map((row) => ({
    id: row['id'] as string,
    quantity: Number(row['quantity']),
    cents: BigInt(row['cents'] as string),
    price: row['price'] as number,
    exact: row['exact'] as string,
    paid: row['paid'] as boolean,
    at: row['at'] === null ? null : new Date(Number(row['ms'])),
    blob: Uint8Array.from(row['blob'] as Buffer),
    text: row['text'] as string,
    lines: JSON.parse(row['lines'] as string) as unknown,
  }))
}

const functions = { describe, test }

await describeWithServices(functions, ['postgres'], 'by a URL', ({ postgres }) => {
  const modes: Mode[] = ['insert', 'upsert', 'insertIgnore', 'update', 'delete', 'custom', 'batch']
  conformance('postgresSink', postgres, modes, () => ({ url: postgres.url }))
})

await describeWithServices(functions, ['postgres'], 'by a pool of the user', ({ postgres }) => {
  conformance('postgresSink on a given pool', postgres, ['insert'], (pool) => ({ pool }))
})

await describeWithServices(functions, ['postgres'], 'by a client of the user', ({ postgres }) => {
  const client = new pg.Client({ connectionString: postgres.url })
  client.on('error', () => undefined)
  const connected = client.connect()
  afterAll(() => client.end())
  // One for all sinks, as an application has it.
  const query = async (text: { text: string; values?: unknown[] }): Promise<unknown> => {
    await connected
    return client.query(text)
  }
  conformance('postgresSink on a given client', postgres, ['upsert'], () => ({ client: { query } }))
})

await describeWithServices(functions, ['postgres-tls'], 'over TLS', ({ 'postgres-tls': tls }) => {
  conformance('postgresSink over TLS', tls, ['upsert'], () => ({ url: tls.url, connection: { ssl: { ca: tls.ca } } }))
})
