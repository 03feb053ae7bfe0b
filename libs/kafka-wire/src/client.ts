/**
 * The port to Kafka: what Sluice's connectors need of a client, and no more. Adapters stand beside it: `kafkajsClient`
 * here, `platformaticClient` in `@sluice/kafka-wire/platformatic`.
 *
 * Offsets are bigint, times are milliseconds since the Unix epoch. Every failure is a `SluiceError`; `retryable` says whether
 * the same call can succeed later. Calls may overlap. A call that was aborted, or that failed with a retryable error,
 * may still take effect.
 */
import type { CodecOptions } from './codecs/codec.js'
import type { RecordChunk } from './record.js'

/** Where in a partition: its first record, behind its last one, behind its last one that no open transaction can undo. */
export type OffsetMoment = 'earliest' | 'latest' | 'last-stable' | { readonly timestampMs: number }

/** `committed` leaves out what open and aborted transactions wrote. */
export type Isolation = 'committed' | 'uncommitted'

export interface CallOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** How many milliseconds the call may take, all tries together; then it is `TIMEOUT`. Default: the client's. */
  readonly timeoutMs?: number | undefined
  /**
   * For how many milliseconds a broker that knows no such topic is asked again: brokers hear of a new topic one after the
   * other. Default: 5000.
   */
  readonly newTopicMs?: number | undefined
}

export interface PartitionMetadata {
  readonly partition: number
  /** The broker that leads it, or -1 while it has none. */
  readonly leader: number
}

export interface TopicMetadata {
  readonly topic: string
  /** In the order of their numbers. */
  readonly partitions: readonly PartitionMetadata[]
}

export interface NewTopic {
  readonly topic: string
  readonly partitions: number
  /** Default: the brokers'. */
  readonly replicas?: number | undefined
  readonly settings?: Readonly<Record<string, string>> | undefined
}

export interface TopicPartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface GroupMemberOptions {
  readonly group: string
  /** What it asks for; it may be given partitions of other topics by a leader that does not look at this. */
  readonly topics: readonly string[]
  /** After how long without a heartbeat the group goes on without it. Default: 30 000. */
  readonly sessionTimeoutMs?: number | undefined
  /** How long the group waits for its members to join again when partitions are given out anew. Default: 60 000. */
  readonly rebalanceTimeoutMs?: number | undefined
  /** Between two heartbeats. Default: a tenth of the session's time-out, at most 3000. */
  readonly heartbeatMs?: number | undefined
}

/** What a member has from one rebalance of its group to the next. */
export interface GroupGeneration {
  readonly partitions: readonly TopicPartition[]
  /**
   * Aborted when the partitions are given out anew, or when the group goes on without this member. In the first case the session
   * lives on, and `commit` works, until `join` is called again, which is to be within the rebalance's time-out.
   */
  readonly signal: AbortSignal
  /** As a member: refused when others have been given the partitions since. */
  commit(offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void>
}

/** One member of a consumer group. Heartbeats go on by themselves from `join` to `leave`. */
export interface GroupMember {
  /** Joins, also again when the last generation has ended; resolves when partitions have been given out, perhaps none. */
  join(options?: CallOptions): Promise<GroupGeneration>
  /** Leaves the group, after a `join` that is under way, and ends its connections. Never rejects. */
  leave(): Promise<void>
}

export interface FetchRequest extends CallOptions {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly isolation: Isolation
  /** How many bytes of batches at most; the first batch comes whole however large it is. */
  readonly maxBytes: number
  /** How long the broker may wait for a first byte. `timeoutMs` does not count it. */
  readonly maxWaitMs: number
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

/** One partition's part of a broker's answer. */
export interface FetchAnswer {
  readonly highWatermark: bigint
  readonly lastStableOffset: bigint
  readonly logStartOffset: bigint
  /** Those that concern `records`; empty where the isolation is `uncommitted`. */
  readonly aborted: readonly AbortedTransaction[]
  /** Whole batches, the last one perhaps cut off. */
  readonly records: Uint8Array
  /** Tells that nobody looks at `records` any more: their memory will hold something else. Need not be called. */
  readonly release?: (() => void) | undefined
}

export interface RangeRequest extends CallOptions {
  readonly topic: string
  readonly partition: number
  /** The first position, which need not hold a record. */
  readonly from: bigint
  /** The position before which reading ends. At `committed` it must not lie beyond the last stable offset for long. */
  readonly to: bigint
  /** Default: `committed`. */
  readonly isolation?: Isolation | undefined
  /** The longest time without progress, e.g. while a broker starts again. Default: 60 000. */
  readonly deadlineMs?: number | undefined
  /** The size of one fetch. One more is read ahead while a chunk is in use. Default: 1 MiB. */
  readonly maxBytes?: number | undefined
}

export interface RecordToProduce {
  /** Default: chosen by the client from the key, as Java's producer does. */
  readonly partition?: number | undefined
  readonly key?: Uint8Array | string | null | undefined
  readonly value: Uint8Array | string | null
  readonly headers?: readonly (readonly [name: string, value: Uint8Array | string])[] | undefined
  /** Default: now. */
  readonly timestampMs?: number | undefined
}

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export interface ProduceOptions extends CallOptions {
  /** Default: `none`. */
  readonly compression?: Compression | undefined
  /**
   * How large a batch of records may be before it is compressed; a larger record is a batch of its own. At most the topic's
   * `max.message.bytes`. Only of clients that encode batches themselves, which `kafkajsClient` does. Default: 512 KiB.
   */
  readonly maxBatchBytes?: number | undefined
}

/**
 * A producer under one transactional id. One transaction at a time; calls one after the other. After an error that is
 * not retryable, or whose outcome is unknown, close it and take another one of the same id: its `init` settles what was left.
 */
export interface TransactionalProducer {
  /** Fences earlier producers of this id, and ends the transaction that one of them left open. Once, before all else. */
  init(options?: CallOptions): Promise<void>
  begin(): Promise<Transaction>
  /** Does not end an open transaction: the broker does, when its time is out or at the next `init`. */
  close(): Promise<void>
}

/** One of `commit` and `abort` ends it. `FENCED`: another producer has the id. */
export interface Transaction {
  send(topic: string, records: readonly RecordToProduce[], options?: ProduceOptions): Promise<void>
  /** Offsets of a group that are committed with the transaction. */
  sendOffsets(group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void>
  commit(options?: CallOptions): Promise<void>
  abort(options?: CallOptions): Promise<void>
}

export interface TransactionOptions {
  /** After how long without an end the broker aborts a transaction. Default: 60 000. */
  readonly timeoutMs?: number | undefined
}

/** What an adapter can and cannot do on this version of Node. */
export interface KafkaSupport {
  /**
   * Transactions as of KIP-890, where a late message of an old transaction cannot get into a new one. It depends on the brokers, so it
   * is false until the first transactional producer has been initialised.
   */
  readonly safeTransactions: boolean
  /** Codecs for `produce`. */
  readonly compression: readonly Compression[]
}

export interface KafkaClient {
  readonly '~sluice': 'kafka-client/1'
  /** Of the adapter, e.g. `kafkajs`. */
  readonly name: string
  readonly supports: KafkaSupport

  /** Connects to the cluster; other calls do so by themselves. */
  connect(options?: CallOptions): Promise<void>
  /** Ends every connection. Calls under way reject; later ones reject with `STOPPED`. */
  close(): Promise<void>

  /**
   * Topics in the order of `topics`, or of their names. One that is not there is an error, with a pattern it is not. A partition
   * without a leader is there, too, with the leader -1; other calls wait for its next one.
   */
  metadata(topics: readonly string[] | RegExp, options?: CallOptions): Promise<readonly TopicMetadata[]>
  /** What is set for a topic or holds for it by default, e.g. `max.message.bytes`. */
  topicSettings(topic: string, options?: CallOptions): Promise<ReadonlyMap<string, string>>
  /** Does nothing where there is one of this name. */
  createTopic(topic: NewTopic, options?: CallOptions): Promise<void>
  /** By partition. A time gives the first offset whose record is not older, and behind the last record where there is none. */
  listOffsets(
    topic: string,
    partitions: readonly number[],
    moment: OffsetMoment,
    options?: CallOptions,
  ): Promise<ReadonlyMap<number, bigint>>

  /** One request to the partition's leader. `readRange` is built on it; it knows when to try again. */
  fetch(request: FetchRequest): Promise<FetchAnswer>
  /**
   * Exactly the records whose offsets lie in [`from`, `to`), in order. Ends by position, not by count: offsets may have
   * gaps. Goes on after lost connections, changed leaders and restarted brokers, until there was no progress for `deadlineMs`
   * (`TIMEOUT`). Records that are no longer there are `OFFSETS_LOST`, see {@link lostRangeOf}. Leaving the loop, or
   * the signal, ends what is read ahead.
   */
  readRange(range: RangeRequest): AsyncIterable<RecordChunk>

  /**
   * Resolves when all replicas in sync have the records. Tries again without duplicates (an idempotent producer). Waiting for the turn of
   * this call counts for its time; what was `TIMEOUT` may have been written.
   */
  produce(topic: string, records: readonly RecordToProduce[], options?: ProduceOptions): Promise<void>
  transactional(transactionalId: string, options?: TransactionOptions): Promise<TransactionalProducer>

  /** The offsets that a group has committed. What it has none for is left out. */
  fetchCommitted(
    group: string,
    topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
    options?: CallOptions,
  ): Promise<readonly TopicPartitionOffset[]>
  /** Commits without being a member; refused while the group has members. */
  commit(group: string, offsets: readonly TopicPartitionOffset[], options?: CallOptions): Promise<void>
  /**
   * A member of a consumer group, with connections of its own. The group gives partitions to members by what they ask for, as evenly
   * as it can; kafkajs's `RoundRobinAssigner` and Java's `roundrobin` may be in the same group. Not all adapters have it.
   */
  readonly groupMember?: ((options: GroupMemberOptions) => GroupMember) | undefined
  /** Codecs in place of those that are built in. */
  readonly codecs?: CodecOptions | undefined
}
