/** Whether the server keeps what it acknowledges: asked when the sink opens. */
import type { Calls } from './connection.js'
import { messageOf } from './errors.js'

export interface Durability {
  /** Why what was acknowledged may be lost, each with its remedy. */
  readonly missing: readonly string[]
  /** Why even the ledger may vanish while the server runs. */
  readonly evicting: string | undefined
  readonly isCluster: boolean
  /** Connected replicas. */
  readonly replicas: number
}

/** Of the server behind this connection; of a cluster, what is missing at any of its masters. */
export async function durabilityOf(calls: Calls): Promise<Durability> {
  const found = await Promise.all((await calls.servers()).map(serverDurability))
  return {
    missing: [...new Set(found.flatMap(({ missing }) => missing))],
    evicting: found.find(({ evicting }) => evicting !== undefined)?.evicting,
    isCluster: found.some(({ isCluster }) => isCluster),
    replicas: Math.min(...found.map(({ replicas }) => replicas)),
  }
}

async function serverDurability(calls: Calls): Promise<Durability> {
  const info = infoOf(String(await calls.command('', 'INFO')))
  const missing: string[] = []
  if (info['aof_enabled'] !== '1') missing.push('appendonly is off: set appendonly yes')
  const policy = info['maxmemory_policy'] ?? 'unknown'
  const sync = await appendfsync(calls)
  if (sync !== 'always') missing.push(`appendfsync is ${sync}: set appendfsync always`)
  const evicting =
    policy === 'noeviction' ? undefined : `maxmemory-policy is ${policy}: set maxmemory-policy noeviction`
  return {
    missing,
    evicting,
    isCluster: info['cluster_enabled'] === '1',
    replicas: Number(info['connected_slaves'] ?? 0),
  }
}

async function appendfsync(calls: Calls): Promise<string> {
  try {
    const answer = await calls.command('', 'CONFIG', 'GET', 'appendfsync')
    const values = Array.isArray(answer) ? answer : Object.entries(answer as object).flat()
    return String(values[1])
  } catch (error) {
    // Hosted servers often have no CONFIG, and a user may not be allowed to read it.
    if (/NOPERM|unknown command/i.test(messageOf(error))) return 'not to be read (CONFIG is refused)'
    throw error
  }
}

function infoOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(/\r?\n/)
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}
