/** A store outside of the process, with sinks that write to it by the ledger's rules (E1, E8, E9), for tests and simulations. */
import { SluiceError } from '../errors.js'
import { collectChunks, type BatchPartitionId, type Sink, type SinkContext } from '../sink/sink.js'

interface LedgerRow {
  readonly batchTime: number
  readonly partitions: number
  readonly planDigest: string
  readonly epoch: number
  /** Indexes of the records, where they are dead letters (E18). */
  readonly indexes: readonly number[]
}

/** A record in a table. */
export interface StoredRow {
  readonly batchTime: number
  readonly partition: number
  readonly record: unknown
}

export class LedgerStore {
  readonly #tables = new Map<string, StoredRow[]>()
  readonly #ledger = new Map<string, LedgerRow>()
  /** The highest epoch that has opened each output (E8). */
  readonly #fences = new Map<string, number>()

  /** Time of the first batch that was written. */
  firstBatch: number | undefined

  /** What the first batches have written, by table, in order: time since the first batch, partition, record. */
  contents(untilMs = Infinity): Record<string, unknown[]> {
    const relative = (rows: readonly StoredRow[]): unknown[] =>
      rows
        .map(({ batchTime, partition, record }) => [batchTime - (this.firstBatch ?? 0), partition, record] as const)
        .filter(([time]) => time < untilMs)
    return Object.fromEntries(Array.from(this.#tables, ([table, rows]) => [table, relative(rows)]))
  }

  rows(table: string): readonly StoredRow[] {
    return this.#tables.get(table) ?? []
  }

  sink(table: string): Sink<unknown> {
    return {
      '~sluice': 'sink/1',
      name: 'ledger',
      target: table,
      guarantee: { level: 'exactly-once', condition: 'records and ledger change together' },
      open: async (context) => {
        await Promise.resolve()
        this.open(context)
      },
      writePartition: async (id, chunks) => {
        this.apply(table, id, await collectChunks(chunks))
      },
    }
  }

  /** Claims the output for this epoch. A log that has planned less than was written is not the one that wrote it. */
  open({
    app,
    output,
    epoch,
    lastPlanned = -Infinity,
  }: Pick<SinkContext, 'app' | 'output' | 'epoch' | 'lastPlanned'>): void {
    const prefix = `${app}/${output}`
    this.#requireUnfenced(prefix, epoch)
    this.#fences.set(prefix, epoch)
    for (const [key, { batchTime }] of this.#ledger) {
      if (!key.startsWith(`${prefix}/`) || key.slice(prefix.length + 1).includes('/') || batchTime <= lastPlanned)
        continue
      throw conflict('LOG_BEHIND_SINK', key, `batch ${String(batchTime)} was written, and the log does not know it`)
    }
  }

  /** One transaction: records and ledger. Changes nothing where they are applied already. */
  apply(table: string, id: BatchPartitionId, records: readonly unknown[], indexes?: readonly number[]): void {
    const settled = this.#begin(id, indexes !== undefined)
    if (settled === undefined) return
    const { app, output, batchTime, partition, partitions, planDigest, epoch } = id
    const isNew = (i: number): boolean => indexes === undefined || !settled.includes(indexes[i] ?? -1)
    const added = records.filter((_, i) => isNew(i)).map((record) => ({ batchTime, partition, record }))
    this.firstBatch ??= batchTime
    const rows = this.#tables.get(table)
    if (rows === undefined) this.#tables.set(table, added)
    else rows.push(...added)
    const row = { batchTime, partitions, planDigest, epoch, indexes: [...new Set([...settled, ...(indexes ?? [])])] }
    this.#ledger.set(`${app}/${output}/${String(partition)}`, row)
  }

  /** Indexes of the dead letters of this partition that are stored. */
  settledIndexes({ app, output, batchTime, partition }: BatchPartitionId): readonly number[] {
    const row = this.#ledger.get(`${app}/${output}/${String(partition)}`)
    return row?.batchTime === batchTime ? row.indexes : []
  }

  /**
   * Indexes stored of this very partition, none where it is new; undefined when it is applied already and nothing may be added.
   * Throws where the ledger says that it must not be.
   */
  #begin(id: BatchPartitionId, isAdding: boolean): readonly number[] | undefined {
    const { app, output, partition, batchTime, partitions, planDigest, epoch } = id
    this.#requireUnfenced(`${app}/${output}`, epoch)
    const key = `${app}/${output}/${String(partition)}`
    const row = this.#ledger.get(key)
    if (row !== undefined && row.epoch > epoch) throw conflict('FENCED', key, 'a newer owner has written')
    if (row === undefined || row.batchTime < batchTime) return []
    const isSame = row.batchTime === batchTime && row.partitions === partitions && row.planDigest === planDigest
    if (!isSame)
      throw conflict('IDENTITY_CONFLICT', key, `batch ${String(batchTime)} differs from what is in the ledger`)
    return isAdding ? row.indexes : undefined
  }

  #requireUnfenced(prefix: string, epoch: number): void {
    if ((this.#fences.get(prefix) ?? -Infinity) > epoch) throw conflict('FENCED', prefix, 'a newer owner has opened it')
  }
}

function conflict(
  code: 'FENCED' | 'IDENTITY_CONFLICT' | 'LOG_BEHIND_SINK',
  component: string,
  message: string,
): SluiceError {
  return new SluiceError({ code, component, message: `${message}; see the log of the other run` })
}
