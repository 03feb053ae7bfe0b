/** Parquet as others read it: DuckDB. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { SluiceContext } from '@sluice/core'
import { expect, test } from 'vitest'
import { fileSink } from './file-sink.js'
import { parquet } from './parquet.js'

interface Order {
  readonly id: string
  readonly country: string
  readonly quantity: number
  readonly cents: bigint
  readonly price: number
  readonly paid: boolean | null
  readonly at: Date
  readonly blob: Uint8Array
  readonly lines: unknown
}

const orders: readonly Order[] = Array.from({ length: 1_000 }, (_, index) => ({
  id: `größe 数 ${String(index)}`,
  country: ['de', 'fr', 'it'][index % 3] ?? '',
  quantity: index - 500,
  cents: 2n ** 62n + BigInt(index),
  price: index / 3,
  paid: index % 5 === 0 ? null : index % 2 === 0,
  at: new Date(Date.UTC(2026, 0, 1) + index),
  blob: Uint8Array.of(index % 256, 0, 255),
  lines: { sku: [index, null, 'x'] },
}))

test.each(['snappy', 'none'] as const)('DuckDB reads what was written, %s, by folders', async (compression) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-parquet-'))
  const context = new SluiceContext({ log: 'silent' })
  try {
    const format = parquet<Order>({
      compression,
      rowGroupRows: 100,
      columns: {
        id: 'string',
        quantity: 'int32',
        cents: 'int64',
        price: 'double',
        paid: { type: 'boolean', nullable: true },
        at: 'timestamp',
        blob: 'bytes',
        lines: 'json',
        // Under another name: `country` is the folder's.
        land: { type: 'string', value: ({ country }) => country },
      },
    })
    await context.parallelize(orders, 2).writeTo(fileSink({ path: folder, format, folders: 'country={country}' }))
    const duck = await (await DuckDBInstance.create(':memory:')).connect()
    const files = `read_parquet('${folder}/**/*.parquet', hive_partitioning = true)`
    const query = `SELECT id, quantity, cents::VARCHAR AS cents, price, paid, epoch_ms("at")::DOUBLE AS "at", hex(blob) AS blob,
      lines::VARCHAR AS lines, country, land FROM ${files} ORDER BY quantity`
    const rows = (await duck.runAndReadAll(query)).getRowObjects()
    expect(rows).toEqual(
      orders.map(({ cents, at, blob, lines, country, ...rest }) => ({
        ...rest,
        cents: String(cents),
        at: at.getTime(),
        blob: Buffer.from(blob).toString('hex').toUpperCase(),
        lines: JSON.stringify(lines),
        country,
        land: country,
      })),
    )
  } finally {
    await context.stop()
    await rm(folder, { recursive: true })
  }
})

test.each([
  ['string', 1],
  ['string', 'half \ud800'],
  ['int32', 2 ** 31],
  ['int32', 0.5],
  ['int64', 2n ** 63n],
  ['int64', 2 ** 60],
  ['double', '1'],
  ['boolean', 1],
  ['timestamp', new Date(NaN)],
  ['timestamp', 1],
  ['bytes', 'x'],
  ['json', { a: NaN }],
  ['string', null],
] as const)('a column of %s refuses %s and leaves no trace of the record', (type, value) => {
  const encoder = parquet<{ n: number; v: unknown }>({ columns: { n: 'int32', v: type } }).begin()
  const empty = parquet<{ n: number; v: unknown }>({ columns: { n: 'int32', v: type } }).begin()
  expect(() => {
    encoder.add({ n: 1, v: value })
  }).toThrow(/column v/)
  expect(encoder.end()).toEqual(empty.end())
})
