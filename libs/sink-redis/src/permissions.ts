/** Whether the user may run what the sink will run: asked when it opens, not found out by the first batch. */
import type { Calls } from './connection.js'
import { redisError } from './errors.js'
import type { Mode } from './modes.js'
import { ASK_PERMISSION } from './scripts.js'
import type { Word } from './values.js'

/**
 * Rejects with `CONNECTION_FAILED` naming what is not allowed. Servers before Redis 7 do not tell, and the commands of `custom` are known only with its
 * records. `place`: the one key, or channel, that is written to; undefined where it differs from record to record, and only the commands are asked about.
 */
export async function requirePermissions(
  calls: Calls,
  mode: Mode,
  ledger: Word,
  place: string | undefined,
): Promise<void> {
  if (mode.command === '' || (place === undefined && !mode.isKeyed)) return
  const commands = [...(mode.type === '' ? [] : ['TYPE']), mode.command, ...mode.after.map(([name = '']) => name)]
  const { answer } = await calls.run(ASK_PERMISSION, [ledger], [place ?? ledger, ...commands])
  if (answer.length === 0) return
  const what = mode.isKeyed ? 'key' : 'channel'
  const where = place === undefined ? '' : ` on the ${what} ${place}`
  throw redisError(
    'CONNECTION_FAILED',
    `this user may not run ${answer.join(', ')}${where}; allow it with ACL SETUSER, or log in as another user`,
  )
}
