/** The sink for MySQL and MariaDB. */
import type { Sink, SinkContext, SinkGuarantee } from '@sluice/core'
import { requireThat } from '../errors.js'
import { labelOf, limitsOf, requireOnePlace, type ServerLimits } from '../server/server-options.js'
import { ServerSession, type ServerSource } from '../server/server-session.js'
import { planSink, type SqlSinkOptions } from '../sink-options.js'
import { SqlSink } from '../sql-sink.js'
import { query, type Steps } from '../steps.js'
import type { Apply } from '../writer.js'
import { clientSource, ownPool, ownSource, pooledSource } from './mysql-client.js'
import { mysqlDialect, type MysqlServer } from './mysql-dialect.js'
import type { MysqlPlace, MysqlSinkOptions } from './mysql-sink.config.js'

const NAME = 'mysql-sink'
const SCHEMES = ['mysql:', 'mariadb:']
const FORM = 'mysql://user:password@host:port/database'

/**
 * A sink that writes to a table of MySQL or MariaDB. However often a batch is run, its rows are there once: they and a row of the table
 * `sluice_ledger` that says so are one transaction. Throws `ARGUMENT_INVALID` for options that make no sense; a server that cannot be
 * reached, or a table that the records do not fit, rejects `start()`.
 */
export function mysqlSink<T>(options: MysqlSinkOptions<T>): Sink<T> {
  const given = options as MysqlSinkOptions<never>
  const { url, pool, client, schema, table } = given
  const plan = planSink(given as SqlSinkOptions, 'MySQL')
  const limits = limitsOf(given)
  requireOnePlace({ url, pool, client })
  const label = url === undefined ? 'the given MySQL' : labelOf(url, SCHEMES, FORM)
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
        const server = await session.transaction(() => look(context, label), { signal: context.signal, undo: true })
        return { session, dialect: mysqlDialect(server) }
      } catch (error) {
        await session.close()
        throw error
      }
    },
  })
}

async function sourceOf(place: MysqlPlace, label: string, limits: ServerLimits): Promise<ServerSource> {
  if (place.client !== undefined) return clientSource(label, place.client)
  if (place.pool !== undefined) return pooledSource(label, place.pool)
  const { pool, close } = await ownPool({ ...place, ...limits, url: place.url.replace(/^mariadb:/, 'mysql:') })
  return ownSource(label, pool, close)
}

const LOOK = `SELECT VERSION() AS version, @@max_allowed_packet AS packet, @@character_set_client AS charset,
  @@innodb_flush_log_at_trx_commit AS flush`

/** What the server is, and whether its settings keep the promise. */
function* look({ logger }: SinkContext, label: string): Steps<MysqlServer> {
  const [row = {}] = yield* query(LOOK)
  const { version, packet, charset, flush } = row
  requireThat(charset === 'utf8mb4', `the connection has the charset ${String(charset)}; give it utf8mb4`)
  if (Number(flush) !== 1)
    logger.warn(
      `[${NAME}] ${label}: a crash of the server may lose batches that are done; set innodb_flush_log_at_trx_commit to 1`,
    )
  return { isMariadb: /mariadb/i.test(String(version)), maxPacketBytes: Number(packet) }
}

function guaranteeOf({ mode, client }: MysqlSinkOptions<never>): SinkGuarantee {
  const parts = ['rows and ledger are one InnoDB transaction of a server with innodb_flush_log_at_trx_commit = 1']
  if (mode === 'custom') parts.push('`apply` does nothing but through its transaction')
  if (client !== undefined) parts.push('nothing else uses the given client')
  return { level: 'exactly-once', condition: parts.join(', and ') }
}
