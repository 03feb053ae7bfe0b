/** How the sink and the offset store come to a session with MySQL or MariaDB. */
import { requireThat } from '../errors.js'
import type { Connected, ConnectContext } from '../connected.js'
import { labelOf, limitsOf, requireOnePlace, type ServerLimits, type ServerOptions } from '../server/server-options.js'
import { ServerSession, type ServerSource } from '../server/server-session.js'
import { query, type Steps } from '../steps.js'
import { clientSource, ownPool, ownSource, pooledSource } from './mysql-client.js'
import { mysqlDialect, type MysqlServer } from './mysql-dialect.js'
import type { MysqlPlace } from './mysql-sink.config.js'

const SCHEMES = ['mysql:', 'mariadb:']
const FORM = 'mysql://user:password@host:port/database'

/** Throws `ARGUMENT_INVALID`; what is given connects. `name` begins warnings. */
export function mysqlConnector(
  name: string,
  given: MysqlPlace & ServerOptions,
): (context: ConnectContext) => Promise<Connected> {
  const { url, pool, client } = given
  const limits = limitsOf(given)
  requireOnePlace({ url, pool, client })
  const label = url === undefined ? 'the given MySQL' : labelOf(url, SCHEMES, FORM)
  return async (context) => {
    const source = await sourceOf(given, label, limits)
    const session = new ServerSession(source, { clock: context.clock, timeoutMs: limits.timeoutMs })
    try {
      const server = await session.transaction(() => look(name, context, label), { signal: context.signal, undo: true })
      return { session, dialect: mysqlDialect(server) }
    } catch (error) {
      await session.close()
      throw error
    }
  }
}

async function sourceOf(place: MysqlPlace, label: string, limits: ServerLimits): Promise<ServerSource> {
  if (place.client !== undefined) return clientSource(label, place.client, limits.idleTimeoutMs)
  if (place.pool !== undefined) return pooledSource(label, place.pool, limits.idleTimeoutMs)
  const { pool, ...end } = await ownPool({ ...place, ...limits, url: place.url.replace(/^mariadb:/, 'mysql:') })
  return ownSource(label, pool, limits.idleTimeoutMs, end)
}

const LOOK = `SELECT VERSION() AS version, @@max_allowed_packet AS packet, @@character_set_client AS charset,
  @@innodb_flush_log_at_trx_commit AS flush`

/** What the server is, and whether its settings keep the promise. */
function* look(name: string, { logger }: ConnectContext, label: string): Steps<MysqlServer> {
  const [row = {}] = yield* query(LOOK)
  const { version, packet, charset, flush } = row
  requireThat(charset === 'utf8mb4', `the connection has the charset ${String(charset)}; give it utf8mb4`)
  if (Number(flush) !== 1)
    logger.warn(
      `[${name}] ${label}: a crash of the server may lose batches that are done; set innodb_flush_log_at_trx_commit to 1`,
    )
  return { isMariadb: /mariadb/i.test(String(version)), maxPacketBytes: Number(packet) }
}
