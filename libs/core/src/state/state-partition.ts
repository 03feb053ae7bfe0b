/**
 * The state of the keys of one partition: what is committed, and while a batch runs what it changes. The changes become
 * committed when the batch is, and vanish when it is not (E5). Nothing here can be changed from outside (E6): plain data
 * is frozen, anything else is copied on its way in and out.
 */
import { deepCopy } from '../rdd/copy.js'
import { freezeDeep } from '../rdd/freeze.js'
import { isPrimitiveKey, KeyedMap, type Box } from '../rdd/keys.js'
import type { BatchTime } from '../time/duration.js'
import { AgeList, type Aged } from './age-list.js'

/** State and pending change of one key. */
export interface Cell extends Aged<CellBox> {
  /** Committed value; undefined for a key that the running batch brought. */
  value: unknown
  /** New value of the running batch; undefined: removed. Only meaningful with `touched`. */
  next: unknown
  /** Values that arrived in the running batch, where the operator groups them. */
  arrived: readonly unknown[] | undefined
  /** Of windows: slices that hold the key; and what their number will be. Only meaningful with `touched`. */
  slices: number
  nextSlices: number
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
  slices: 0,
  nextSlices: 0,
  writtenAt: 0,
  touched: false,
  valueCopies: false,
  nextCopies: false,
  older: undefined,
  newer: undefined,
})

const CHUNK = 4_096

export class StatePartition {
  readonly #cells: KeyedMap<Cell>
  #touched: CellBox[] = []
  /** The order of last writes, where idle times are watched. */
  readonly #ages: AgeList<CellBox> | undefined
  /** Whether some key cannot be frozen, i.e. holds a date. */
  #copiesKeys = false

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
    const box = this.#cells.insert(this.#ownKey(key), newCell())
    this.touch(box)
    return box
  }

  #ownKey(key: unknown): unknown {
    if (isPrimitiveKey(key)) return key
    const own = deepCopy(key)
    if (!freezeDeep(own)) this.#copiesKeys = true
    return own
  }

  /** The key of a box, safe to hand out. */
  key(box: CellBox): unknown {
    return this.#copiesKeys ? deepCopy(box.k) : box.k
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
    const { v } = box
    if (!v.touched) this.touch(box)
    v.nextCopies = typeof next === 'object' && next !== null && !freezeDeep(next)
    v.next = v.nextCopies ? deepCopy(next) : next
  }

  /** Marks a box as changed by this batch, to what it was. */
  touch(box: CellBox): void {
    const { v } = box
    v.touched = true
    v.next = v.value
    v.nextSlices = v.slices
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

  /** Pairs of key and state as the running batch sees it, new ones each time: of these boxes, by default of all that have a state. */
  *pairs(boxes: Iterable<CellBox> = this.boxes()): Generator<readonly unknown[]> {
    let chunk: unknown[] = []
    for (const box of boxes) {
      const value = this.read(box)
      if (value === undefined) continue
      chunk.push([this.key(box), value])
      if (chunk.length < CHUNK) continue
      yield chunk
      chunk = []
    }
    if (chunk.length > 0) yield chunk
  }

  commit(time: BatchTime): void {
    const touched = this.#touched
    this.#touched = []
    for (const box of touched) {
      const { v } = box
      v.value = v.next
      v.slices = v.nextSlices
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
