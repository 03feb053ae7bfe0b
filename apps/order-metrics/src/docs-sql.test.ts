/** The examples of docs/sql.md are run against real servers, as they stand there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { milliseconds, StreamingContext, type DStream } from '@sluice/core'
import { importBlock } from '@sluice/doc-blocks'
import { describeWithServices, kafkaJsConfig, makeTopic } from '@sluice/services'
import { Kafka } from 'kafkajs'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

interface Sale {
  readonly id: string
  readonly country: string
  readonly cents: bigint
}

interface Examples {
  keepSales(sales: DStream<Sale>, url: string): void
  addTotals(totals: DStream<Omit<Sale, 'id'>>, url: string): void
  copySales(ssc: StreamingContext, brokers: readonly string[], url: string): void
}

const context = (): StreamingContext =>
  new StreamingContext({ appName: 'docs-sql', batchInterval: milliseconds(50), log: 'silent' })

/** Runs until `isDone`; a failed batch fails it. */
async function runUntil(ssc: StreamingContext, isDone: () => Promise<boolean>): Promise<void> {
  await ssc.start()
  try {
    while (!(await isDone())) await Promise.race([sleep(20), ssc.awaitTermination()])
  } finally {
    await ssc.stop()
  }
}

const functions = { describe, test }

await describeWithServices(functions, ['postgres', 'kafka'], 'docs/sql.md, PostgreSQL', ({ postgres, kafka }) => {
  const client = new pg.Client({ connectionString: postgres.url })
  const rows = async (sql: string): Promise<unknown[]> => (await client.query(sql)).rows
  beforeAll(async () => {
    await client.connect()
    await client.query('DROP TABLE IF EXISTS sales, copied')
  })
  afterAll(async () => {
    await client.query('DROP TABLE IF EXISTS sales, copied')
    await client.end()
  })

  test('its first example has one row for each sale', async () => {
    const { keepSales } = await importBlock<Examples>('docs/sql.md', 'keepSales')
    const ssc = context()
    const sales: Sale[][] = [
      [
        { id: 'a', country: 'FR', cents: 2n ** 60n },
        { id: 'b', country: 'DE', cents: 5n },
      ],
      [{ id: 'b', country: 'DE', cents: 7n }],
    ]
    keepSales(ssc.queueStream(sales), postgres.url)
    const wanted = [
      { id: 'a', cents: String(2n ** 60n) },
      { id: 'b', cents: '7' },
    ]
    const found = async () => {
      const there = await rows(`SELECT to_regclass('sales') AS t`)
      return (there[0] as { t: unknown }).t === null ? [] : rows('SELECT id, cents FROM sales ORDER BY id')
    }
    await runUntil(ssc, async () => JSON.stringify(await found()) === JSON.stringify(wanted))
    expect(await found()).toEqual(wanted)
  }, 60_000)

  test('E21: its third example copies each sale of a topic once, over several runs without a checkpoint', async () => {
    const topic = `sales-${String(process.pid)}-${String(Date.now())}`
    const client = new Kafka(kafkaJsConfig(kafka))
    const [admin, producer] = [client.admin(), client.producer()]
    await Promise.all([admin.connect(), producer.connect()])
    await makeTopic(admin, { topic, numPartitions: 2 })
    const { copySales } = await importBlock<Examples>('docs/sql.md', 'copySales', {
      changes: { "'sales'": `'${topic}'` },
    })
    const count = async () => {
      const there = await rows(`SELECT to_regclass('copied') AS t`)
      if ((there[0] as { t: unknown }).t === null) return 0
      return Number(((await rows('SELECT count(*) AS n FROM copied')) as { n: string }[])[0]?.n)
    }
    try {
      for (let run = 0; run < 3; run++) {
        const messages = Array.from({ length: 10 }, (_, i) => ({
          key: String(i),
          value: JSON.stringify({ id: `${String(run)}/${String(i)}`, cents: i }),
        }))
        await producer.send({ topic, messages })
        const ssc = context()
        copySales(ssc, kafka.bootstrap.split(','), postgres.url)
        await runUntil(ssc, async () => (await count()) >= 10 * (run + 1))
      }
      expect(await rows('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM copied')).toEqual([
        { n: '30', ids: '30' },
      ])
      const stored = `SELECT sum(next_offset::int) AS n FROM sluice_offsets WHERE source_partition LIKE '${topic}-%'`
      expect(await rows(stored)).toEqual([{ n: '30' }])
    } finally {
      await Promise.all([admin.disconnect(), producer.disconnect()])
    }
  }, 120_000)
})

await describeWithServices(functions, ['mysql'], 'docs/sql.md, MySQL', ({ mysql }) => {
  test('its second example adds up', async () => {
    const connection = await createConnection({ uri: mysql.url })
    try {
      await connection.query('DROP TABLE IF EXISTS totals')
      const { addTotals } = await importBlock<Examples>('docs/sql.md', 'addTotals')
      const ssc = context()
      const totals = [1n, 20n, 300n].map((cents) => [
        { country: 'FR', cents },
        { country: 'DE', cents: 2n * cents },
      ])
      addTotals(ssc.queueStream(totals), mysql.url)
      const found = async (): Promise<unknown[]> => {
        const [there] = await connection.query(`SHOW TABLES LIKE 'totals'`)
        if ((there as unknown[]).length === 0) return []
        return (await connection.query('SELECT country, cents FROM totals ORDER BY country'))[0] as unknown[]
      }
      const wanted = [
        { country: 'DE', cents: 642 },
        { country: 'FR', cents: 321 },
      ]
      await runUntil(ssc, async () => JSON.stringify(await found()) === JSON.stringify(wanted))
      expect(await found()).toEqual(wanted)
    } finally {
      await connection.query('DROP TABLE IF EXISTS totals')
      connection.destroy()
    }
  }, 60_000)
})
