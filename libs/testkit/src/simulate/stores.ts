/** Where records go: stores outside of all processes, and sinks that write to them over a network that fails. */
import {
  collectChunks,
  SluiceError,
  type BatchPartitionId,
  type Random,
  type Sink,
  type WriteContext,
} from '@sluice/core'
import { LedgerStore, type StoredRow } from '@sluice/core/testing'
import type { OperationFault } from './faults.js'
import type { History, ProcessHistory } from './history.js'
import type { FaultyOperation, Operate } from './operation.js'

export interface SinkShape {
  /**
   * `ledger`: records and ledger change together, a lower epoch is fenced: exactly once. `append`: each write is added to what is
   * there: at least once. Default: `ledger`.
   */
  readonly kind?: 'ledger' | 'append' | undefined
  /** Records that the store refuses (E18). Default: none. */
  readonly refuses?: ((record: unknown) => boolean) | undefined
  /** How many of the first writes of a partition of this batch the store rejects. Default: none. */
  readonly failures?: ((batchTime: number) => number) | undefined
}

/** All stores of a run. */
export class SimStores {
  readonly ledger = new LedgerStore()
  readonly #appended = new Map<string, StoredRow[]>()
  /** Kind of each table that was ever written to. */
  readonly kinds = new Map<string, 'ledger' | 'append'>()

  /** Partitions that are in the ledger. */
  readonly applied = new Set<string>()

  isApplied(id: BatchPartitionId): boolean {
    return this.applied.has(appliedKey(id))
  }

  rows(table: string): readonly StoredRow[] {
    return this.kinds.get(table) === 'append' ? (this.#appended.get(table) ?? []) : this.ledger.rows(table)
  }

  append(table: string, { batchTime, partition }: BatchPartitionId, records: readonly unknown[]): void {
    const rows = this.#appended.get(table) ?? []
    this.#appended.set(table, rows)
    for (const record of records) rows.push({ batchTime, partition, record })
  }
}

function appliedKey({ output, batchTime, partition }: BatchPartitionId): string {
  return `${output}/${String(batchTime)}/${String(partition)}`
}

/** What sinks of a process share. */
export interface SinkPlace {
  readonly operate: Operate
  readonly stores: SimStores
  readonly history: History
  readonly process: ProcessHistory
}

const SINK_LATENCY_MS = 5
const LEAST_LATE_MS = 1_000
const MOST_LATE_MS = 120_000

export function simSink(
  place: SinkPlace,
  table: string,
  { kind = 'ledger', refuses, failures }: SinkShape,
): Sink<unknown> {
  const { operate, stores, history, process } = place
  stores.kinds.set(table, kind)
  const call = (what: string, effect: () => void, tear?: () => void): Promise<void> =>
    operate({ kind: 'sink', what, on: table }, effect, {
      latencyMs: SINK_LATENCY_MS,
      tear,
      faulty: (fault, random) => faultySink(fault, random, effect),
    })
  const write = async (
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> => {
    // A store looks into its ledger first: what is applied is not looked at again, and nothing of it is refused twice.
    if (refuses !== undefined && stores.isApplied(id)) return
    const records = await goodOf(await collectChunks(chunks), refuses, context)
    const writes = history.wrote(table, id.batchTime, id.partition)
    const isDown = writes <= (failures?.(id.batchTime) ?? 0)
    const half = records.slice(0, Math.ceil(records.length / 2))
    if (isDown) await call('write', failing('was refused'))
    else if (kind === 'append') {
      const append = (some: readonly unknown[]) => (): void => {
        stores.append(table, id, some)
      }
      await call('write', append(records), append(half))
    } else {
      await call('write', () => {
        stores.ledger.apply(table, id, records, context.indexes)
        stores.applied.add(appliedKey(id))
      })
    }
  }
  return {
    '~sluice': 'sink/1',
    name: kind,
    target: table,
    guarantee: guaranteeOf(kind),
    open: async (context) => {
      process.opened(context)
      await call('open', () => {
        if (kind === 'ledger') stores.ledger.open(context)
      })
    },
    writePartition: write,
    ...(kind === 'ledger' && {
      settledIndexes: (id: BatchPartitionId) =>
        operate({ kind: 'sink', what: 'read', on: table }, () => stores.ledger.settledIndexes(id), {
          latencyMs: SINK_LATENCY_MS,
          faulty: (fault, random) => faultySink(fault, random, () => undefined),
        }),
    }),
  }
}

function guaranteeOf(kind: 'ledger' | 'append'): Sink<unknown>['guarantee'] {
  return kind === 'ledger'
    ? { level: 'exactly-once', condition: 'records and ledger change together' }
    : { level: 'at-least-once', condition: 'what is written again is added again' }
}

/** The records that the store takes; the others are settled before (E18). */
async function goodOf(
  records: readonly unknown[],
  refuses: SinkShape['refuses'],
  context: WriteContext,
): Promise<readonly unknown[]> {
  if (refuses === undefined) return records
  for (const [i, record] of records.entries()) if (refuses(record)) context.reject(i, refused(record))
  await context.settleRejects()
  return records.filter((record) => !refuses(record))
}

function refused(record: unknown): SluiceError {
  const message = `the store refuses ${JSON.stringify(record)}; give it another`
  return new SluiceError({ code: 'RECORD_REJECTED', component: 'simulated-store', message })
}

function faultySink(fault: OperationFault, random: Random, effect: () => void): FaultyOperation {
  switch (fault) {
    case 'sinkFails':
      return { effect: failing('was refused') }
    case 'sinkAppliesThenFails':
      return {
        effect: () => {
          effect()
          failing('was not answered')()
        },
      }
    case 'sinkHangs':
      return { effect: () => undefined, isSilent: true }
    case 'lateWrite':
      return { delayMs: LEAST_LATE_MS + random.next() * (MOST_LATE_MS - LEAST_LATE_MS), isSilent: true }
    default:
      return {}
  }
}

function failing(what: string): () => never {
  return () => {
    throw new SluiceError({
      code: 'CONNECTION_FAILED',
      component: 'simulated-store',
      message: `the call ${what}; try again`,
      retryable: true,
    })
  }
}
