/**
 * What is used of kafkajs beyond its public face, with types, in one place: kafkajs cannot read a range, and its decoder lets
 * aborted records through (a key of four zero bytes), so that only its connections are used for reading.
 */
import type { Kafka } from 'kafkajs'
import Encoder from 'kafkajs/src/protocol/encoder.js'
import InnerConnection from 'kafkajs/src/network/connection.js'
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'
import protocolErrors from 'kafkajs/src/protocol/error.js'

/** An answer begins with its size. */
const SIZE_BYTES = 4
/** Of a request for metadata. */
const METADATA = 3

export interface Connection {
  isConnected(): boolean
  connect(): Promise<unknown>
  disconnect(): Promise<unknown>
  send(request: object): Promise<unknown>
  rejectRequests(error: Error): void
  readonly socket?: {
    readonly destroyed: boolean
    destroy(): void
    removeAllListeners(event: string): unknown
    on(event: 'error', ignore: () => void): unknown
  }
  /** `host:port`. */
  readonly broker: string
  /** Of a login that is under way. */
  readonly authHandlers?: { onError(): void } | null
}

interface ConnectionPool {
  readonly pool: readonly Connection[]
  send(request: ProtocolRequest): Promise<unknown>
}

interface ProtocolRequest {
  readonly request: { readonly apiKey: number }
  readonly response: { parse(answer: MetadataAnswer): Promise<unknown> }
}

interface MetadataAnswer {
  readonly topicMetadata: readonly { readonly partitionMetadata: readonly object[] }[]
}

/** What a connection knows of the answer that is coming in. */
export interface ConnectionState extends Connection {
  connect: Connection['connect']
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  processData(data: Buffer): void
}

interface TopicAnswer {
  readonly topic: string
  readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[]
}

interface TopicOffsets {
  readonly topic: string
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
}

interface TopicSettings {
  readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[]
}

interface JoinAnswer {
  readonly memberId: string
  readonly generationId: number
  readonly leaderId: string
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
}

export interface Broker {
  /** The first for everything but fetches, the second for these. */
  readonly connectionPool: { readonly pool: readonly Connection[] }
  isConnected(): boolean
  connect(): Promise<void>
  disconnect(): Promise<void>
  metadata(topics: readonly string[]): Promise<{ readonly topicMetadata: readonly TopicAnswer[] }>
  listOffsets(request: object): Promise<{ readonly responses: readonly TopicOffsets[] }>
  offsetCommit(request: object): Promise<unknown>
  joinGroup(request: object): Promise<JoinAnswer>
  syncGroup(request: object): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: object): Promise<unknown>
  leaveGroup(request: object): Promise<unknown>
  createTopics(request: object): Promise<unknown>
  describeConfigs(request: object): Promise<{ readonly resources: readonly TopicSettings[] }>
  offsetFetch(request: object): Promise<{ readonly responses: readonly TopicOffsets[] }>
}

export interface Cluster {
  readonly brokerPool: {
    readonly brokers: Readonly<Record<string, Broker>>
    readonly seedBroker: Broker | undefined
    readonly metadata: { readonly topicMetadata: readonly TopicAnswer[] } | null
    readonly connectionPoolBuilder: { build(where?: object): Promise<ConnectionPool> }
    findConnectedBroker(): Promise<Broker>
    refreshMetadata(topics: readonly string[]): Promise<void>
  }
  readonly targetTopics: Set<string>
  refreshMetadata(): Promise<void>
  connect(): Promise<void>
  disconnect(): Promise<void>
  findBroker(which: { nodeId: number }): Promise<Broker>
  findGroupCoordinator(which: { groupId: string; coordinatorType?: number }): Promise<Broker>
  findControllerBroker(): Promise<Broker>
}

type CreateCluster = (options: object) => Cluster

/**
 * The connections of a cluster that may be open, also those to brokers that kafkajs has forgotten: while a broker is away it drops what it
 * has of it, and whoever kept that connects to it again when it is back. Nobody but this would end such a connection.
 */
class Opened {
  readonly connections = new Set<Connection>()
  /** Why nothing is opened any more. */
  ended: Error | undefined

  add(connection: Connection): void {
    for (const each of this.connections) if (each.socket?.destroyed !== false) this.connections.delete(each)
    this.connections.add(connection)
  }
}

const openedOf = new WeakMap<Cluster, Opened>()
const openedBy = new WeakMap<Connection, Opened>()

/** With connections of its own. */
export function createCluster(kafka: Kafka): Cluster {
  mendKafkajs()
  const options = { metadataMaxAge: 300_000, allowAutoTopicCreation: false }
  const cluster = clusterMaker(kafka).create.call(kafka, options)
  const opened = new Opened()
  openedOf.set(cluster, opened)
  return tolerant(cluster, opened)
}

function clusterMaker(kafka: Kafka): { key: symbol; create: CreateCluster } {
  const key = Object.getOwnPropertySymbols(kafka).find((symbol) => symbol.description === 'private:Kafka:createCluster')
  const create = key === undefined ? undefined : (kafka as unknown as Record<symbol, CreateCluster>)[key]
  if (key === undefined || create === undefined)
    throw new TypeError('this is not kafkajs 2.2.4, which @sluice/kafka-wire depends on')
  return { key, create }
}

/**
 * kafkajs takes a whole look-up for failed while any partition of any topic in it has no leader. Here that partition has the leader -1,
 * which is no broker, and the others are known.
 */
function tolerant(cluster: Cluster, opened: Opened): Cluster {
  const builder = cluster.brokerPool.connectionPoolBuilder
  const build = builder.build.bind(builder)
  builder.build = async (where) => {
    const pool = await build(where)
    for (const connection of pool.pool) openedBy.set(connection, opened)
    const send = pool.send.bind(pool)
    pool.send = (request) => send(request.request.apiKey === METADATA ? withoutPartitionErrors(request) : request)
    return pool
  }
  return cluster
}

function withoutPartitionErrors({ request, response }: ProtocolRequest): ProtocolRequest {
  const parse = (answer: MetadataAnswer): Promise<unknown> => {
    const topicMetadata = answer.topicMetadata.map((topic) => ({
      ...topic,
      partitionMetadata: topic.partitionMetadata.map((partition) => ({ ...partition, partitionErrorCode: 0 })),
    }))
    return response.parse({ ...answer, topicMetadata })
  }
  return { request, response: { ...response, parse } }
}

/** Sends the bytes of a request, and gives the bytes of the answer. */
export async function sendRaw(
  connection: Connection,
  api: { key: number; version: number; name: string },
  bytes: Buffer,
) {
  const asItIs = (answer: Buffer): Promise<Buffer> => Promise.resolve(answer)
  const answer = await connection.send({
    request: {
      apiKey: api.key,
      apiVersion: api.version,
      apiName: api.name,
      encode: () => Promise.resolve(new Encoder().writeBuffer(bytes)),
    },
    response: { decode: asItIs, parse: asItIs },
  })
  return answer as Buffer
}

/** Errors that kafkajs does not know. */
const YOUNG_ERRORS: Readonly<Record<number, string>> = { 90: 'PRODUCER_FENCED', 120: 'TRANSACTION_ABORTABLE' }
const UNKNOWN_CODE = 'KAFKAJS_UNKNOWN_ERROR_CODE'

/** kafkajs's error for a number that a broker answered. */
export function errorOfCode(code: number): Error {
  const known = protocolErrors.createErrorFromCode(code)
  const isKnown = (known as { readonly type?: unknown }).type !== UNKNOWN_CODE
  return isKnown ? known : Object.assign(known, { type: YOUNG_ERRORS[code] ?? `error ${String(code)}` })
}

/** Which connections a cluster has open. */
export function connectionsOf(cluster: Cluster): Connection[] {
  return [...(openedOf.get(cluster)?.connections ?? [])]
}

/** Ends a connection on which nothing is answered any more: bytes that still come must not get into the next one. */
export async function dropConnection(connection: Connection, reason: Error): Promise<void> {
  connection.socket?.destroy()
  // For this answer kafkajs waits for ever.
  connection.authHandlers?.onError()
  connection.rejectRequests(reason)
  await connection.disconnect()
}

/** Ends all connections of a cluster; what needs one makes another. */
export async function dropConnections(cluster: Cluster, reason: Error): Promise<void> {
  await Promise.all(connectionsOf(cluster).map((connection) => dropConnection(connection, reason)))
}

/** Ends all connections of a cluster for good: what it does is rejected with `reason`, and it tries nothing again. */
export async function retire(cluster: Cluster, reason: Error): Promise<void> {
  const ended = (): Promise<never> => Promise.reject(reason)
  const names = ['connect', 'createSeedBroker', 'findBroker', 'findConnectedBroker', 'refreshMetadata'] as const
  Object.assign(cluster.brokerPool, Object.fromEntries(names.map((name) => [name, ended])))
  const opened = openedOf.get(cluster)
  if (opened !== undefined) opened.ended = reason
  await dropConnections(cluster, reason)
}

let isMended = false

/** Mends faults of kafkajs, once for the process: 2.2.4 is its last version. Creating a cluster does that. */
export function mendKafkajs(): void {
  if (isMended) return
  isMended = true
  mendTimers()
  mendTimeOuts()
  mendConnect()
  mendCopies()
}

/**
 * After every answer kafkajs sets a timer for when no throttling is in force; its delay is a large negative number, so it
 * fires within a millisecond, and then sets itself again, for ever (and Node 24 warns of it). It is needed only while requests wait.
 */
function mendTimers(): void {
  const { prototype } = RequestQueue
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: typeof prototype) {
    if (this.pending.length > 0) schedule.call(this)
  }
}

/**
 * While a connection ends, kafkajs still takes it for connected, for some microtasks: a request that was encoded meanwhile goes to the dead
 * socket, and since nobody looks at the queue of an ended connection, it never fails; nor does what waits for it, e.g. all look-ups.
 */
function mendTimeOuts(): void {
  const { prototype } = RequestQueue
  const { destroy, scheduleRequestTimeoutCheck: schedule } = prototype
  prototype.destroy = function (this: typeof prototype) {
    if (this.inflight.size === 0 && this.pending.length === 0) destroy.call(this)
  }
  prototype.scheduleRequestTimeoutCheck = function (this: typeof prototype) {
    clearInterval(this.requestTimeoutIntervalId)
    schedule.call(this)
  }
}

/**
 * A connection that broke within an answer keeps the first part of it, and takes what comes by the next connection for the rest:
 * requests hang, or an exception that nobody can catch ends the process. And requests that find no connection open one each, of
 * which all but the last are forgotten, open. And what a socket brings after its end was asked for is taken for the next one's.
 */
function mendConnect(): void {
  const prototype = InnerConnection.prototype as ConnectionState
  const connect = prototype.connect
  const connecting = new WeakMap<Connection, Promise<unknown>>()
  prototype.connect = function (this: ConnectionState) {
    const known = connecting.get(this)
    if (known !== undefined) return known
    const opened = openedBy.get(this)
    if (opened?.ended !== undefined) return Promise.reject(opened.ended)
    opened?.add(this)
    if (!this.isConnected()) {
      leaveSocket(this)
      Object.assign(this, { chunks: [], bytesBuffered: 0, bytesNeeded: SIZE_BYTES })
    }
    const attempt = connect.call(this).finally(() => connecting.delete(this))
    connecting.set(this, attempt)
    return attempt
  }
}

/** Of an answer that comes as one piece, kafkajs makes a copy: it puts together what is left of the one before, which is nothing, and that. */
function mendCopies(): void {
  const prototype = InnerConnection.prototype as ConnectionState
  const process = prototype.processData
  prototype.processData = function (this: ConnectionState, data: Buffer) {
    if (this.bytesBuffered === 0) this.chunks = []
    process.call(this, data)
  }
}

function leaveSocket({ socket }: Connection): void {
  for (const event of ['data', 'end', 'error', 'timeout']) socket?.removeAllListeners(event)
  socket?.on('error', () => undefined)
  socket?.destroy()
}
