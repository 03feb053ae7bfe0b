/**
 * The state of the keys of one partition: what is committed, and while a batch runs what it changes. The changes become
 * committed when the batch is, and vanish when it is not (E5). Nothing here can be changed from outside (E6): plain data
 * is frozen, anything else is copied on its way in and out.
 */
import { deepCopy, ownText, ownTexts } from '../rdd/copy.js'
import { freezeDeep } from '../rdd/freeze.js'
import { isPrimitiveKey, KeyedMap, type Box } from '../rdd/keys.js'
import type { BatchTime } from '../time/duration.js'
import { AgeList, type Aged } from './age-list.js'
import { CAME, CHANGED, ROWS, TOUCHED, type MigrateValue, type StateChanges, type StateRows } from './state-columns.js'

/** State and pending change of one key: the box of its map, so that there is one object to find for each key. */
export interface Cell extends Box<unknown>, Aged<Cell> {
  /** Committed value; undefined for a key that the running batch brought. */
  v: unknown
  /** New value of the running batch; undefined: removed. Only meaningful with `touched`. */
  next: unknown
  /** Values that arrived in the running batch, where the operator groups them. */
  arrived: readonly unknown[] | undefined
  /** Of windows: slices that hold the key; and what their number will be. Only meaningful with `touched`. */
  slices: number
  nextSlices: number
  /** Batch time of the last committed write, where idle times are watched. */
  writtenAt: BatchTime | undefined
  /** Its place in the order of all writes, where idle times are watched. */
  rank: number
  touched: boolean
  /** Whether `v`, and `next`, cannot be frozen and are copied before they are handed out. */
  valueCopies: boolean
  nextCopies: boolean
}

const newCell = (key: unknown): Cell => ({
  k: key,
  v: undefined,
  next: undefined,
  arrived: undefined,
  slices: 0,
  nextSlices: 0,
  writtenAt: undefined,
  rank: 0,
  touched: false,
  valueCopies: false,
  nextCopies: false,
  older: undefined,
  newer: undefined,
})

const CHUNK = 4_096

/** Most records whose cells {@link StatePartition.ahead} should be asked for at once. */
export const AHEAD = 64

export class StatePartition {
  readonly #cells: KeyedMap<unknown>
  #touched: Cell[] = []
  /** The order of last writes, where idle times are watched. */
  readonly #ages: AgeList<Cell> | undefined
  /** Keys that were there before the first batch, until it is committed: they are changes that it makes. */
  #initial: Cell[] = []
  /** Whether some key cannot be frozen, i.e. holds a date. */
  #copiesKeys = false
  #rank = 0
  /** What {@link ahead} gives: one array for all calls. */
  readonly #found: (Cell | undefined)[] = []
  /** Objects that {@link ahead} came by; nobody asks, but what it reads must not be optimized away. */
  passed = 0

  constructor(operator: string, watchesIdle: boolean) {
    this.#cells = new KeyedMap(operator)
    this.#ages = watchesIdle ? new AgeList<Cell>() : undefined
  }

  /** Number of keys, those that the running batch brought included. */
  get size(): number {
    return this.#cells.size
  }

  /** In the order in which their keys first came. */
  cells(): Iterable<Cell> {
    return this.#cells.boxes() as Iterable<Cell>
  }

  /** The cell of a key; made where there is none, and dropped again at the end of the batch if nothing is written to it. */
  cell(key: unknown): Cell {
    const found = this.#cells.find(key)
    if (found !== undefined) return found as Cell
    const cell = newCell(this.#ownKey(key))
    this.#cells.insertBox(cell)
    this.touch(cell)
    return cell
  }

  /**
   * The cells of the pairs `from` up to `to`, where they are known or found at once; good until the next call. For millions of
   * keys, looking one up is a row of cache misses. Lookups straight after one another wait for memory together, while each
   * with a user's function in between waits alone: measured at about 0.8 of the cost of a touched key.
   */
  ahead(pairs: readonly unknown[], from: number, to: number, known?: readonly Cell[]): readonly (Cell | undefined)[] {
    const { map } = this.#cells
    const found = this.#found
    for (let i = from; i < to; i++) {
      const pair = pairs[i]
      found[i - from] = known?.[i] ?? (Array.isArray(pair) ? (map.get(pair[0]) as Cell | undefined) : undefined)
    }
    let passed = 0
    for (let i = 0; i < to - from; i++) if (typeof found[i]?.v === 'object') passed++
    this.passed += passed
    return found
  }

  #ownKey(key: unknown): unknown {
    if (typeof key === 'string') return ownText(key)
    // A Map takes -0 for 0; so do we.
    if (isPrimitiveKey(key)) return key === 0 ? 0 : key
    const own = ownTexts(deepCopy(key))
    if (!freezeDeep(own)) this.#copiesKeys = true
    return own
  }

  /** The key of a cell, safe to hand out. */
  key({ k }: Cell): unknown {
    return this.#copiesKeys ? deepCopy(k) : k
  }

  /** What the running batch sees, safe to hand out: its own write, else the committed value. */
  read(cell: Cell): unknown {
    if (cell.touched) return cell.nextCopies ? deepCopy(cell.next) : cell.next
    return cell.valueCopies ? deepCopy(cell.v) : cell.v
  }

  /** What was committed with the batch before, safe to hand out. */
  readCommitted(cell: Cell): unknown {
    return cell.valueCopies ? deepCopy(cell.v) : cell.v
  }

  /** Sets what the key's state will be when the batch is committed; undefined removes it. */
  write(cell: Cell, next: unknown): void {
    if (!cell.touched) this.touch(cell)
    cell.nextCopies = typeof next === 'object' && next !== null && !freezeDeep(next)
    if (typeof next === 'string') cell.next = next === cell.v ? cell.v : ownText(next)
    else cell.next = cell.nextCopies ? deepCopy(next) : next
  }

  /** Marks a cell as changed by this batch, to what it was. */
  touch(cell: Cell): void {
    cell.touched = true
    cell.next = cell.v
    cell.nextSlices = cell.slices
    cell.nextCopies = cell.valueCopies
    this.#touched.push(cell)
  }

  /** Sets a committed value, before the first batch. */
  initialize(key: unknown, value: unknown, time: BatchTime): void {
    const cell = this.cell(key)
    if (cell.v === undefined) this.#initial.push(cell)
    this.write(cell, value)
    this.#apply(time)
  }

  /** Cells last written before `time`, and not by the running batch: those whose idle time is over. */
  idleSince(time: BatchTime): Cell[] {
    const idle: Cell[] = []
    for (const cell of this.#ages?.all() ?? []) {
      if (cell.writtenAt === undefined || cell.writtenAt >= time) break
      if (!cell.touched) idle.push(cell)
    }
    return idle
  }

  /** Pairs of key and state as the running batch sees it, new ones each time: of these cells, by default of all that have a state. */
  *pairs(cells: Iterable<Cell> = this.cells()): Generator<readonly unknown[]> {
    let chunk: unknown[] = []
    for (const cell of cells) {
      const value = this.read(cell)
      if (value === undefined) continue
      chunk.push([this.key(cell), value])
      if (chunk.length < CHUNK) continue
      yield chunk
      chunk = []
    }
    if (chunk.length > 0) yield chunk
  }

  commit(time: BatchTime): void {
    this.#initial = []
    this.#apply(time)
  }

  #apply(time: BatchTime): void {
    const ages = this.#ages
    for (const cell of this.#takeTouched()) {
      cell.v = cell.next
      cell.slices = cell.nextSlices
      cell.valueCopies = cell.nextCopies
      endBatch(cell)
      if (cell.v === undefined) {
        this.#cells.delete(cell)
        ages?.remove(cell)
      } else if (ages !== undefined) this.#renew(cell, time, ages)
    }
  }

  #renew(cell: Cell, time: BatchTime, ages: AgeList<Cell>): void {
    cell.writtenAt = time
    cell.rank = ++this.#rank
    ages.renew(cell)
  }

  rollback(): void {
    for (const cell of this.#takeTouched()) {
      endBatch(cell)
      if (cell.v === undefined) this.#cells.delete(cell)
    }
  }

  /** What the running batch changes, in pieces. What is the same as before is left out, unless its idle time starts anew (E6). */
  *changes(): Generator<StateChanges> {
    yield* this.#initialChanges()
    let changed: Cell[] = []
    for (const cell of this.#touched) {
      if (this.#kindOf(cell) === undefined) continue
      changed.push(cell)
      if (changed.length < ROWS) continue
      yield this.#columns(changed)
      changed = []
    }
    if (changed.length > 0) yield this.#columns(changed)
  }

  *#initialChanges(): Generator<StateChanges> {
    for (let from = 0; from < this.#initial.length; from += ROWS) {
      const cells = this.#initial.slice(from, from + ROWS).filter(({ v }) => v !== undefined)
      const kinds = new Uint8Array(cells.length).fill(CAME)
      yield { keys: cells.map(({ k }) => k), kinds, values: cells.map(({ v }) => v), slices: undefined }
    }
  }

  #kindOf(cell: Cell): number | undefined {
    if (cell.v === undefined) return cell.next === undefined ? undefined : CAME
    if (cell.next !== cell.v || cell.nextSlices !== cell.slices) return CHANGED
    return this.#ages === undefined ? undefined : TOUCHED
  }

  #columns(cells: readonly Cell[]): StateChanges {
    return {
      keys: cells.map(({ k }) => k),
      kinds: Uint8Array.from(cells, (cell) => this.#kindOf(cell) ?? TOUCHED),
      values: cells.map((cell) => (cell.next === cell.v ? undefined : cell.next)),
      slices: cells.some(({ nextSlices }) => nextSlices !== 0) ? cells.map(({ nextSlices }) => nextSlices) : undefined,
    }
  }

  /**
   * All that is committed, in pieces. Batches may be committed between two pieces: a piece then shows some of their changes. Who
   * applies all changes since the first piece again has the state as it was after the last of them, in its order.
   */
  *rows(): Generator<StateRows> {
    let held: Cell[] = []
    for (const cell of this.cells()) {
      held.push(cell)
      if (held.length < ROWS) continue
      yield this.#rowsOf(held)
      held = []
    }
    yield this.#rowsOf(held)
  }

  #rowsOf(held: readonly Cell[]): StateRows {
    // A key that the running batch brought, or that has gone meanwhile, has no committed value.
    const cells = held.filter(({ v }) => v !== undefined)
    const watchesIdle = this.#ages !== undefined
    return {
      keys: cells.map(({ k }) => k),
      values: cells.map(({ v }) => v),
      slices: cells.some(({ slices }) => slices !== 0) ? cells.map(({ slices }) => slices) : undefined,
      writtenAt: watchesIdle ? cells.map(({ writtenAt }) => writtenAt ?? 0) : undefined,
      ranks: watchesIdle ? cells.map(({ rank }) => rank) : undefined,
    }
  }

  /** Takes over one committed key of {@link rows}. {@link settle} comes after the last. */
  restoreRow(rows: StateRows, at: number, migrate: MigrateValue | undefined): void {
    const cell = this.#made(rows.keys[at], rows.values[at], migrate)
    this.#insertLast(cell)
    cell.slices = rows.slices?.[at] ?? 0
    cell.writtenAt = rows.writtenAt?.[at]
    cell.rank = rows.ranks?.[at] ?? 0
  }

  /** All rows are there: puts them in the order of their writes. */
  settle(): void {
    const ages = this.#ages
    if (ages === undefined) return
    const cells = [...this.cells()].sort((a, b) => a.rank - b.rank)
    for (const cell of cells) ages.renew(cell)
    this.#rank = Math.max(this.#rank, cells.at(-1)?.rank ?? 0)
  }

  /** Makes one of the {@link changes} of a committed batch again. */
  restoreChange(changes: StateChanges, at: number, time: BatchTime, migrate: MigrateValue | undefined): void {
    const key = changes.keys[at]
    const kind = changes.kinds[at]
    let cell = this.#cells.find(key) as Cell | undefined
    const slices = changes.slices?.[at] ?? 0
    // A window's value may be what it was, and only the number of its slices another.
    const isRemoved = kind === CHANGED && changes.values[at] === undefined && slices === 0
    if (cell !== undefined && (isRemoved || kind === CAME)) this.#forget(cell)
    if (isRemoved) return
    if (kind === CAME || cell === undefined) {
      // Changed or touched, but not there: it goes with a later change.
      if (changes.values[at] === undefined) return
      cell = this.#made(key, changes.values[at], migrate)
      this.#cells.insertBox(cell)
    } else if (changes.values[at] !== undefined) this.#setCommitted(cell, changes.values[at], migrate)
    cell.slices = slices
    if (this.#ages !== undefined) this.#renew(cell, time, this.#ages)
  }

  #made(key: unknown, value: unknown, migrate: MigrateValue | undefined): Cell {
    const cell = newCell(this.#ownKey(key))
    this.#setCommitted(cell, value, migrate)
    return cell
  }

  /** A key that was removed and came again while the snapshot was written is in it twice: the later counts, in its place. */
  #insertLast(cell: Cell): void {
    const { map, size } = this.#cells
    if (isPrimitiveKey(cell.k) && map.size === size) {
      this.#cells.insertBox(cell)
      // Looking for each of millions of keys first would cost as much as inserting them.
      if (map.size > size) return
      this.#cells.delete(cell)
    } else {
      const before = this.#cells.find(cell.k)
      if (before !== undefined) this.#cells.delete(before)
    }
    this.#cells.insertBox(cell)
  }

  #setCommitted(cell: Cell, value: unknown, migrate: MigrateValue | undefined): void {
    cell.v = migrate === undefined ? value : migrate(value)
    cell.valueCopies = typeof cell.v === 'object' && cell.v !== null && !freezeDeep(cell.v)
  }

  #forget(cell: Cell): void {
    this.#cells.delete(cell)
    this.#ages?.remove(cell)
  }

  /** Forgets all keys. */
  clear(): void {
    for (const cell of [...this.cells()]) this.#forget(cell)
  }

  #takeTouched(): readonly Cell[] {
    const touched = this.#touched
    this.#touched = []
    return touched
  }
}

function endBatch(cell: Cell): void {
  cell.next = undefined
  cell.nextCopies = false
  cell.touched = false
  cell.arrived = undefined
}
