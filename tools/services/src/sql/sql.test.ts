import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { describeWithInstalled, startService, type SqlValues } from '../index.js'
import { valuesFromUrl } from './values.js'

type Ask = (sql: string) => Promise<unknown[]>
type Visit = <R>(values: SqlValues, tls: boolean, work: (ask: Ask) => Promise<R>) => Promise<R>

const inPostgres: Visit = async ({ url, ca }, tls, work) => {
  const client = new pg.Client({ connectionString: url, ...(tls ? { ssl: { ca } } : {}) })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(async (sql) => (await client.query(sql)).rows)
  } finally {
    await client.end().catch(() => undefined)
  }
}

const inMysql: Visit = async ({ url, ca }, tls, work) => {
  const connection = await createConnection({ uri: url, ...(tls ? { ssl: { ca } } : {}) })
  try {
    return await work(async (sql) => (await connection.query(sql))[0] as unknown[])
  } finally {
    connection.destroy()
  }
}

for (const [name, visit] of [
  ['postgres', inPostgres],
  ['mariadb', inMysql],
  ['mysql', inMysql],
] as const) {
  await describeWithInstalled({ describe, test }, [name, `${name}-tls`], name, () => {
    test('keeps what is committed when it is killed, and is the same server when it is started again', async () => {
      const own = await startService(name)
      try {
        await visit(own.values, false, (ask) => ask('CREATE TABLE kept (n INTEGER PRIMARY KEY)'))
        for (const n of [1, 2, 3]) {
          await visit(own.values, false, (ask) => ask(`INSERT INTO kept VALUES (${String(n)})`))
          await own.processes[0]?.restart()
        }
        const rows = await visit(own.values, false, (ask) => ask('SELECT n FROM kept ORDER BY n'))
        expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
      } finally {
        await own.stop()
      }
    }, 120_000)

    test('lets nobody in without TLS, or with another password, where it has TLS', async () => {
      const own = await startService(`${name}-tls`)
      try {
        const { values } = own
        expect(await visit(values, true, (ask) => ask('SELECT 1 AS one'))).toEqual([{ one: 1 }])
        await expect(visit(values, false, (ask) => ask('SELECT 1'))).rejects.toThrow()
        const url = values.url.replace(values.password, 'wrong')
        await expect(visit({ ...values, url }, true, (ask) => ask('SELECT 1'))).rejects.toThrow()
      } finally {
        await own.stop()
      }
    }, 120_000)
  })
}

test('a server of the user is named by its URL', () => {
  const text = 'mysql://me:p%40ss@db.example:3306/shop'
  expect(valuesFromUrl('mysql', text)).toEqual({
    url: text,
    ...{ host: 'db.example', port: '3306', user: 'me', password: 'p@ss', database: 'shop', ca: '' },
  })
  for (const wrong of ['db:3306', 'postgres://me:p@db:1/shop', 'mysql://me:p@db/shop', 'mysql://me:p@db:1'])
    expect(() => valuesFromUrl('mysql', wrong)).toThrow('mysql://user:password@host:port/database')
  expect(() => valuesFromUrl('mysql', text, 'SLUICE_NO_SUCH_CA')).toThrow('SLUICE_NO_SUCH_CA is not set')
})
