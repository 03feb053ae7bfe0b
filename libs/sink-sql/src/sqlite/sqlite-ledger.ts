/** Ledger and fence in SQLite. */
import type { BatchPartitionId, SinkContext } from '@sluice/core'
import { checkOpen, decide, FENCE, LEDGER, requireFence, type LedgerEntry } from '../ledger.js'
import type { SqliteTransaction } from './sqlite-driver.js'
import type { SqliteValue } from './sqlite-dialect.js'

const KEY = 'app TEXT NOT NULL, output TEXT NOT NULL'

export const LEDGER_TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS ${FENCE} (${KEY}, epoch INTEGER NOT NULL, PRIMARY KEY (app, output)) WITHOUT ROWID, STRICT`,
  `CREATE TABLE IF NOT EXISTS ${LEDGER} (${KEY}, partition INTEGER NOT NULL, batch_time INTEGER NOT NULL,
    partitions INTEGER NOT NULL, plan_digest TEXT NOT NULL, epoch INTEGER NOT NULL, reject_indexes TEXT,
    PRIMARY KEY (app, output, partition)) WITHOUT ROWID, STRICT`,
]

const ENTRIES = `SELECT batch_time, partitions, plan_digest, epoch, reject_indexes FROM ${LEDGER} WHERE app = ? AND output = ?`

interface StoredEntry extends LedgerEntry {
  readonly rejectIndexes: readonly number[]
}

/** Checks ledger and fence, and claims the fence: in the transaction that has made the tables. */
export function claimFence(db: SqliteTransaction, { app, output, epoch, lastPlanned }: SinkContext): void {
  checkOpen({ output, epoch, lastPlanned }, fenceEpoch(db, app, output), newestEntry(db, app, output))
  db.run(
    `INSERT INTO ${FENCE} (app, output, epoch) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch`,
    [app, output, epoch],
  )
}

/** Whether to apply the partition; the reject indexes that are stored with it if it has been applied. */
export function lookUp(db: SqliteTransaction, id: BatchPartitionId): { apply: boolean; indexes: readonly number[] } {
  requireFence(id, fenceEpoch(db, id.app, id.output))
  const own = ownEntry(db, id)
  const apply = decide(id, own, newestEntry(db, id.app, id.output)) === 'apply'
  return { apply, indexes: apply || own === undefined ? [] : own.rejectIndexes }
}

/** Stores that the partition is applied. Entries of partitions that this batch has no more go. */
export function store(db: SqliteTransaction, id: BatchPartitionId, indexes: readonly number[] | undefined): void {
  const { app, output, partition, batchTime, partitions, planDigest, epoch } = id
  const text = indexes === undefined ? null : JSON.stringify(indexes)
  db.run(
    `INSERT OR REPLACE INTO ${LEDGER} (app, output, partition, batch_time, partitions, plan_digest, epoch, reject_indexes)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    [app, output, partition, batchTime, partitions, planDigest, epoch, text],
  )
  db.run(`DELETE FROM ${LEDGER} WHERE app = ? AND output = ? AND partition >= ?`, [app, output, partitions])
}

/** The reject indexes stored with a partition; none where it is not applied. */
export function settledIndexes(db: SqliteTransaction, id: BatchPartitionId): readonly number[] {
  const own = ownEntry(db, id)
  return own?.batchTime === id.batchTime && own.planDigest === id.planDigest ? own.rejectIndexes : []
}

function fenceEpoch(db: SqliteTransaction, app: string, output: string): number | undefined {
  const [row] = db.all(`SELECT epoch FROM ${FENCE} WHERE app = ? AND output = ?`, [app, output])
  return row === undefined ? undefined : Number(row['epoch'])
}

function ownEntry(db: SqliteTransaction, { app, output, partition }: BatchPartitionId): StoredEntry | undefined {
  return entryOf(db.all(`${ENTRIES} AND partition = ?`, [app, output, partition]))
}

function newestEntry(db: SqliteTransaction, app: string, output: string): StoredEntry | undefined {
  return entryOf(db.all(`${ENTRIES} ORDER BY batch_time DESC LIMIT 1`, [app, output]))
}

function entryOf([row]: readonly Record<string, SqliteValue>[]): StoredEntry | undefined {
  if (row === undefined) return undefined
  const { batch_time, partitions, plan_digest, epoch, reject_indexes } = row
  return {
    batchTime: Number(batch_time),
    partitions: Number(partitions),
    planDigest: String(plan_digest),
    epoch: Number(epoch),
    rejectIndexes: typeof reject_indexes === 'string' ? (JSON.parse(reject_indexes) as number[]) : [],
  }
}
