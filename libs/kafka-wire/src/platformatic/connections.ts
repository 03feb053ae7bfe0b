/** What is done to connections of @platformatic/kafka: ending them all, and hearing less of a look-up's complaints. */
import { ResponseError } from '@platformatic/kafka'
import type { Admin, Connection, ConnectionPool } from '@platformatic/kafka'

/** Of a request for metadata. */
const METADATA = 3
const OF_PARTITION = /^\/topics\/\d+\/partitions\/\d+$/

/**
 * It takes a whole look-up for failed while any partition of a topic in it has no leader. With this that partition has the leader
 * -1, which is no broker, and the others are known. Not for producers, which would look for that broker and throw where nobody catches it.
 */
export function tolerateLeaderless({ connections }: Admin): void {
  connections.on('connecting', (event: unknown) => {
    const { connection } = event as { readonly connection: Connection }
    const send = connection.send.bind(connection)
    connection.send = ((apiKey, version, payload, parse, ...rest) => {
      send(apiKey, version, payload, apiKey === METADATA ? withoutPartitionErrors(parse) : parse, ...rest)
    }) as Connection['send']
  })
}

function withoutPartitionErrors<A extends unknown[], R>(parse: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    try {
      return parse(...args)
    } catch (error) {
      if (!(error instanceof ResponseError)) throw error
      const { errors, response } = error as unknown as { errors: readonly { path?: unknown }[]; response: R }
      if (errors.every(({ path }) => OF_PARTITION.test(String(path)))) return response
      throw error
    }
  }
}

/** Ends all connections, and with them what waits for their answers. What needs one makes another, unless the pool is closed. */
export function dropAll(connections: ConnectionPool): void {
  for (const [, connection] of connections) (connection.socket as Connection['socket'] | undefined)?.destroy()
}
