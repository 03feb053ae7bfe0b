/** The sink for PostgreSQL. */
import type { Sink, SinkContext, SinkGuarantee } from '@sluice/core'
import {
  IDLE_TIMEOUT_MS,
  labelOf,
  limitsOf,
  LOCK_TIMEOUT_MS,
  requireOnePlace,
  type ServerLimits,
} from '../server/server-options.js'
import { ServerSession, type ServerSource } from '../server/server-session.js'
import { planSink, type SqlSinkOptions } from '../sink-options.js'
import { SqlSink } from '../sql-sink.js'
import { query, type Steps } from '../steps.js'
import type { Apply } from '../writer.js'
import { clientSource, ownPool, pooledSource } from './postgres-client.js'
import { postgresDialect } from './postgres-dialect.js'
import type { PostgresPlace, PostgresSinkOptions } from './postgres-sink.config.js'

const NAME = 'postgres-sink'
const SCHEMES = ['postgres:', 'postgresql:']
const FORM = 'postgres://user:password@host:port/database'
const SETTINGS = { idleTimeoutMs: IDLE_TIMEOUT_MS, lockTimeoutMs: LOCK_TIMEOUT_MS }

/**
 * A sink that writes to a table of PostgreSQL. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be
 * reached, or a table that the records do not fit, rejects `start()`.
 */
export function postgresSink<T>(options: PostgresSinkOptions<T>): Sink<T> {
  const given = options as PostgresSinkOptions<never>
  const { url, pool, client, schema, table } = given
  const plan = planSink(given as SqlSinkOptions, 'PostgreSQL')
  const limits = limitsOf(given)
  requireOnePlace({ url, pool, client })
  const label = url === undefined ? 'the given PostgreSQL' : labelOf(url, SCHEMES, FORM)
  return new SqlSink({
    name: NAME,
    target: schema === undefined ? table : `${schema}.${table}`,
    guarantee: guaranteeOf(given),
    plan,
    apply: given.mode === 'custom' ? (given.apply as unknown as Apply) : undefined,
    async connect(context) {
      const source = await sourceOf(given, label, limits)
      const session = new ServerSession(source, { clock: context.clock, timeoutMs: limits.timeoutMs })
      try {
        await session.transaction(() => warn(context, label), { signal: context.signal, undo: true })
      } catch (error) {
        await session.close()
        throw error
      }
      return { session, dialect: postgresDialect() }
    },
  })
}

async function sourceOf(place: PostgresPlace, label: string, limits: ServerLimits): Promise<ServerSource> {
  if (place.client !== undefined) return clientSource(label, place.client, SETTINGS)
  if (place.pool !== undefined) return pooledSource(label, place.pool, SETTINGS, () => Promise.resolve())
  const { pool, close } = await ownPool({ ...place, ...limits })
  return pooledSource(label, pool, SETTINGS, close)
}

/** The settings that our promise rests on, and that are not ours to change. */
function* warn({ logger }: SinkContext, label: string): Steps<void> {
  const names = ['fsync', 'full_page_writes']
  const rows = yield* query('SELECT name, setting FROM pg_settings WHERE name = $1 OR name = $2', names)
  for (const { name, setting } of rows) {
    if (setting === 'on') continue
    logger.warn(
      `[${NAME}] ${label}: ${String(name)} is off: a crash of the server may lose batches that are done; set it to on`,
    )
  }
}

function guaranteeOf({ mode, client }: PostgresSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one transaction of a server with fsync']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (client !== undefined) parts.push('nothing else uses the given client')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
