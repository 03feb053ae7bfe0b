/**
 * The state of one operator: for each partition a committed map, and while a batch runs what it changes. The changes become
 * committed when the batch is, and vanish when it is not (E5).
 */
import { SluiceError } from '../errors.js'
import { deepCopy } from '../rdd/copy.js'
import { KeyedMap, type Box } from '../rdd/keys.js'
import type { BatchTime } from '../time/duration.js'
import { AgeList, type Aged } from './age-list.js'
import { freezeDeep } from './freeze.js'

/** State and pending change of one key. */
export interface Cell extends Aged<CellBox> {
  /** Committed value; undefined for a key that the running batch brought. */
  value: unknown
  /** New value of the running batch; undefined: removed. Only meaningful with `touched`. */
  next: unknown
  /** Values that arrived in the running batch, where the operator groups them. */
  arrived: readonly unknown[] | undefined
  /** Batch time of the last committed write. */
  writtenAt: BatchTime
  touched: boolean
  /** Whether `value`, and `next`, cannot be frozen and are copied before they are handed out. */
  valueCopies: boolean
  nextCopies: boolean
}

export type CellBox = Box<Cell>

const newCell = (): Cell => ({
  value: undefined,
  next: undefined,
  arrived: undefined,
  writtenAt: -Infinity,
  touched: false,
  valueCopies: false,
  nextCopies: false,
  older: undefined,
  newer: undefined,
})

export class StatePartition {
  readonly #cells: KeyedMap<Cell>
  #touched: CellBox[] = []
  /** The order of last writes, where idle times are watched. */
  readonly #ages: AgeList<CellBox> | undefined

  constructor(operator: string, watchesIdle: boolean) {
    this.#cells = new KeyedMap(operator)
    this.#ages = watchesIdle ? new AgeList<CellBox>() : undefined
  }

  /** Number of keys, those that the running batch brought included. */
  get size(): number {
    return this.#cells.size
  }

  /** Keys in the order in which they first came. */
  boxes(): Iterable<CellBox> {
    return this.#cells.boxes()
  }

  /** The box of a key; made where there is none, and dropped again at the end of the batch if nothing is written to it. */
  box(key: unknown): CellBox {
    const found = this.#cells.find(key)
    if (found !== undefined) return found
    const box = this.#cells.insert(key, newCell())
    this.touch(box)
    return box
  }

  /** What the running batch sees, safe to hand out: its own write, else the committed value. */
  read({ v }: CellBox): unknown {
    if (v.touched) return v.nextCopies ? deepCopy(v.next) : v.next
    return v.valueCopies ? deepCopy(v.value) : v.value
  }

  /** What was committed with the batch before, safe to hand out. */
  readCommitted({ v }: CellBox): unknown {
    return v.valueCopies ? deepCopy(v.value) : v.value
  }

  /** Sets what the key's state will be when the batch is committed; undefined removes it. */
  write(box: CellBox, next: unknown): void {
    if (!box.v.touched) this.touch(box)
    box.v.next = next
    box.v.nextCopies = !freezeDeep(next)
  }

  /** Marks a box as changed by this batch, to what it was. */
  touch(box: CellBox): void {
    const { v } = box
    v.touched = true
    v.next = v.value
    v.nextCopies = v.valueCopies
    this.#touched.push(box)
  }

  /** Sets a committed value, before the first batch. */
  initialize(key: unknown, value: unknown, time: BatchTime): void {
    this.write(this.box(key), value)
    this.commit(time)
  }

  /** Keys last written before `time`, and not by the running batch: those whose idle time is over. */
  idleSince(time: BatchTime): CellBox[] {
    const idle: CellBox[] = []
    for (const box of this.#ages?.boxes() ?? []) {
      if (box.v.writtenAt >= time) break
      if (!box.v.touched) idle.push(box)
    }
    return idle
  }

  commit(time: BatchTime): void {
    const touched = this.#touched
    this.#touched = []
    for (const box of touched) {
      const { v } = box
      v.value = v.next
      v.valueCopies = v.nextCopies
      v.writtenAt = time
      endBatch(v)
      if (v.value === undefined) this.#cells.delete(box)
      if (this.#ages === undefined) continue
      if (v.value === undefined) this.#ages.remove(box)
      else this.#ages.renew(box)
    }
  }

  rollback(): void {
    const touched = this.#touched
    this.#touched = []
    for (const box of touched) {
      endBatch(box.v)
      if (box.v.value === undefined) this.#cells.delete(box)
    }
  }
}

function endBatch(cell: Cell): void {
  cell.next = undefined
  cell.nextCopies = false
  cell.touched = false
  cell.arrived = undefined
}

export interface StateOperatorOptions {
  readonly partitions: number
  /** Whether keys are asked for by how long they have been idle. Default: false. */
  readonly watchesIdle?: boolean | undefined
}

export class StateOperator {
  readonly id: string
  readonly partitions: readonly StatePartition[]
  readonly #evaluations = new Map<number, Promise<readonly unknown[]>>()
  #batch: BatchTime | undefined
  #committed: BatchTime = -Infinity

  constructor(id: string, { partitions, watchesIdle = false }: StateOperatorOptions) {
    this.id = id
    this.partitions = Array.from({ length: partitions }, () => new StatePartition(id, watchesIdle))
  }

  /** Keys in all partitions. */
  get size(): number {
    return this.partitions.reduce((sum, partition) => sum + partition.size, 0)
  }

  /** Whether every partition has been evaluated for this batch. */
  isEvaluated(time: BatchTime): boolean {
    return time <= this.#committed || (this.#batch === time && this.#evaluations.size === this.partitions.length)
  }

  /**
   * The output of a partition for a batch. It is evaluated once, however many outputs read it; a failed evaluation leaves
   * nothing and may be tried again.
   */
  evaluate(
    time: BatchTime,
    partition: number,
    evaluate: (state: StatePartition) => Promise<readonly unknown[]>,
  ): Promise<readonly unknown[]> {
    this.requireCurrent(time)
    this.#batch = time
    let evaluation = this.#evaluations.get(partition)
    if (evaluation === undefined) {
      const state = this.partitions[partition] as StatePartition
      evaluation = evaluate(state).catch((error: unknown) => {
        state.rollback()
        this.#evaluations.delete(partition)
        throw error
      })
      this.#evaluations.set(partition, evaluation)
    }
    return evaluation
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

  #end(): void {
    this.#evaluations.clear()
    this.#batch = undefined
  }
}
