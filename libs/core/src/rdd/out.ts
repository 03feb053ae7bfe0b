/**
 * Where the records of a stage end: an array, a count, a map of combiners, a shuffle's buckets. Generated code writes to the
 * public fields; the closure form calls `emit`. Both must leave the same.
 */
import { SluiceError } from '../errors.js'
import { deepCopy } from './copy.js'
import { KeyedMap, plainBox, type Box } from './keys.js'
import type { AnyFunction } from './functions.js'
import type { Partitioner } from './types.js'

export type OutKind = 'collect' | 'count' | 'combine' | 'bucket' | 'fold' | 'each'

export interface Out {
  readonly kind: OutKind
  /** Functions that the template calls, by the names it uses for them. */
  readonly functions: Readonly<Record<string, AnyFunction | undefined>>
  /** Which variant of the template fits, where its kind has several. */
  readonly shape?: string
  /** Operator whose functions these are. */
  readonly operator: string
  /** True once `emit` has called each function: what they returned was then seen to be no promise. */
  readonly reached: boolean
  emit(record: unknown): void
  /** True when no more records are wanted. */
  readonly full?: boolean
  /** Set while something must be written to disk before more records come; the runner then awaits `settle`. */
  readonly pending?: boolean
  settle?(): Promise<void>
}

/** Collects records, at most `limit`. */
export class CollectOut implements Out {
  readonly kind = 'collect'
  readonly functions = {}
  readonly operator: string
  readonly limit: number
  reached = false
  records: unknown[] = []

  constructor(operator: string, limit = Infinity) {
    this.operator = operator
    this.limit = limit
  }

  get full(): boolean {
    return this.records.length >= this.limit
  }

  emit(record: unknown): void {
    this.reached = true
    this.records.push(record)
  }
}

/** Counts records. */
export class CountOut implements Out {
  readonly kind = 'count'
  readonly functions = {}
  readonly operator: string
  reached = false
  count = 0

  constructor(operator: string) {
    this.operator = operator
  }

  emit(): void {
    this.reached = true
    this.count++
  }
}

/** How values of one key become one: the three functions of Spark's combineByKey. */
export interface Aggregator {
  /** Makes the first combiner of a value; undefined: the value itself. */
  readonly create: AnyFunction | undefined
  readonly add: AnyFunction
  readonly merge: AnyFunction
}

/** How a map of combiners takes what comes: the functions, and whether values are copied because others hold them too. */
export interface Combining {
  readonly create: AnyFunction | undefined
  readonly add: AnyFunction
  readonly copies?: boolean
  /** Whether each combiner keeps all its values: then they count against the limit, not the keys. */
  readonly lists?: boolean
}

/** New keys in a row after which nobody waits for one that comes again: each combiner is checked at the end too. */
const NEW_KEYS = 1_024

/** Combines the values of each key. When `limit` keys or values are held, `onFull` takes them over and the map starts anew. */
export class CombineOut implements Out {
  readonly kind = 'combine'
  readonly functions: { readonly create: AnyFunction | undefined; readonly add: AnyFunction }
  readonly shape: 'create' | 'list' | 'copy' | 'value'
  readonly operator: string
  readonly limit: number
  /** How much may still be added: keys, or values in lists. Generated code counts it down. */
  room: number
  readonly onFull: (keyed: KeyedMap<unknown>) => void
  readonly #settle: (() => Promise<void>) | undefined
  /** Makes a box: that of the stage, once there is one, so that all boxes are alike. */
  box: (key: unknown, value: unknown) => Box<unknown> = plainBox
  keyed: KeyedMap<unknown>
  pending = false
  reached = false
  #newKeys = 0

  constructor(
    operator: string,
    { create, add, copies, lists }: Combining,
    spill?: { readonly limit: number; onFull(keyed: KeyedMap<unknown>): void; settle(): Promise<void> },
  ) {
    this.operator = operator
    this.functions = { create, add }
    this.shape = lists === true ? 'list' : create !== undefined ? 'create' : copies === true ? 'copy' : 'value'
    this.limit = spill?.limit ?? Infinity
    this.room = this.limit
    this.onFull = (keyed) => spill?.onFull(keyed)
    this.#settle = spill === undefined ? undefined : () => spill.settle()
    this.keyed = new KeyedMap(operator)
  }

  /** A combiner that may be changed in place; called by generated code. */
  copy(value: unknown): unknown {
    return deepCopy(value)
  }

  /** Adds the box of an absent key and gives the map of plain keys to go on with; called by generated code. */
  insert(box: Box<unknown>): KeyedMap<unknown>['map'] {
    this.keyed.insertBox(box)
    return --this.room <= 0 ? this.handOver() : this.keyed.map
  }

  /** Starts a new map, when there is no room, and gives that of plain keys; called by generated code. */
  handOver(): KeyedMap<unknown>['map'] {
    const full = this.keyed
    this.keyed = new KeyedMap(this.operator)
    this.room = this.limit
    this.onFull(full)
    this.pending = true
    return this.keyed.map
  }

  emit(record: unknown): void {
    const [key, given] = asPair(record, this.operator)
    const box = this.keyed.find(key)
    const value = this.shape === 'copy' ? deepCopy(given) : given
    if (box === undefined) {
      const { create } = this.functions
      this.insert(this.box(key, create === undefined ? value : refusePromise(create(value), this.operator)))
      if (++this.#newKeys >= NEW_KEYS) this.reached = true
    } else {
      box.v = refusePromise(this.functions.add(box.v, value), this.operator)
      this.reached = true
      if (this.shape === 'list' && --this.room <= 0) this.handOver()
    }
  }

  async settle(): Promise<void> {
    this.pending = false
    await this.#settle?.()
  }
}

/** Spreads pairs over the partitions of a shuffle. */
export class BucketOut implements Out {
  readonly kind = 'bucket'
  readonly functions = {}
  readonly shape: 'one' | 'many'
  readonly operator: string
  readonly partitioner: Partitioner
  readonly #writer: BucketWriter
  /** Those of the writer: this array stays the same when it takes a bucket away. */
  readonly buckets: unknown[][]
  reached = false

  constructor(operator: string, partitioner: Partitioner, writer: BucketWriter) {
    this.operator = operator
    this.partitioner = partitioner
    this.shape = partitioner.partitions === 1 ? 'one' : 'many'
    this.#writer = writer
    this.buckets = writer.buckets
  }

  get pending(): boolean {
    return this.#writer.pending
  }

  emit(record: unknown): void {
    const [key] = asPair(record, this.operator)
    const bucket = this.buckets[this.shape === 'one' ? 0 : this.partitioner.partitionOf(key)]
    if (bucket === undefined) this.misplaced(key)
    bucket.push(record)
    this.reached = true
  }

  /** Called by generated code for a key that has no partition. */
  misplaced(key: unknown): never {
    throw noSuchPartition(this.partitioner, key, this.operator)
  }

  settle(): Promise<void> {
    return this.#writer.settle()
  }
}

/** A partitioner's answer that is no index of a partition: the record would be lost. */
export function noSuchPartition(partitioner: Partitioner, key: unknown, operator: string): SluiceError {
  const index = String(partitioner.partitionOf(key))
  return new SluiceError({
    code: 'ARGUMENT_INVALID',
    component: operator,
    message: `the partitioner sends a key to partition ${index} of ${String(partitioner.partitions)}; partitionOf must give a whole number from 0 to ${String(partitioner.partitions - 1)}`,
  })
}

/** Takes the records of each shuffle partition away when there are enough of them for a block. */
export interface BucketWriter {
  readonly buckets: unknown[][]
  readonly pending: boolean
  settle(): Promise<void>
}

/** Folds all records into one value. Without a start value, the first record is it. */
export class FoldOut implements Out {
  readonly kind = 'fold'
  readonly functions: { readonly f: AnyFunction }
  readonly operator: string
  acc: unknown
  has: boolean
  reached = false

  constructor(operator: string, f: AnyFunction, start?: { readonly value: unknown }) {
    this.operator = operator
    this.functions = { f }
    this.acc = start?.value
    this.has = start !== undefined
  }

  emit(record: unknown): void {
    if (this.has) {
      this.acc = refusePromise(this.functions.f(this.acc, record), this.operator)
      this.reached = true
    } else {
      this.has = true
      this.acc = record
    }
  }
}

/** Calls a function for every record. */
export class EachOut implements Out {
  readonly kind = 'each'
  readonly functions: { readonly f: AnyFunction }
  readonly operator: string
  reached = false

  constructor(operator: string, f: AnyFunction) {
    this.operator = operator
    this.functions = { f }
  }

  emit(record: unknown): void {
    refusePromise(this.functions.f(record), this.operator)
    this.reached = true
  }
}

/** The record as a pair; throws `PAIR_EXPECTED`. Checked for the first records of a task only: types do the rest. */
export function asPair(record: unknown, operator: string): readonly [unknown, unknown] {
  if (Array.isArray(record) && record.length === 2) return record as unknown as readonly [unknown, unknown]
  throw new SluiceError({
    code: 'PAIR_EXPECTED',
    component: operator,
    message: `the operator works on pairs [key, value] and got ${typeof record}; map the records to pairs first`,
  })
}

/** Throws `ASYNC_FUNCTION` when a user function returned a promise where a value is expected. */
export function refusePromise<T>(value: T, operator: string): T {
  if (typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function') {
    // Its rejection is of no interest any more, and must not end the process.
    void Promise.resolve(value).catch(() => undefined)
    throw asyncFunction('a promise where a value', operator)
  }
  return value
}

/** What a flatMap's function returned, to be iterated; a promise or the result of an async generator is refused. */
export function refuseAsyncIterable(value: unknown, operator: string): Iterable<unknown> {
  refusePromise(value, operator)
  if (typeof value === 'object' && value !== null && Symbol.asyncIterator in value && !(Symbol.iterator in value)) {
    throw asyncFunction('an async iterable where an iterable', operator)
  }
  return value as Iterable<unknown>
}

function asyncFunction(what: string, operator: string): SluiceError {
  return new SluiceError({
    code: 'ASYNC_FUNCTION',
    component: operator,
    message: `the function returned ${what} is expected; use mapAsync for asynchronous work`,
  })
}

/**
 * One of each, to be held for as long as stages run: V8 throws away the code made for a class when a major collection finds
 * no instance of it, and between two batches there is none.
 */
export function oneOfEach(): readonly Out[] {
  const f = (): undefined => undefined
  const partitioner = { partitions: 2 } as Partitioner
  const fold = new FoldOut('', f)
  fold.acc = {}
  return [
    new CollectOut(''),
    new CountOut(''),
    new CombineOut('', { create: undefined, add: f }),
    new BucketOut('', partitioner, { buckets: [], pending: false, settle: () => Promise.resolve() }),
    fold,
    new EachOut('', f),
  ]
}
