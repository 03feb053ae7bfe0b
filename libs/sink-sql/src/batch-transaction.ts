/** `transaction: 'batch'`: all partitions of a batch, and offsets if wanted, in one transaction (E21). */
import {
  isSluiceError,
  type BatchId,
  type BatchPartitionId,
  type OffsetStore,
  type PlannedOffsets,
  type StreamOffsets,
} from '@sluice/core'
import { requireThat } from './errors.js'
import { OpenTransaction } from './open-transaction.js'
import { SqlOffsetStore } from './sql-offset-store.js'
import type { Session, Steps } from './steps.js'

export interface BatchOptions {
  /**
   * `partition`: each partition of a batch is a transaction; several may run at the same time. `batch`: all of them are one, written in
   * turn; readers see the batch or nothing of it. Default: `'partition'`.
   */
  readonly transaction?: 'partition' | 'batch' | undefined
  /** With `transaction: 'batch'`: offsets that are stored in the same transaction. */
  readonly offsets?: BatchOffsets | undefined
}

export interface BatchOffsets {
  /** Of the same database, and the one that was given to the source, which opens it. */
  readonly store: OffsetStore
  /** From what the inputs have planned for a batch to what is stored, by stream; `kafkaOffsets` of `@sluice/source-kafka` is one. */
  readonly of: (planned: PlannedOffsets) => Readonly<Record<string, StreamOffsets>>
}

/** The options, checked. */
export interface BatchPlan {
  readonly store: SqlOffsetStore | undefined
  readonly of: BatchOffsets['of']
}

/** Undefined where each partition is a transaction. Throws `ARGUMENT_INVALID`. */
export function planBatch({ transaction = 'partition', offsets }: BatchOptions): BatchPlan | undefined {
  const isKnown = transaction === 'partition' || transaction === 'batch'
  requireThat(isKnown, `there is no transaction '${String(transaction)}'; use 'partition' or 'batch'`)
  const isBatch = transaction === 'batch'
  requireThat(
    isBatch || offsets === undefined,
    "`offsets` belong to a transaction of the batch; add transaction: 'batch'",
  )
  if (!isBatch) return undefined
  const { store, of = () => ({}) } = offsets ?? {}
  const isOurs = store === undefined || store instanceof SqlOffsetStore
  requireThat(isOurs, 'offsets.store must be an offset store of this package, for the same database')
  return { store, of }
}

export interface OpenBatch {
  readonly id: BatchId
  readonly transaction: OpenTransaction
  /** Whether something was applied in it. */
  hasNew: boolean
}

const SAVEPOINT = 'sluice_partition'

/** The open transactions of a sink: one for each of its outputs. */
export class BatchTransactions {
  readonly #open = new Map<string, OpenBatch>()

  /** The transaction of a batch; that of another attempt, or of another batch, is undone first. */
  async of(session: Session, id: BatchId | BatchPartitionId): Promise<OpenBatch> {
    const key = keyOf(id)
    const open = this.#open.get(key)
    if (open !== undefined && isSame(open.id, id) && !open.transaction.hasEnded) return open
    await open?.transaction.abandon()
    const batch: OpenBatch = { id, transaction: new OpenTransaction(session), hasNew: false }
    this.#open.set(key, batch)
    return batch
  }

  /** Nothing more comes of it. */
  forget(id: BatchId): void {
    this.#open.delete(keyOf(id))
  }

  async abandonAll(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(all.map(({ transaction }) => transaction.abandon()))
  }
}

function keyOf({ app, output }: BatchId): string {
  return JSON.stringify([app, output])
}

function isSame(a: BatchId, b: BatchId): boolean {
  return a.batchTime === b.batchTime && a.epoch === b.epoch && a.attempt === b.attempt && a.planDigest === b.planDigest
}

/** Steps of which nothing is left when a record is refused, or when they are a trial; what was before them in the transaction stays. */
export async function inSavepoint<R>(
  transaction: OpenTransaction,
  steps: () => Steps<R>,
  { undo = false, signal }: { readonly undo?: boolean | undefined; readonly signal: AbortSignal },
): Promise<R> {
  const outcome = await transaction.run(() => atSavepoint(steps, undo), signal)
  if ('refused' in outcome) throw outcome.refused
  return outcome.value
}

function* atSavepoint<R>(steps: () => Steps<R>, undo: boolean): Steps<{ value: R } | { refused: Error }> {
  yield { sql: `SAVEPOINT ${SAVEPOINT}` }
  try {
    const value = yield* steps()
    if (undo) yield { sql: `ROLLBACK TO SAVEPOINT ${SAVEPOINT}` }
    yield { sql: `RELEASE SAVEPOINT ${SAVEPOINT}` }
    return { value }
  } catch (error) {
    if (!isSluiceError(error, 'RECORD_REJECTED')) throw error
    yield { sql: `ROLLBACK TO SAVEPOINT ${SAVEPOINT}` }
    yield { sql: `RELEASE SAVEPOINT ${SAVEPOINT}` }
    return { refused: error }
  }
}
