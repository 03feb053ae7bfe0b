/** A sink of a system with transactions: what a partition changes, and the mark that it has been written, are one. */
import { SluiceError, untilAborted, type BatchPartitionId, type ErrorCode, type Sink } from '@sluice/core'

export interface Payment {
  readonly account: string
  readonly cents: number
}

/** The client library of some database. */
export interface Database {
  /** All that `work` changes, or nothing; one transaction after the other. Rejects where nobody is there. */
  transaction(work: (tx: Transaction) => Promise<void>): Promise<void>
  close(): Promise<void>
}

export interface Transaction {
  get<V>(table: string, key: string): Promise<V | undefined>
  set<V>(table: string, key: string, value: V): Promise<void>
}

/** What is kept of an output: who owns it, its last batch, and the partitions of that which are written. */
interface Mark extends Pick<BatchPartitionId, 'epoch' | 'batchTime' | 'planDigest' | 'partitions'> {
  readonly written: readonly number[]
}

const NOTHING: Mark = { epoch: 0, batchTime: -1, planDigest: '', partitions: 0, written: [] }

export function accountSink(connect: () => Database): Sink<Payment> {
  let database: Database | undefined
  const change = async (signal: AbortSignal, work: (tx: Transaction) => Promise<void>): Promise<void> => {
    if (database === undefined) throw failure('STOPPED', 'the sink is not open; open it first')
    signal.throwIfAborted()
    await untilAborted(database.transaction(work), signal)
  }
  return {
    '~sluice': 'sink/1',
    name: 'accounts',
    target: 'accounts',
    guarantee: { level: 'exactly-once', condition: 'nobody else changes the table of marks' },
    async open({ app, output, epoch, lastPlanned = -1, signal }) {
      database ??= connect()
      await change(signal, async (tx) => {
        const mark = (await tx.get<Mark>('marks', `${app}/${output}`)) ?? NOTHING
        requireOwner(mark, epoch)
        if (mark.batchTime > lastPlanned) {
          throw failure('LOG_BEHIND_SINK', `batch ${String(mark.batchTime)} is not in the log; restore the log's copy`)
        }
        // From now on a process that was taken for dead, and wakes, writes no more (E8).
        await tx.set('marks', `${app}/${output}`, { ...mark, epoch })
      })
    },
    async writePartition(id, chunks, { signal, reject, settleRejects }) {
      const sums = new Map<string, number>()
      let index = 0
      for await (const chunk of chunks) {
        for (const { account, cents } of chunk) {
          if (Number.isSafeInteger(cents)) sums.set(account, (sums.get(account) ?? 0) + cents)
          else reject(index, failure('RECORD_REJECTED', `${String(cents)} is no whole number of cents; round it`))
          index++
        }
      }
      // What is refused is settled before any good record is there (E18).
      await settleRejects()
      await change(signal, async (tx) => {
        const key = `${id.app}/${id.output}`
        const mark = (await tx.get<Mark>('marks', key)) ?? NOTHING
        const written = writtenOf(mark, id)
        // An earlier try may have come through although its answer was lost (E9).
        if (written.includes(id.partition)) return
        for (const [account, sum] of sums) {
          await tx.set('accounts', account, ((await tx.get<number>('accounts', account)) ?? 0) + sum)
        }
        const { epoch, batchTime, planDigest, partitions, partition } = id
        await tx.set('marks', key, { epoch, batchTime, planDigest, partitions, written: [...written, partition] })
      })
    },
    async close() {
      await database?.close()
      database = undefined
    },
  }
}

function requireOwner(mark: Mark, epoch: number): void {
  if (mark.epoch > epoch) throw failure('FENCED', 'another process has taken over; it goes on')
}

/** The partitions of this batch that are there. A batch must be the last one, whole as it was, or a later one (E1, E2). */
function writtenOf(mark: Mark, id: BatchPartitionId): readonly number[] {
  requireOwner(mark, id.epoch)
  if (mark.batchTime < id.batchTime) return []
  const isSame = mark.planDigest === id.planDigest && mark.partitions === id.partitions
  if (mark.batchTime === id.batchTime && isSame) return mark.written
  const there = `batch ${String(mark.batchTime)} is written, and ${String(id.batchTime)} comes`
  throw failure('IDENTITY_CONFLICT', `${there}; was the clock set back, or a backup restored?`)
}

function failure(code: ErrorCode, message: string): SluiceError {
  return new SluiceError({ code, component: 'accounts', message })
}
