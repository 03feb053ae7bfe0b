/** What the sink promises. */
import type { SinkGuarantee } from '@sluice/core'
import type { MongoSinkOptions } from './mongo-sink.config.js'

export function guaranteeOf({
  mode,
  ledger = true,
  transaction = false,
  writeConcern,
}: MongoSinkOptions<never>): SinkGuarantee {
  if (!ledger)
    return { level: 'at-least-once', condition: 'without a ledger a batch that is run again is written again' }
  if (mode === 'custom' && !transaction)
    return { level: 'at-least-once', condition: 'operations of one’s own have no guard outside of a transaction' }
  const how = transaction
    ? 'writes and ledger are one transaction'
    : 'each document has a guard that tells whether the batch has written it, and nobody else writes there'
  const { w = 'majority', journal = true } = writeConcern ?? {}
  if (w !== 'majority' || !journal)
    return {
      level: 'effectively-once',
      condition: `as long as no server fails: the write concern is w: ${String(w)}, journal: ${String(journal)}; ${how}`,
    }
  return { level: 'exactly-once', condition: `${how}; the write concern is majority, journaled` }
}
