/** What the sink promises, as far as it is known. */
import type { SinkGuarantee } from '@sluice/core'
import type { RedisSinkOptions } from './redis-sink.config.js'

/** What `open` has found out about the server. */
export interface Lowered {
  readonly missing: readonly string[]
  readonly evicting?: string | undefined
}

export function guaranteeOf(
  { mode, ledger = true }: RedisSinkOptions<never>,
  isOwn: boolean,
  { missing, evicting }: Lowered,
): SinkGuarantee {
  const atLeastOnce = (condition: string): SinkGuarantee => ({ level: 'at-least-once', condition })
  if (mode === 'publish') return atLeastOnce('a message cannot be taken back, and who does not listen misses it')
  if (!ledger) return atLeastOnce('without a ledger a batch that is run again is written again')
  if (!isOwn) return atLeastOnce('the given client cannot be duplicated, so a late write cannot be cut off')
  if (evicting !== undefined) return atLeastOnce(`the server may evict keys: ${evicting}`)
  const custom = mode === 'custom' ? ', and the commands of a record fail together or not at all' : ''
  if (missing.length > 0)
    return {
      level: 'effectively-once',
      condition: `as long as the server does not crash: ${missing.join('; ')}${custom}`,
    }
  return {
    level: 'exactly-once',
    condition: `guard and writes are one script call, and the server keeps what it acknowledges: appendonly yes, appendfsync always, noeviction, WAIT for replicas${custom}`,
  }
}
