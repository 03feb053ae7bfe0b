/** How the sink and the offset store come to a session with PostgreSQL. */
import type { Connected, ConnectContext } from '../connected.js'
import {
  labelOf,
  limitsOf,
  LOCK_TIMEOUT_MS,
  requireOnePlace,
  type ServerLimits,
  type ServerOptions,
} from '../server/server-options.js'
import { ServerSession, type ServerSource } from '../server/server-session.js'
import { query, type Steps } from '../steps.js'
import { clientSource, ownPool, pooledSource } from './postgres-client.js'
import { postgresDialect } from './postgres-dialect.js'
import type { PostgresPlace } from './postgres-sink.config.js'

const SCHEMES = ['postgres:', 'postgresql:']
const FORM = 'postgres://user:password@host:port/database'

/** Throws `ARGUMENT_INVALID`; what is given connects. `name` begins warnings. */
export function postgresConnector(
  name: string,
  given: PostgresPlace & ServerOptions,
): (context: ConnectContext) => Promise<Connected> {
  const { url, pool, client } = given
  const limits = limitsOf(given)
  requireOnePlace({ url, pool, client })
  const label = url === undefined ? 'the given PostgreSQL' : labelOf(url, SCHEMES, FORM)
  return async (context) => {
    const source = await sourceOf(given, label, limits)
    const session = new ServerSession(source, { clock: context.clock, timeoutMs: limits.timeoutMs })
    try {
      await session.transaction(() => warn(name, context, label), { signal: context.signal, undo: true })
    } catch (error) {
      await session.close()
      throw error
    }
    return { session, dialect: postgresDialect({ mayCopy: url !== undefined }) }
  }
}

async function sourceOf(place: PostgresPlace, label: string, limits: ServerLimits): Promise<ServerSource> {
  const settings = { idleTimeoutMs: limits.idleTimeoutMs, lockTimeoutMs: LOCK_TIMEOUT_MS }
  if (place.client !== undefined) return clientSource(label, place.client, settings)
  if (place.pool !== undefined) return pooledSource(label, place.pool, settings, { close: () => Promise.resolve() })
  const { pool, ...end } = await ownPool({ ...place, ...limits })
  return pooledSource(label, pool, settings, end)
}

/** The settings that our promise rests on, and that are not ours to change. */
function* warn(name: string, { logger }: ConnectContext, label: string): Steps<void> {
  const names = ['fsync', 'full_page_writes']
  const rows = yield* query('SELECT name, setting FROM pg_settings WHERE name = $1 OR name = $2', names)
  for (const { name: option, setting } of rows) {
    if (setting === 'on') continue
    logger.warn(
      `[${name}] ${label}: ${String(option)} is off: a crash of the server may lose batches that are done; set it to on`,
    )
  }
}
