/** Fetches over connections of @platformatic/kafka, with our own request and decoder, which are faster than its own. */
import { ConnectionPool, ProtocolError, Writer } from '@platformatic/kafka'
import type { Admin, Broker, Connection, ConnectionOptions } from '@platformatic/kafka'
import type { FetchAnswer, FetchRequest } from '../client.js'
import { decodeFetch, encodeFetch, FETCH_API, FETCH_VERSION } from '../read/fetch-wire.js'
import { dropAll } from './connections.js'
import { leadersOf } from './leaders.js'

export class PlatformaticFetcher {
  readonly #admin: Admin
  /** Fetches may wait long, and what is sent on their connection waits, too. */
  readonly #connections: ConnectionPool

  constructor(admin: Admin, clientId: string, options: ConnectionOptions) {
    this.#admin = admin
    this.#connections = new ConnectionPool(clientId, options)
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    const { topic, partition } = request
    let connection: Connection | undefined
    try {
      const [leader] = [...(await leadersOf(this.#admin, topic, [partition])).keys()] as [Broker]
      connection = await this.#connections.get(leader)
      const { errorCode, answer } = decodeFetch(await send(connection, encodeFetch(request)))
      if (errorCode !== 0) throw new ProtocolError(errorCode)
      return answer
    } catch (error) {
      // After a request that timed out the connection reads no answer any more.
      if (/timed out/.test(String(error))) await connection?.close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.drop()
    await this.#connections.close()
  }

  /** Ends all connections; what needs one makes another. */
  drop(): void {
    dropAll(this.#connections)
  }
}

function send(connection: Connection, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    connection.send<Buffer>(
      FETCH_API,
      FETCH_VERSION,
      () => Writer.create().append(request),
      (_correlationId, _apiKey, _apiVersion, reader) => reader.buffer.slice(),
      false,
      false,
      (error, answer) => {
        if (error) reject(error)
        else resolve(answer as Buffer)
      },
    )
  })
}
