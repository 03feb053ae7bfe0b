/** The port's inner side: what an adapter gives, so that it is calls of its library and nothing else. */
import type { Clock, SluiceError } from '@sluice/core'
import type {
  CallOptions,
  Compression,
  FetchAnswer,
  FetchRequest,
  Isolation,
  NewTopic,
  ProduceOptions,
  RecordToProduce,
  TopicMetadata,
  TopicPartition,
  TopicPartitionOffset,
} from './client.js'
import type { CodecOptions, Codecs } from './codecs/codecs.js'

/** Options that all clients have. */
export interface ClientOptions {
  /** `host:port` of some brokers of the cluster. */
  readonly brokers: readonly string[]
  /** Stands in the brokers' logs and quotas. Default: `sluice`. */
  readonly clientId?: string | undefined
  /** For connecting, TLS handshake included. Default: 10 000. */
  readonly connectTimeoutMs?: number | undefined
  /** How long a call may take, with what is tried again after errors that may pass. Default: 30 000. */
  readonly callTimeoutMs?: number | undefined
  /** Codecs in place of those that are built in, or besides them. */
  readonly codecs?: CodecOptions | undefined
  readonly clock?: Clock | undefined
}

export const DEFAULT_CLIENT_ID = 'sluice'
export const CONNECT_TIMEOUT_MS = 10_000

/** How an adapter's library fails. */
export interface Failures {
  toSluice(error: unknown, doing: string): SluiceError
  /** Kafka's name of a broker's error, wherever in `error` it stands. */
  typeOf(error: unknown): string | undefined
}

/** What the client gives to its adapter. */
export interface AdapterParts {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly codecs: Codecs
  /** Tries again until `timeoutMs` are over, as the calls of an adapter are. */
  retried<T>(doing: string, options: CallOptions | undefined, attempt: () => Promise<T>): Promise<T>
}

/**
 * Each call is one attempt, and throws what its library throws; the client knows when to try again and when it has been too long.
 * Nothing but `failed` is called after `close`, but calls may be under way.
 */
export interface Adapter<P> {
  readonly name: string
  /** Codecs for `produce`. */
  readonly compression: readonly Compression[]
  readonly failures: Failures
  readonly producers: ProducerKind<P>
  /** Whether transactions are those of KIP-890, once a transactional producer is there. Default: false. */
  readonly areTransactionsSafe?: boolean
  connect(): Promise<unknown>
  /** Ends every connection at once; calls that wait reject with `reason`, where the library lets them. Producers are closed before. */
  close(reason: Error): Promise<unknown>
  /** `topics` is not empty. */
  metadata(topics: readonly string[] | RegExp): Promise<readonly TopicMetadata[]>
  topicSettings(topic: string): Promise<ReadonlyMap<string, string>>
  createTopic(topic: NewTopic): Promise<unknown>
  /** The time is milliseconds, or one of {@link LATEST} and {@link EARLIEST}. -1 where no record is as young. */
  listOffsets(
    topic: string,
    partitions: readonly number[],
    timestampMs: number,
    isolation: Isolation,
  ): Promise<ReadonlyMap<number, bigint>>
  fetch(request: FetchRequest): Promise<FetchAnswer>
  /** May hold what is not committed, as -1. */
  fetchCommitted(
    group: string,
    topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  ): Promise<readonly TopicPartitionOffset[]>
  commit(group: string, offsets: readonly TopicPartitionOffset[]): Promise<unknown>
  /** Not of all adapters. */
  group?(group: string): AdapterGroup
  /** A call failed: forgets what may have been the reason, e.g. who leads. Never rejects. */
  failed(error: unknown): Promise<unknown>
  /** Nothing was answered for as long as a call may take: what hangs is given up, whatever it is, so that later calls do not. Never rejects. */
  gaveUp(reason: Error): Promise<unknown>
}

/** How one member talks to the coordinator of its group; each call is one attempt. */
export interface AdapterGroup {
  join(request: {
    readonly memberId: string
    readonly sessionTimeoutMs: number
    readonly rebalanceTimeoutMs: number
    readonly topics: readonly string[]
  }): Promise<JoinedGroup>
  /** `assigned`: what each member gets, of the leader; empty of others. Gives what this member gets. */
  sync(as: GroupIdentity, assigned: ReadonlyMap<string, readonly TopicPartition[]>): Promise<readonly TopicPartition[]>
  heartbeat(as: GroupIdentity): Promise<unknown>
  commit(as: GroupIdentity, offsets: readonly TopicPartitionOffset[]): Promise<unknown>
  leave(memberId: string): Promise<unknown>
  /** Ends its connections at once. Never rejects. */
  close(reason: Error): Promise<unknown>
}

export interface GroupIdentity {
  readonly memberId: string
  readonly generation: number
}

export interface JoinedGroup extends GroupIdentity {
  /** All members, where this is the leader; else none. */
  readonly members: readonly { readonly memberId: string; readonly topics: readonly string[] }[]
}

/** As the protocol has them. */
export const LATEST = -1
export const EARLIEST = -2

/** What an adapter does with producers `P` of its library; each is used by one call after the other. */
export interface ProducerKind<P> {
  /** Connects to nobody yet. */
  make(transaction?: { readonly transactionalId: string; readonly timeoutMs: number }): P
  /** Before the first record of one without a transactional id. May be called again after it failed. */
  connect(producer: P): Promise<unknown>
  send(producer: P, topic: string, records: readonly RecordToProduce[], options: ProduceOptions): Promise<unknown>
  /** See `TransactionalProducer.init`. May be called again after it failed. */
  init(producer: P): Promise<unknown>
  begin(producer: P): Promise<AdapterTransaction>
  /** At once, whatever is under way: it must not go on behind its caller's back. */
  close(producer: P): Promise<unknown>
}

/** A transaction of a producer of an adapter. */
export interface AdapterTransaction {
  send(topic: string, records: readonly RecordToProduce[], options: ProduceOptions): Promise<unknown>
  /** May be called again after it failed. */
  sendOffsets(group: string, offsets: readonly TopicPartitionOffset[]): Promise<unknown>
  commit(): Promise<unknown>
  abort(): Promise<unknown>
}
