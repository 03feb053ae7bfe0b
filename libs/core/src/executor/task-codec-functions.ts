/** Functions and partitioners as data: by name, by maker and arguments, by parts. */
import { functionMade, functionNamed } from '../rdd/engine-functions.js'
import { nameOfFunction, originOfFunction, type AnyFunction } from '../rdd/functions.js'
import type { Aggregator } from '../rdd/out.js'
import { partitionerOfParts, partsOfPartitioner, type PartitionerParts } from '../rdd/partitioner.js'
import type { Partitioner } from '../rdd/types.js'

/** A function's name; or the maker of the engine's that makes it, and its arguments. */
export type FunctionData = string | { readonly maker: string; readonly args: readonly ArgumentData[] }

type ArgumentData = { readonly fn: FunctionData } | { readonly value: unknown }

export interface AggregatorData {
  readonly create: FunctionData | undefined
  readonly add: FunctionData
  readonly merge: FunctionData
}

export type PartitionerData =
  | Extract<PartitionerParts, { kind: 'hash' | 'index' }>
  | { readonly kind: 'range'; readonly bounds: readonly unknown[]; readonly compare: FunctionData }
  | { readonly kind: 'custom'; readonly partitions: number; readonly partitionOf: FunctionData }

/** Why a task cannot leave the driver. Thrown while it is described, and caught there. */
export class DriverOnly extends Error {}

/** Describes functions; throws {@link DriverOnly} for one that workers do not know. */
export class FunctionDescriber {
  readonly #knows: (name: string) => boolean

  constructor(knows: (name: string) => boolean) {
    this.#knows = knows
  }

  fn(fn: AnyFunction, operator: string): FunctionData {
    const name = nameOfFunction(fn)
    if (name !== undefined) {
      if (this.#knows(name)) return name
      throw new DriverOnly(`${operator}: workers do not know the function '${name}' as it is in the driver`)
    }
    const origin = originOfFunction(fn)
    if (origin === undefined) throw new DriverOnly(`${operator}: its function is not registered with task()`)
    return { maker: origin.maker, args: origin.args.map((arg) => this.#argument(arg, operator)) }
  }

  #argument(arg: unknown, operator: string): ArgumentData {
    return typeof arg === 'function' ? { fn: this.fn(arg as AnyFunction, operator) } : { value: arg }
  }

  aggregator({ create, add, merge }: Aggregator, operator: string): AggregatorData {
    return {
      create: create === undefined ? undefined : this.fn(create, operator),
      add: this.fn(add, operator),
      merge: this.fn(merge, operator),
    }
  }

  partitioner(partitioner: Partitioner, operator: string): PartitionerData {
    const parts = partsOfPartitioner(partitioner)
    if (parts.kind === 'range') return { ...parts, compare: this.fn(parts.compare, operator) }
    if (parts.kind === 'custom')
      return { ...parts, partitionOf: this.fn(parts.partitionOf, `partitioner of ${operator}`) }
    return parts
  }
}

/** Functions that were made last, by what they are made of: tasks of one operator must hold one function, or each would be compiled anew. */
export class FunctionRestorer {
  readonly #made = new Map<string, AnyFunction>()
  readonly #keyOf: (data: FunctionData) => string
  readonly #limit: number

  /** `keyOf` gives equal text for equal data. */
  constructor(keyOf: (data: FunctionData) => string, limit = 1_000) {
    this.#keyOf = keyOf
    this.#limit = limit
  }

  fn(data: FunctionData): AnyFunction {
    if (typeof data === 'string') return functionNamed(data)
    const key = this.#keyOf(data)
    let fn = this.#made.get(key)
    if (fn === undefined) {
      const args = data.args.map((arg) => ('fn' in arg ? this.fn(arg.fn) : arg.value))
      fn = functionMade({ maker: data.maker, args })
    } else this.#made.delete(key)
    this.#made.set(key, fn)
    if (this.#made.size > this.#limit) this.#made.delete(this.#made.keys().next().value as string)
    return fn
  }

  aggregator({ create, add, merge }: AggregatorData): Aggregator {
    return { create: create === undefined ? undefined : this.fn(create), add: this.fn(add), merge: this.fn(merge) }
  }

  partitioner(data: PartitionerData): Partitioner {
    if (data.kind === 'range') return partitionerOfParts({ ...data, compare: this.fn(data.compare) })
    if (data.kind === 'custom') return partitionerOfParts({ ...data, partitionOf: this.fn(data.partitionOf) })
    return partitionerOfParts(data)
  }
}
