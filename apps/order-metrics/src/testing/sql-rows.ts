/** What the app has left in a database server, and what it must be. */
import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { recompute, type ExpectedTotals } from './recompute.js'

const QUERY = 'SELECT * FROM metrics'
export type StoredRow = Readonly<Record<string, unknown>>

export async function readPostgres(url: string): Promise<readonly StoredRow[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<StoredRow>(QUERY)).rows
  } finally {
    await client.end()
  }
}

export async function readMysql(url: string): Promise<readonly StoredRow[]> {
  const connection = await createConnection({ uri: url })
  try {
    return (await connection.query(QUERY))[0] as StoredRow[]
  } finally {
    connection.destroy()
  }
}

/** What the table says, in the shape of the recomputed totals. */
export function totalsIn(rows: readonly StoredRow[]): Partial<ExpectedTotals> {
  const of = (kind: string) => rows.filter((row) => row['kind'] === kind)
  const sum = (kind: string, figure: string) => of(kind).reduce((total, row) => total + Number(row[figure]), 0)
  const tallies = (kind: string) =>
    Object.fromEntries(
      of(kind).map((row) => [
        String(row['name']),
        { orders: Number(row['orders']), revenueThousandths: Number(row['revenueThousandths']) },
      ]),
    )
  return {
    accepted: sum('all', 'lines'),
    orders: sum('all', 'orders'),
    cancellations: sum('all', 'cancellations'),
    revenueThousandths: sum('all', 'revenueThousandths'),
    byCountry: tallies('country'),
    byGroup: tallies('group'),
  }
}

/** The same from plain loops over the lines. */
export function totalsFrom(lines: readonly string[]): Partial<ExpectedTotals> {
  const { accepted, orders, cancellations, revenueThousandths, byCountry, byGroup } = recompute(lines)
  return { accepted, orders, cancellations, revenueThousandths, byCountry, byGroup }
}
