/** The figures in databases, for whoever wants to look at them while the job runs. */
import { join } from 'node:path'
import type { DStream, Pair, Sink } from '@sluice/core'
import { mysqlSink } from '@sluice/sink-sql/mysql'
import { postgresSink } from '@sluice/sink-sql/postgres'
import { readSqlite, sqliteSink } from '@sluice/sink-sql/sqlite'
import type { Standing, Subject, SubjectKind } from './figures.js'

/** How many customers there are nobody knows; these are few. */
const KINDS: readonly SubjectKind[] = ['all', 'country', 'group', 'rejected']

/** One subject as it stands after its last batch: a row of the table `metrics`. */
export interface StoredMetrics {
  readonly kind: SubjectKind
  readonly name: string
  readonly lines: number
  readonly orders: number
  readonly cancellations: number
  readonly revenueThousandths: number
  /** Of the last minutes. */
  readonly windowOrders: number
  readonly windowRevenueThousandths: number
  readonly batchTime: number
}

/** Path of the database in a folder of results. */
function storePath(directory: string): string {
  return join(directory, 'metrics.db')
}

const write = {
  table: 'metrics',
  mode: 'upsert',
  key: ['kind', 'name'],
  columns: {
    kind: 'text',
    name: 'text',
    lines: 'integer',
    orders: 'integer',
    cancellations: 'integer',
    revenueThousandths: 'integer',
    windowOrders: 'integer',
    windowRevenueThousandths: 'integer',
    batchTime: 'integer',
  },
} as const

type Standings = DStream<Pair<Subject, Standing>>

/** Keeps the row of each subject up to date, in SQLite: a batch's rows are there with it, all of a partition at once, or not at all. */
export function storeMetrics(standings: Standings, directory: string): void {
  storeIn(standings, sqliteSink<StoredMetrics>({ file: storePath(directory), ...write }))
}

/** The same in a server: PostgreSQL, MySQL or MariaDB by the URL's scheme. */
export function storeMetricsInServer(standings: Standings, url: string): void {
  const options = { url, ...write }
  storeIn(
    standings,
    url.startsWith('postgres') ? postgresSink<StoredMetrics>(options) : mysqlSink<StoredMetrics>(options),
  )
}

function storeIn(standings: Standings, sink: Sink<StoredMetrics>): void {
  standings
    .filter(([[kind]]) => KINDS.includes(kind))
    .transform((rdd, batchTime) => rdd.map((standing) => storedMetrics(standing, batchTime)))
    .to(sink)
}

function storedMetrics([[kind, name], { total, window }]: Pair<Subject, Standing>, batchTime: number): StoredMetrics {
  const { lines, orders, cancellations, revenue } = total
  const inWindow = { windowOrders: window.orders, windowRevenueThousandths: window.revenue }
  return {
    kind,
    name: storable(name),
    lines,
    orders,
    cancellations,
    revenueThousandths: revenue,
    ...inWindow,
    batchTime,
  }
}

/** Names come from the data, and a column of text takes no NUL and no halves of characters. */
export function storable(name: string): string {
  return name.replace(/\0|\p{Surrogate}/gu, '\ufffd')
}

/** All rows, those with the most revenue first. Rejects when there is no such database yet. */
export function readMetrics(directory: string): Promise<StoredMetrics[]> {
  const query = 'SELECT * FROM metrics ORDER BY kind, revenueThousandths DESC, name'
  return readSqlite({ file: storePath(directory) }, (db) => db.all(query) as unknown as StoredMetrics[])
}
