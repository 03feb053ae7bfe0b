/** The state of one operator: a committed map for each partition, and what the running batch changes in it (E5). */
import { SluiceError } from '../errors.js'
import type { BatchTime } from '../time/duration.js'
import type { MigrateValue, StateChanges, StateFormat, StateRows } from './state-columns.js'
import { StatePartition } from './state-partition.js'

/** What an evaluated partition gives: chunks that nobody can use to change the state, as often as they are asked for. */
export type Results = () => Iterable<readonly unknown[]>

export interface StateOperatorOptions {
  readonly partitions: number
  /** Whether keys are asked for by how long they have been idle. Default: false. */
  readonly watchesIdle?: boolean | undefined
  readonly format: StateFormat
  /** Which partition a key belongs to. */
  readonly partitionOf: (key: unknown) => number
}

export class StateOperator {
  readonly id: string
  readonly partitions: readonly StatePartition[]
  readonly format: StateFormat
  readonly #partitionOf: (key: unknown) => number
  readonly #evaluations = new Map<number, Promise<Results>>()
  readonly #evaluated = new Set<number>()
  #batch: BatchTime | undefined
  #committed: BatchTime = -Infinity

  constructor(id: string, { partitions, watchesIdle = false, format, partitionOf }: StateOperatorOptions) {
    this.id = id
    this.format = format
    this.#partitionOf = partitionOf
    this.partitions = Array.from({ length: partitions }, () => new StatePartition(id, watchesIdle))
  }

  /** Keys in all partitions. */
  get size(): number {
    return this.partitions.reduce((sum, partition) => sum + partition.size, 0)
  }

  /** Whether every partition has been evaluated for this batch. */
  isEvaluated(time: BatchTime): boolean {
    return time <= this.#committed || (this.#batch === time && this.#evaluated.size === this.partitions.length)
  }

  /**
   * The results of a partition for a batch. It is evaluated once, however many outputs read it; a failed evaluation leaves
   * nothing and may be tried again.
   */
  evaluate(
    time: BatchTime,
    partition: number,
    evaluate: (state: StatePartition) => Promise<Results>,
  ): Promise<Results> {
    this.requireCurrent(time)
    this.#batch = time
    let evaluation = this.#evaluations.get(partition)
    if (evaluation === undefined) {
      evaluation = this.#evaluate(partition, evaluate)
      this.#evaluations.set(partition, evaluation)
    }
    return evaluation
  }

  async #evaluate(index: number, evaluate: (state: StatePartition) => Promise<Results>): Promise<Results> {
    const partition = this.partitions[index] as StatePartition
    try {
      const results = await evaluate(partition)
      this.#evaluated.add(index)
      return results
    } catch (error) {
      partition.rollback()
      this.#evaluations.delete(index)
      throw error
    }
  }

  /** State can be read for the running batch only: an older one would see newer state (E4). */
  requireCurrent(time: BatchTime): void {
    if (time > this.#committed && (this.#batch === undefined || this.#batch === time)) return
    throw new SluiceError({
      code: 'RDD_DROPPED',
      component: this.id,
      message: `the state as of batch ${String(time)} is not kept; keep it with remember() or a window over this stream`,
    })
  }

  commit(time: BatchTime): void {
    for (const partition of this.partitions) partition.commit(time)
    this.#committed = time
    this.#end()
  }

  rollback(): void {
    for (const partition of this.partitions) partition.rollback()
    this.#end()
  }

  /** Takes over committed rows, whatever the number of partitions was that they were written with. */
  restoreRows(rows: StateRows, fromVersion: number): void {
    const migrate = this.#migrateFrom(fromVersion)
    for (let i = 0; i < rows.keys.length; i++) this.#partitionFor(rows.keys[i]).restoreRow(rows, i, migrate)
  }

  /** Makes changes of a committed batch again. */
  restoreChanges(changes: StateChanges, time: BatchTime, fromVersion: number): void {
    const migrate = this.#migrateFrom(fromVersion)
    for (let i = 0; i < changes.keys.length; i++) {
      this.#partitionFor(changes.keys[i]).restoreChange(changes, i, time, migrate)
    }
  }

  /** All rows are there; changes may follow. */
  settle(): void {
    for (const partition of this.partitions) partition.settle()
  }

  /** The state is that of the batch `time`. */
  resume(time: BatchTime): void {
    this.#committed = time
  }

  clear(): void {
    for (const partition of this.partitions) partition.clear()
  }

  #partitionFor(key: unknown): StatePartition {
    return this.partitions[this.#partitionOf(key)] as StatePartition
  }

  #migrateFrom(fromVersion: number): MigrateValue | undefined {
    const { version, migrate } = this.format
    if (fromVersion === version || migrate === undefined) return undefined
    return (value) => migrate(value, fromVersion)
  }

  #end(): void {
    this.#evaluations.clear()
    this.#evaluated.clear()
    this.#batch = undefined
  }
}
