/** Fetches over connections of @platformatic/kafka, with our own request and decoder, which are faster than its own. */
import { ConnectionPool, ProtocolError, Writer } from '@platformatic/kafka'
import type { Admin, Broker, ClusterMetadata, Connection, ConnectionOptions } from '@platformatic/kafka'
import type { FetchAnswer, FetchRequest } from '../client.js'
import { decodeFetch, encodeFetch, FETCH_API, FETCH_VERSION } from '../fetch-wire.js'

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
      connection = await this.#connections.get(
        leaderOf(await this.#admin.metadata({ topics: [topic] }), topic, partition),
      )
      const { errorCode, answer } = decodeFetch(await send(connection, encodeFetch(request)))
      if (errorCode !== 0) throw new ProtocolError(errorCode)
      return answer
    } catch (error) {
      this.#admin.clearMetadata()
      // After a request that timed out the connection reads no answer any more.
      if (/timed out/.test(String(error))) await connection?.close()
      throw error
    }
  }

  async close(): Promise<void> {
    for (const [, connection] of this.#connections) connection.socket.destroy()
    await this.#connections.close()
  }
}

function leaderOf({ topics, brokers }: ClusterMetadata, topic: string, partition: number): Broker {
  const found = topics.get(topic)?.partitions[partition]
  if (found === undefined) throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
  const broker = brokers.get(found.leader)
  if (broker === undefined) throw new ProtocolError('LEADER_NOT_AVAILABLE')
  return broker
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
