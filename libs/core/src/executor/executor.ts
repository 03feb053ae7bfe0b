/** The executor SPI: where tasks run. In this process by default; worker threads and clusters implement the same. */
import type { BroadcastBytes } from '../rdd/broadcast.js'
import type { BlockRecords, Spill } from '../rdd/pipeline.js'
import type { Task } from '../rdd/work.js'
import type { StorageLevel } from '../rdd/types.js'
import type { StoredBlock } from '../storage/block-store.js'
import type { Loan } from '../storage/lease.js'
import type { Clock } from '../time/clock.js'

/** What a task needs where it runs. */
export interface TaskServices {
  readonly clock: Clock
  /** Keys or records that an operator holds before it spills. */
  readonly spillRecords: number
  /** The blocks of one partition of a shuffle, in map-partition order; only of tasks that succeeded (E10). */
  shuffleBlocks(shuffle: string, partition: number): Iterable<BlockRecords>
  block(id: string): BlockRecords | undefined
  /** As `block`, for a reader that says when it has done. */
  lend(id: string): Loan | undefined
  putBlock(id: string, records: readonly unknown[], level: StorageLevel): Promise<void> | undefined
  /** A new spill and its removal. */
  openSpill(): Promise<Spill & { remove(): Promise<void> }>
  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]>
  bytes(path: string): Promise<Uint8Array>
}

/** What an executor may use of the driver: what tasks need that run there, and the same as bytes for those that do not. */
export interface ExecutorServices extends TaskServices {
  /** As `block`, not decoded. */
  storedBlock(id: string): StoredBlock | undefined
  /** As `shuffleBlocks`, not decoded. */
  storedShuffleBlocks(shuffle: string, partition: number): Iterable<StoredBlock>
  /** As `putBlock`, of records that are encoded already (`storage/chunks.ts`). */
  putPacked(id: string, chunks: readonly Uint8Array[], level: StorageLevel): Promise<void> | undefined
  /** Removes the blocks of a failed attempt. */
  removeBlocks(prefix: string): void
  /** Whether a path is on this machine's disk, which any process here can read. */
  isOnDisk(path: string): boolean
  /** Folder for what does not fit in memory. */
  readonly localDirectory: string
  readonly broadcasts: {
    /** How many there are: numbers 0 to `count - 1`. */
    readonly count: number
    encoded(index: number): BroadcastBytes
  }
  /**
   * Adds what a task that succeeded added to accumulators elsewhere. Called before `run` resolves, in its asynchronous
   * context. Throws `TASK_NOT_REGISTERED` for names that are unknown here.
   */
  addToAccumulators(added: readonly (readonly [name: string, value: unknown])[]): void
}

/** Runs tasks. It neither retries nor orders them: that is done once, above it. */
export interface Executor {
  readonly '~sluice': 'executor/1'
  readonly name: string
  /** Partitions that a shuffle has unless told otherwise. */
  readonly parallelism: number
  /** Tasks that make sense at the same time. */
  readonly slots: number
  /** Connects to the driver; called once before the first task. */
  start?(services: ExecutorServices): Promise<void>
  /** Resolves with what the task's work gives; rejects with what it failed of. */
  run(task: Task, services: ExecutorServices): Promise<unknown>
  close?(): Promise<void>
}
