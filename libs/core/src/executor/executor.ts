/** The executor SPI: where tasks run. In this process by default; worker threads and clusters implement the same. */
import type { BlockRecords, Spill } from '../rdd/pipeline.js'
import type { Task } from '../rdd/work.js'
import type { StorageLevel } from '../rdd/types.js'
import type { Clock } from '../time/clock.js'

/** What an executor may use of the driver. */
export interface ExecutorServices {
  readonly clock: Clock
  /** Keys or records that an operator holds before it spills. */
  readonly spillRecords: number
  /** The blocks of one partition of a shuffle, in map-partition order; only of tasks that succeeded (E10). */
  shuffleBlocks(shuffle: string, partition: number): Iterable<BlockRecords>
  block(id: string): BlockRecords | undefined
  putBlock(id: string, records: readonly unknown[], level: StorageLevel): Promise<void> | undefined
  /** A new spill and its removal. */
  openSpill(): Promise<Spill & { remove(): Promise<void> }>
  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]>
  bytes(path: string): Promise<Uint8Array>
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
