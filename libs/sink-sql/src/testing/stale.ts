/** Rows that are there before modes `update` and `delete` are tested, and what these have done with them. */
import { systemClock, type Sink } from '@sluice/core'
import { STALE, type Order } from './orders.js'

/** Makes the table and its rows. What `update` writes differs from what is there. */
export async function fill(sink: Sink<Order>, stale: readonly Order[], mode: string): Promise<void> {
  const rows = mode === 'update' ? stale.map((each) => ({ ...each, quantity: -1, text: STALE })) : stale
  const say = (): void => undefined
  const logger = { debug: say, info: say, warn: say, error: say }
  const { signal } = new AbortController()
  // The ledger may be that of all tests: an application for each table.
  const id = { app: `fills ${sink.target}`, output: 'filler', epoch: 1 }
  await sink.open?.({ ...id, lastPlanned: 1, logger, clock: systemClock, signal })
  const batch = { ...id, batchTime: 1, partition: 0, partitions: 1, planDigest: 'fill', attempt: 0 }
  const context = { signal, reject: say, settleRejects: () => Promise.resolve() }
  const chunks = (async function* () {
    yield await Promise.resolve(rows)
  })()
  await sink.writePartition(batch, chunks, context).finally(() => sink.close?.())
}

/** What the mode has written: the rows it has updated, or those it has deleted. */
export function written(found: readonly Order[], stale: readonly Order[], mode: string): readonly Order[] {
  if (mode === 'update') return found.filter(({ text }) => text !== STALE)
  if (mode !== 'delete') return found
  const left = new Set(found.map(({ id }) => id))
  return stale.filter(({ id }) => !left.has(id))
}
