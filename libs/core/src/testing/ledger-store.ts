/** A store outside of the process, with sinks that write to it by the ledger's rules (E1), for tests. */
import { SluiceError } from '../errors.js'
import { collectChunks, type BatchPartitionId, type Sink } from '../sink/sink.js'

interface LedgerRow {
  readonly batchTime: number
  readonly partitions: number
  readonly planDigest: string
  readonly epoch: number
}

export class LedgerStore {
  readonly #tables = new Map<string, (readonly [number, number, unknown])[]>()
  readonly #ledger = new Map<string, LedgerRow>()

  /** Time of the first batch that was written. */
  firstBatch: number | undefined

  /** What the first batches have written, by table, in order: time since the first batch, partition, record. */
  contents(untilMs = Infinity): Record<string, unknown[]> {
    const first = (rows: readonly (readonly [number, number, unknown])[]): unknown[] =>
      rows.filter(([time]) => time < untilMs)
    return Object.fromEntries(Array.from(this.#tables, ([table, rows]) => [table, first(rows)]))
  }

  sink(table: string): Sink<unknown> {
    return {
      '~sluice': 'sink/1',
      name: 'ledger',
      target: table,
      guarantee: { level: 'exactly-once', condition: 'records and ledger change together' },
      open: async ({ app, output, lastPlanned }) => {
        await Promise.resolve()
        this.#requireLogAhead(`${app}/${output}/`, lastPlanned)
      },
      writePartition: async (id, chunks) => {
        const records = await collectChunks(chunks)
        // From here to the end nothing is awaited: it is one transaction.
        if (!this.#isNew(id)) return
        const rows = this.#tables.get(table) ?? []
        const time = id.batchTime - (this.firstBatch ??= id.batchTime)
        this.#tables.set(table, [...rows, ...records.map((record) => [time, id.partition, record] as const)])
      },
    }
  }

  /** A log that has planned less than was written is not the one that wrote it. */
  #requireLogAhead(prefix: string, lastPlanned = -Infinity): void {
    for (const [key, { batchTime }] of this.#ledger) {
      if (!key.startsWith(prefix) || batchTime <= lastPlanned) continue
      throw conflict('LOG_BEHIND_SINK', key, `batch ${String(batchTime)} was written, and the log does not know it`)
    }
  }

  /** False when it is applied already; throws where the ledger says that it must not be. */
  #isNew({ app, output, partition, batchTime, partitions, planDigest, epoch }: BatchPartitionId): boolean {
    const key = `${app}/${output}/${String(partition)}`
    const row = this.#ledger.get(key)
    if (row !== undefined && row.epoch > epoch) throw conflict('FENCED', key, 'a newer owner has written')
    if (row !== undefined && row.batchTime >= batchTime) {
      const isSame = row.batchTime === batchTime && row.partitions === partitions && row.planDigest === planDigest
      if (isSame) return false
      throw conflict('IDENTITY_CONFLICT', key, `batch ${String(batchTime)} differs from what is in the ledger`)
    }
    this.#ledger.set(key, { batchTime, partitions, planDigest, epoch })
    return true
  }
}

function conflict(
  code: 'FENCED' | 'IDENTITY_CONFLICT' | 'LOG_BEHIND_SINK',
  component: string,
  message: string,
): SluiceError {
  return new SluiceError({ code, component, message: `${message}; see the log of the other run` })
}
