/**
 * Where the records of a stage end: an array, a count, a map of combiners, a shuffle's buckets. Generated code writes to the
 * public fields; the closure form calls `emit`. Both must leave the same.
 */
import { SluiceError } from '../errors.js'
import { KeyedMap } from './keys.js'
import type { AnyFunction } from './functions.js'

export type OutKind = 'collect' | 'count' | 'combine' | 'bucket' | 'fold' | 'each'

export interface Out {
  readonly kind: OutKind
  /** Functions that the template calls, by the names it uses for them. */
  readonly functions: Readonly<Record<string, AnyFunction | undefined>>
  /** Operator whose functions these are. */
  readonly operator: string
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
  records: unknown[] = []

  constructor(operator: string, limit = Infinity) {
    this.operator = operator
    this.limit = limit
  }

  get full(): boolean {
    return this.records.length >= this.limit
  }

  emit(record: unknown): void {
    this.records.push(record)
  }
}

/** Counts records. */
export class CountOut implements Out {
  readonly kind = 'count'
  readonly functions = {}
  readonly operator: string
  count = 0

  constructor(operator: string) {
    this.operator = operator
  }

  emit(): void {
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

/** Combines the values of each key. When `limit` keys are held, `onFull` takes them over and the map starts anew. */
export class CombineOut implements Out {
  readonly kind = 'combine'
  readonly functions: { readonly create: AnyFunction | undefined; readonly add: AnyFunction }
  readonly operator: string
  readonly limit: number
  readonly onFull: (keyed: KeyedMap<unknown>) => void
  readonly #settle: (() => Promise<void>) | undefined
  keyed: KeyedMap<unknown>
  pending = false

  constructor(
    operator: string,
    functions: { readonly create: AnyFunction | undefined; readonly add: AnyFunction },
    spill?: { readonly limit: number; onFull(keyed: KeyedMap<unknown>): void; settle(): Promise<void> },
  ) {
    this.operator = operator
    this.functions = functions
    this.limit = spill?.limit ?? Infinity
    this.onFull = (keyed) => spill?.onFull(keyed)
    this.#settle = spill === undefined ? undefined : () => spill.settle()
    this.keyed = new KeyedMap(operator)
  }

  /** Adds an absent key; called by generated code. */
  insert(key: unknown, value: unknown): void {
    this.keyed.insert(key, value)
    if (this.keyed.size >= this.limit) {
      const full = this.keyed
      this.keyed = new KeyedMap(this.operator)
      this.onFull(full)
      this.pending = true
    }
  }

  emit(record: unknown): void {
    const [key, value] = asPair(record, this.operator)
    const box = this.keyed.find(key)
    const { create, add } = this.functions
    if (box === undefined) this.insert(key, create === undefined ? value : create(value))
    else box.v = add(box.v, value)
  }

  async settle(): Promise<void> {
    this.pending = false
    await this.#settle?.()
  }
}

/** Spreads pairs over the partitions of a shuffle. `take` is called with partition and pair. */
export class BucketOut implements Out {
  readonly kind = 'bucket'
  readonly functions: { readonly partitionOf: AnyFunction }
  readonly operator: string
  readonly #writer: BucketWriter
  readonly buckets: unknown[][]

  constructor(operator: string, partitionOf: AnyFunction, writer: BucketWriter) {
    this.operator = operator
    this.functions = { partitionOf }
    this.#writer = writer
    // The outer array stays the same when the writer takes a bucket away.
    this.buckets = writer.buckets
    this.buckets = writer.buckets
  }

  get pending(): boolean {
    return this.#writer.pending
  }

  emit(record: unknown): void {
    const partition = this.functions.partitionOf(record) as number
    this.buckets[partition]?.push(record)
  }

  settle(): Promise<void> {
    return this.#writer.settle()
  }
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

  constructor(operator: string, f: AnyFunction, start?: { readonly value: unknown }) {
    this.operator = operator
    this.functions = { f }
    this.acc = start?.value
    this.has = start !== undefined
  }

  emit(record: unknown): void {
    if (this.has) this.acc = this.functions.f(this.acc, record)
    else {
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

  constructor(operator: string, f: AnyFunction) {
    this.operator = operator
    this.functions = { f }
  }

  emit(record: unknown): void {
    refusePromise(this.functions.f(record), this.operator)
  }
}

/** The record as a pair; throws `PAIR_EXPECTED`. Checked for the first record of a task only: types do the rest. */
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
    throw new SluiceError({
      code: 'ASYNC_FUNCTION',
      component: operator,
      message: 'the function returned a promise where a value is expected; use mapAsync for asynchronous work',
    })
  }
  return value
}
