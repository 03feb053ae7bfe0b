/**
 * What a task computes, as data: a source of chunks and the narrow operators over it. Sources may hold further pipelines;
 * functions are the only leaves that are not plain data, and they are sent by name.
 */
import type { AnyFunction } from './functions.js'
import type { Op, TaskInfo } from './op.js'
import type { Aggregator } from './out.js'
import type { StageCache } from './compile.js'
import type { StorageLevel } from './types.js'
import type { Compare } from './order.js'
import type { Loan } from '../storage/lease.js'

export interface Pipeline {
  readonly source: Source
  readonly ops: readonly Op[]
}

/** Chunks of records. Nobody changes a chunk that was handed out. */
export type Chunks = Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>

export type JoinKind = 'inner' | 'left' | 'right' | 'full'

export type Source =
  | { readonly kind: 'records'; readonly records: readonly unknown[] }
  | { readonly kind: 'range'; readonly start: number; readonly step: number; readonly count: number }
  | { readonly kind: 'block'; readonly id: string }
  | { readonly kind: 'text'; readonly path: string; readonly start: number; readonly length: number }
  | { readonly kind: 'bytes'; readonly path: string }
  | { readonly kind: 'shuffle'; readonly shuffle: string; readonly partition: number }
  | { readonly kind: 'concat'; readonly inputs: readonly Pipeline[] }
  | {
      readonly kind: 'aggregate'
      readonly operator: string
      readonly input: Pipeline
      readonly aggregator: Aggregator
      readonly from: 'values' | 'combiners'
    }
  | { readonly kind: 'count'; readonly operator: string; readonly input: Pipeline }
  | {
      readonly kind: 'fold'
      readonly operator: string
      readonly input: Pipeline
      readonly f: AnyFunction
      /** Undefined: the first record, and no result where there is none. */
      readonly start: unknown
    }
  | { readonly kind: 'cogroup'; readonly operator: string; readonly inputs: readonly Pipeline[] }
  | {
      readonly kind: 'join'
      readonly operator: string
      readonly left: Pipeline
      readonly right: Pipeline
      readonly join: JoinKind
    }
  | {
      readonly kind: 'sort'
      readonly operator: string
      readonly input: Pipeline
      readonly compare: Compare<unknown> | undefined
      readonly descending: boolean
    }
  | { readonly kind: 'cartesian'; readonly left: Pipeline; readonly right: Pipeline }
  | {
      readonly kind: 'zip'
      readonly operator: string
      readonly inputs: readonly Pipeline[]
      readonly fn: AnyFunction | undefined
    }
  | {
      readonly kind: 'partition'
      readonly operator: string
      readonly input: Pipeline
      readonly fn: AnyFunction | undefined
      readonly index?: number
    }
  | {
      readonly kind: 'async-map'
      readonly operator: string
      readonly input: Pipeline
      readonly fn: AnyFunction
      readonly concurrency: number
    }
  /** A block of packed bytes, in pieces, of which `fn` makes `records` records; it keeps nothing of a piece. */
  | {
      readonly kind: 'unpack'
      readonly operator: string
      readonly block: string
      readonly records: number
      readonly fn: AnyFunction
    }
  | { readonly kind: 'cached'; readonly block: string; readonly level: StorageLevel; readonly input: Pipeline }
  /** Of the driver only: never leaves it. */
  | {
      readonly kind: 'driver'
      open(env: TaskEnv): Chunks
      /** How many records that would be, without reading them. */
      readonly count?: (() => Promise<number>) | undefined
    }

/** What a running task has at hand. One for each task attempt. */
export interface TaskEnv {
  readonly info: TaskInfo
  readonly stages: StageCache
  readonly pacer: Pacer
  /** Keys, records or grouped values that a map, group or sort holds before it spills. */
  readonly spillRecords: number
  open(source: Source): Chunks
  /** The blocks of one shuffle partition, in map-partition order. */
  shuffleBlocks(shuffle: string, partition: number): Iterable<BlockRecords>
  block(id: string): BlockRecords | undefined
  /** As `block`, for a reader that says when it has done. */
  lend(id: string): Loan | undefined
  putBlock(id: string, records: readonly unknown[], level: StorageLevel): Promise<void> | undefined
  /** A place for records that do not fit; removed when the task ends. */
  spill(): Promise<Spill>
  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]>
  bytes(path: string): Promise<Uint8Array>
}

export type BlockRecords = readonly unknown[] | Promise<readonly unknown[]>

/** Records on disk: appended in chunks, read back chunk by chunk in the same order, as often as wanted. */
export interface Spill {
  append(records: readonly unknown[]): Promise<void>
  read(): AsyncIterable<unknown[]>
}

/** Keeps long tasks polite: says how many records a loop may run next, and when to yield to the event loop. */
export interface Pacer {
  /** Records of the next slice: few at first, more where they turn out to be cheap. */
  readonly slice: number
  /** Time starts to count: what lies before (waiting, other code) is not the loop's. */
  begin(): void
  /** Tells of a slice that ran; answers whether to yield now. */
  ran(records: number): boolean
  yield(): Promise<void>
  /** For another loop of the same task, whose records may cost more or less: slices of its own, the turn shared. */
  forLoop(): Pacer
}
