/** Types that operators share: what a record may be, pairs, and the options every operator takes. */

/** A pair of key and value: what the `…ByKey` operators and joins work on. */
export type Pair<K, V> = readonly [key: K, value: V]
export type KeyOf<T> = T extends readonly [infer K, unknown] ? K : never
export type ValueOf<T> = T extends readonly [unknown, infer V] ? V : never
/** Any record. The last member lets TypeScript infer `[a, b]` as a tuple without `as const`. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- `{}` is "anything but null and undefined" here, on purpose
export type Rec = {} | null | undefined | Pair<unknown, unknown>

/** Makes a pair; for mappers that are declared away from their stream. */
export function pair<K, V>(key: K, value: V): [K, V] {
  return [key, value]
}

/** Decides which partition a key belongs to. Must give the same answer in every process. */
export interface Partitioner {
  readonly '~sluice': 'partitioner/1'
  readonly partitions: number
  /** Index of the partition, from 0. */
  partitionOf(key: unknown): number
  /** Whether both send every key to the same index. */
  equals(other: Partitioner): boolean
}

/** Options of every operator. */
export interface OpOptions {
  /** Stable name, for messages and (where there is state or an output) for the checkpoint. Default: derived from kind and order. */
  readonly name?: string | undefined
}

/** Options of operators that move records between partitions. */
export interface ShuffleOptions extends OpOptions {
  /** Number of result partitions. Default: the context's default parallelism. */
  readonly partitions?: number | undefined
  /** Overrides `partitions`. Default: by hash of the key. */
  readonly partitioner?: Partitioner | undefined
}

export type { StorageLevel } from '../storage/storage-level.js'

/** What a partition function learns of where it runs: the identity of the partition (E1), and the attempt. */
export interface PartitionInfo {
  /** Random id of the application or run. */
  readonly app: string
  /** Stable id of the output, or of the action's operator. */
  readonly output: string
  /** Batch time in ms since the epoch; undefined outside a batch. */
  readonly batchTime: number | undefined
  /** Index of the partition, from 0. */
  readonly partition: number
  readonly partitions: number
  /** Which try it is, from 0. It must never enter a key or a name. */
  readonly attempt: number
}
