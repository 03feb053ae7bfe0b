/**
 * The SQL sinks against what one writes by hand with the same driver: a transaction for each partition, of statements of as many rows
 * (`unnest` for PostgreSQL, `VALUES ?` for mysql2). Beside a writer without a ledger ours does more: it keeps each batch from being written
 * twice. The other writer by hand reads and writes a ledger row, too. The ratio is of the process's CPU time; in wall-clock time the
 * server's work is, too, which waits for the disk.
 */
import type { Sink } from '@sluice/core'
import { startService } from '@sluice/services'
import { mysqlSink, type MysqlSinkOptions } from '@sluice/sink-sql/mysql'
import { postgresSink, type PostgresSinkOptions } from '@sluice/sink-sql/postgres'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import type { Benchmark, Sizes } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import { sinkDriver } from '../sink-driver.js'

const RECORDS = 30_000
const PARTITION = 10_000
const CHUNK = 1_000
const PLAIN_AIM = 0.8
const LEDGER_AIM = 0.9

interface Order {
  readonly id: string
  readonly region: string
  readonly quantity: number
  readonly cents: bigint
}

const columns = { id: 'text', region: 'text', quantity: 'integer', cents: 'bigint' } as const
type Mode = 'insert' | 'upsert'

interface Database {
  sink(table: string, mode: Mode): Sink<Order>
  run(sql: string): Promise<number>
  /** One transaction for these rows, with the rows of a ledger or without. */
  byHand(table: string, mode: Mode, orders: readonly Order[], batch: number | undefined): Promise<void>
  readonly textKey: string
  readonly text: string
  end(): Promise<void>
}

const LEDGER = 'hand_ledger'

function postgres(url: string): Database {
  const pool = new pg.Pool({ connectionString: url })
  const ROWS = 5_000
  return {
    sink: (table, mode) =>
      postgresSink<Order>({ pool, table, mode, columns, key: 'id' } satisfies PostgresSinkOptions<Order>),
    run: async (sql) => Number((await pool.query<{ n?: string }>(sql)).rows[0]?.n ?? 0),
    async byHand(table, mode, orders, batch) {
      const client = await pool.connect()
      await client.query('BEGIN')
      if (batch !== undefined) await client.query(`SELECT batch FROM ${LEDGER} WHERE name = $1 FOR UPDATE`, [table])
      const names = 'id, region, quantity, cents'
      const set = names.split(', ').map((name) => `${name} = excluded.${name}`)
      const conflict = mode === 'upsert' ? ` ON CONFLICT (id) DO UPDATE SET ${set.join(', ')}` : ''
      const source = 'unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])'
      const sql = `INSERT INTO ${table} (${names}) SELECT * FROM ${source}${conflict}`
      for (let at = 0; at < orders.length; at += ROWS) {
        const some = orders.slice(at, at + ROWS)
        const values = [
          some.map(({ id }) => id),
          some.map(({ region }) => region),
          some.map(({ quantity }) => quantity),
          some.map(({ cents }) => cents),
        ]
        await client.query(sql, values)
      }
      if (batch !== undefined) await client.query(`UPDATE ${LEDGER} SET batch = $1 WHERE name = $2`, [batch, table])
      await client.query('COMMIT')
      client.release()
    },
    textKey: 'text',
    text: 'text',
    end: () => pool.end(),
  }
}

function mysql(url: string): Database {
  const pool = createPool({ uri: url, charset: 'utf8mb4' })
  const ROWS = 3_000
  return {
    sink: (table, mode) => mysqlSink<Order>({ url, table, mode, columns, key: 'id' } satisfies MysqlSinkOptions<Order>),
    run: async (sql) => Number(((await pool.query(sql))[0] as { n?: string }[])[0]?.n ?? 0),
    async byHand(table, mode, orders, batch) {
      const connection = await pool.getConnection()
      await connection.beginTransaction()
      if (batch !== undefined) await connection.query(`SELECT batch FROM ${LEDGER} WHERE name = ? FOR UPDATE`, [table])
      const set = ['region', 'quantity', 'cents'].map((name) => `${name} = VALUES(${name})`)
      const conflict = mode === 'upsert' ? ` ON DUPLICATE KEY UPDATE ${set.join(', ')}` : ''
      const sql = `INSERT INTO ${table} (id, region, quantity, cents) VALUES ?${conflict}`
      for (let at = 0; at < orders.length; at += ROWS) {
        const rows = orders.slice(at, at + ROWS).map(({ id, region, quantity, cents }) => [id, region, quantity, cents])
        await connection.query(sql, [rows])
      }
      if (batch !== undefined) await connection.query(`UPDATE ${LEDGER} SET batch = ? WHERE name = ?`, [batch, table])
      await connection.commit()
      connection.release()
    },
    textKey: 'VARCHAR(255)',
    text: 'LONGTEXT',
    end: () => pool.end(),
  }
}

const durable = { postgres: { fsync: 'on' }, mysql: { 'innodb-flush-method': 'fsync' } }

export const sql: Benchmark = {
  name: 'sql',
  about:
    'the sinks for PostgreSQL, MariaDB and MySQL against bulk writers by hand, with and without a ledger; needs the servers',
  run: async (sizes) => [
    ...(await rowsOf('postgres', durable.postgres, postgres, sizes)),
    ...(await rowsOf('mariadb', durable.mysql, mysql, sizes)),
    ...(await rowsOf('mysql', durable.mysql, mysql, sizes)),
  ],
}

async function rowsOf(
  name: 'postgres' | 'mariadb' | 'mysql',
  settings: Readonly<Record<string, string>>,
  open: (url: string) => Database,
  sizes: Sizes,
) {
  const server = await startService(name, { settings })
  const db = open(server.values.url)
  const orders = Array.from({ length: sizes.count(RECORDS) }, (_, i): Order => {
    const region = `region ${String((i * 7_919) % 500)}`
    return { id: `order ${String(i)}`, region, quantity: i % 7, cents: BigInt(i) * 100n }
  })
  const sinks: Sink<Order>[] = []
  try {
    await db.run(`CREATE TABLE ${LEDGER} (name VARCHAR(99) PRIMARY KEY, batch BIGINT)`)
    const contests: Contest[] = []
    for (const mode of ['insert', 'upsert'] as const)
      for (const ledger of [false, true]) {
        const sink = db.sink(`ours_${mode}_${String(ledger)}`, mode)
        sinks.push(sink)
        contests.push(await contestOf(name, db, sink, { mode, ledger }, orders))
      }
    return await measure(contests, sizes.repeats({ warmUp: 2, rounds: 7 }))
  } finally {
    for (const sink of sinks) await sink.close?.()
    await db.end()
    await server.stop()
  }
}

async function contestOf(
  name: string,
  db: Database,
  sink: Sink<Order>,
  { mode, ledger }: { readonly mode: Mode; readonly ledger: boolean },
  orders: readonly Order[],
): Promise<Contest> {
  const [ours, byHand] = [sink.target, `hand_${mode}_${String(ledger)}`]
  const columnsByHand = `id ${db.textKey} PRIMARY KEY, region ${db.text} NOT NULL, quantity BIGINT NOT NULL, cents BIGINT NOT NULL`
  await db.run(`CREATE TABLE ${byHand} (${columnsByHand})`)
  await db.run(`INSERT INTO ${LEDGER} VALUES ('${byHand}', 0)`)
  const drive = await sinkDriver(sink, { partition: PARTITION, chunk: CHUNK })
  const total = (table: string): Promise<number> => db.run(`SELECT sum(cents) AS n FROM ${table}`)
  // Rows that are inserted must not be there; those of an upsert are, from the second run on.
  const empty = async (table: string): Promise<void> => {
    if (mode === 'insert') await db.run(`TRUNCATE TABLE ${table}`)
  }
  let batch = 0
  return {
    name: `sql/${name} ${mode}, by hand ${ledger ? 'with a ledger' : 'without'}`,
    aim: ledger ? LEDGER_AIM : PLAIN_AIM,
    noun: 'records',
    count: orders.length,
    ours: async () => {
      await empty(ours)
      await drive(orders)
      return total(ours)
    },
    reference: async () => {
      await empty(byHand)
      for (let at = 0; at < orders.length; at += PARTITION)
        await db.byHand(byHand, mode, orders.slice(at, at + PARTITION), ledger ? ++batch : undefined)
      return total(byHand)
    },
  }
}
