/**
 * The state of one operator: for each partition a committed map, and while a batch runs what it changes. The changes become
 * committed when the batch is, and vanish when it is not (E5).
 */
import { SluiceError } from '../errors.js'
import { deepCopy } from '../rdd/copy.js'
import { KeyedMap, type Box } from '../rdd/keys.js'
import type { BatchTime } from '../time/duration.js'
import { freezeDeep } from './freeze.js'

/** State and pending change of one key. */
export interface Cell {
  /** Committed value; undefined for a key that the running batch brought. */
  value: unknown
  /** Whether `value` must be copied before it is handed out. */
  copies: boolean
  /** Values of the running batch. */
  arrived: readonly unknown[]
  /** New value of the running batch; undefined: removed. Only meaningful with `touched`. */
  next: unknown
  nextCopies: boolean
  touched: boolean
}

export type CellBox = Box<Cell>

export class StatePartition {
  readonly #operator: string
  #cells: KeyedMap<Cell>
  #touched: CellBox[] = []

  constructor(operator: string) {
    this.#operator = operator
    this.#cells = new KeyedMap(operator)
  }

  get size(): number {
    return this.#cells.size
  }

  /** Keys in the order in which they first came. */
  boxes(): Iterable<CellBox> {
    return this.#cells.boxes()
  }

  box(key: unknown): CellBox {
    return this.#cells.findOrInsert(key, () => ({
      value: undefined,
      copies: false,
      arrived: [],
      next: undefined,
      nextCopies: false,
      touched: false,
    }))
  }

  /** The committed value, safe to hand out. */
  read({ v }: CellBox): unknown {
    return v.copies ? deepCopy(v.value) : v.value
  }

  /**
   * Sets what the key's state will be when the batch is committed, and gives it back as outputs may have it: frozen, or a
   * copy, so that no output can change what will be committed.
   */
  write(box: CellBox, next: unknown): unknown {
    const { v } = box
    if (!v.touched) this.#touched.push(box)
    v.touched = true
    v.next = next
    v.nextCopies = !freezeDeep(next)
    return v.nextCopies ? deepCopy(next) : next
  }

  commit(): void {
    let removed = 0
    for (const { v } of this.#touched) {
      v.value = v.next
      v.copies = v.nextCopies
      v.next = undefined
      v.touched = false
      v.arrived = []
      if (v.value === undefined) removed++
    }
    this.#touched = []
    if (removed > 0) this.#drop()
  }

  rollback(): void {
    let added = 0
    for (const { v } of this.#touched) {
      v.next = undefined
      v.touched = false
    }
    for (const { v } of this.#cells.boxes()) {
      v.arrived = []
      if (v.value === undefined) added++
    }
    this.#touched = []
    if (added > 0) this.#drop()
  }

  /** Drops keys without a value. */
  #drop(): void {
    const kept = new KeyedMap<Cell>(this.#operator)
    for (const box of this.#cells.boxes()) if (box.v.value !== undefined) kept.insert(box.k, box.v)
    this.#cells = kept
  }
}

export class StateOperator {
  readonly id: string
  readonly partitions: readonly StatePartition[]
  readonly #evaluations = new Map<number, Promise<readonly unknown[]>>()
  #batch: BatchTime | undefined

  constructor(id: string, partitions: number) {
    this.id = id
    this.partitions = Array.from({ length: partitions }, () => new StatePartition(id))
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
    if (this.#batch !== undefined && this.#batch !== time) throw this.#outOfOrder(time)
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

  #outOfOrder(time: BatchTime): SluiceError {
    return new SluiceError({
      code: 'STATE_INVALID',
      component: this.id,
      message: `batch ${String(time)} was evaluated while batch ${String(this.#batch)} is not committed`,
    })
  }

  commit(): void {
    this.#end()
    for (const partition of this.partitions) partition.commit()
  }

  rollback(): void {
    this.#end()
    for (const partition of this.partitions) partition.rollback()
  }

  #end(): void {
    this.#evaluations.clear()
    this.#batch = undefined
  }
}
