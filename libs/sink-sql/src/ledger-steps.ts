/** Ledger and fence in a database: their tables, and what is asked and said of them in a transaction. */
import type { BatchId, BatchPartitionId, SinkContext } from '@sluice/core'
import { qualified, type Dialect } from './dialect.js'
import { checkOpen, decide, FENCE, isSameBatch, LEDGER, requireAll, requireFence, type LedgerEntry } from './ledger.js'
import { ConcurrentChange, query, type SqlRow, type Steps } from './steps.js'

interface StoredEntry extends LedgerEntry {
  readonly partition: number
  readonly rejectIndexes: readonly number[]
}

/** What the ledger says before a partition is applied. */
export interface LookUp {
  readonly apply: boolean
  /** Stored with the partition, if it has been applied. */
  readonly indexes: readonly number[]
  readonly own: StoredEntry | undefined
  /** Whether there are entries of partitions that this batch has not. */
  readonly hasOld: boolean
}

/** The ledger of one schema. */
export class Ledger {
  readonly #dialect: Dialect
  readonly #ledger: string
  readonly #fence: string
  /** A reserved word of MySQL. */
  readonly #partition: string
  readonly #schema: string | undefined

  constructor(dialect: Dialect, schema: string | undefined) {
    this.#dialect = dialect
    this.#schema = schema
    this.#partition = dialect.quote('partition')
    this.#ledger = qualified(dialect, { schema, table: LEDGER })
    this.#fence = qualified(dialect, { schema, table: FENCE })
  }

  /** Makes the tables that are not there. */
  *make(): Steps<void> {
    const { ledgerTypes, tableOptions } = this.#dialect
    const { key, integer, text } = ledgerTypes
    const owner = `app ${key} NOT NULL, output ${key} NOT NULL`
    const fence = `${owner}, epoch ${integer} NOT NULL, PRIMARY KEY (app, output)`
    const numbers = [this.#partition, 'batch_time', 'partitions']
      .map((name) => `${name} ${integer} NOT NULL`)
      .join(', ')
    const rest = `plan_digest ${text} NOT NULL, epoch ${integer} NOT NULL, reject_indexes ${text}`
    const ledger = `${owner}, ${numbers}, ${rest}, PRIMARY KEY (app, output, ${this.#partition})`
    for (const [table, columns] of [
      [FENCE, fence],
      [LEDGER, ledger],
    ] as const) {
      const name = { schema: this.#schema, table }
      // Who may not make tables can use those that another one has made.
      if ((yield* this.#dialect.describe(name)) !== undefined) continue
      yield { sql: `CREATE TABLE IF NOT EXISTS ${qualified(this.#dialect, name)} (${columns})${tableOptions}` }
    }
  }

  /** Checks ledger and fence, and claims the fence: writers of lower epochs that come later find that, those before have ended. */
  *claim({ app, output, epoch, lastPlanned }: SinkContext): Steps<void> {
    const claimed = yield* this.#fenceEpoch(app, output, this.#dialect.lockExclusive)
    checkOpen({ output, epoch, lastPlanned }, claimed, newestOf(yield* this.#entries(app, output)))
    if (claimed !== undefined) {
      yield this.#statement(`UPDATE FENCE SET epoch = ? WHERE app = ? AND output = ?`, [epoch, app, output])
      return
    }
    try {
      yield this.#statement(`INSERT INTO FENCE (app, output, epoch) VALUES (?, ?, ?)`, [app, output, epoch])
    } catch (error) {
      throw this.#dialect.isDuplicate(error) ? new ConcurrentChange('fence', { cause: error }) : error
    }
  }

  /** Whether to apply the partition. The fence is read in a way that holds off a new owner until the end of the transaction (E8). */
  *lookUp(id: BatchPartitionId): Steps<LookUp> {
    requireFence(id, yield* this.#fenceEpoch(id.app, id.output, this.#dialect.lockShared))
    const entries = yield* this.#entries(id.app, id.output)
    const own = entries.find(({ partition }) => partition === id.partition)
    const apply = decide(id, own, newestOf(entries)) === 'apply'
    const hasOld = entries.some(({ partition }) => partition >= id.partitions)
    return { apply, indexes: apply || own === undefined ? [] : own.rejectIndexes, own, hasOld }
  }

  /** Fails where a partition of the batch is not applied, as after the transaction that had it was lost. */
  *requireWhole(id: BatchId): Steps<void> {
    requireFence(id, yield* this.#fenceEpoch(id.app, id.output, this.#dialect.lockShared))
    const entries = yield* this.#entries(id.app, id.output)
    requireAll(id, entries.filter((entry) => isSameBatch(entry, id)).length)
  }

  /**
   * Stores that the partition is applied, if its entry is still what was looked up: of two transactions that write one partition,
   * as after a time-out, one waits here for the other and then finds that it came too late (E9).
   */
  *store(id: BatchPartitionId, { own, hasOld }: LookUp, indexes: readonly number[] | undefined): Steps<void> {
    const { app, output, partition, batchTime, partitions, planDigest, epoch } = id
    const text = indexes === undefined ? null : JSON.stringify(indexes)
    const values = [batchTime, partitions, planDigest, epoch, text, app, output, partition]
    if (own === undefined) yield* this.#insert(values)
    else {
      const was = 'batch_time = ? AND plan_digest = ? AND epoch = ?'
      const set = 'batch_time = ?, partitions = ?, plan_digest = ?, epoch = ?, reject_indexes = ?'
      const { changes } = yield this.#statement(
        `UPDATE LEDGER SET ${set} WHERE app = ? AND output = ? AND PARTITION = ? AND ${was}`,
        [...values, own.batchTime, own.planDigest, own.epoch],
      )
      if (changes === 0) throw new ConcurrentChange('ledger')
    }
    if (!hasOld) return
    const old = `DELETE FROM LEDGER WHERE app = ? AND output = ? AND PARTITION >= ?`
    yield this.#statement(old, [app, output, partitions])
  }

  *#insert(values: readonly unknown[]): Steps<void> {
    const columns = 'batch_time, partitions, plan_digest, epoch, reject_indexes, app, output, PARTITION'
    try {
      yield this.#statement(`INSERT INTO LEDGER (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, values)
    } catch (error) {
      throw this.#dialect.isDuplicate(error) ? new ConcurrentChange('ledger', { cause: error }) : error
    }
  }

  /** The reject indexes stored with a partition; none where it is not applied. */
  *settledIndexes({ app, output, partition, batchTime, planDigest }: BatchPartitionId): Steps<readonly number[]> {
    const own = (yield* this.#entries(app, output)).find((entry) => entry.partition === partition)
    return own?.batchTime === batchTime && own.planDigest === planDigest ? own.rejectIndexes : []
  }

  *#fenceEpoch(app: string, output: string, lock: string): Steps<number | undefined> {
    const sql = `SELECT epoch FROM FENCE WHERE app = ? AND output = ?${lock}`
    const [row] = yield* this.#rows(sql, [app, output])
    return row === undefined ? undefined : Number(row['epoch'])
  }

  *#entries(app: string, output: string): Steps<StoredEntry[]> {
    const columns = 'PARTITION, batch_time, partitions, plan_digest, epoch, reject_indexes'
    const sql = `SELECT ${columns} FROM LEDGER WHERE app = ? AND output = ?`
    return (yield* this.#rows(sql, [app, output])).map(entryOf)
  }

  #rows(sql: string, values: readonly unknown[]): Steps<readonly SqlRow[]> {
    return query(this.#statement(sql, values).sql, values)
  }

  /** With the dialect's placeholders for `?`, and its names for those in capitals. */
  #statement(sql: string, values: readonly unknown[]): { sql: string; values: readonly unknown[] } {
    const names: Readonly<Record<string, string>> = {
      LEDGER: this.#ledger,
      FENCE: this.#fence,
      PARTITION: this.#partition,
    }
    let place = 0
    return {
      sql: sql.replace(
        /[?]|\b(LEDGER|FENCE|PARTITION)\b/g,
        (found) => names[found] ?? this.#dialect.placeholder(++place),
      ),
      values,
    }
  }
}

function newestOf(entries: readonly StoredEntry[]): StoredEntry | undefined {
  return entries.reduce<StoredEntry | undefined>(
    (newest, entry) => (newest === undefined || entry.batchTime > newest.batchTime ? entry : newest),
    undefined,
  )
}

function entryOf(row: SqlRow): StoredEntry {
  const { partition, batch_time, partitions, plan_digest, epoch, reject_indexes } = row
  return {
    partition: Number(partition),
    batchTime: Number(batch_time),
    partitions: Number(partitions),
    planDigest: String(plan_digest),
    epoch: Number(epoch),
    rejectIndexes: typeof reject_indexes === 'string' ? (JSON.parse(reject_indexes) as number[]) : [],
  }
}
