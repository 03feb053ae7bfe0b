/** Narrow operators as data: what they are, not how they run. Stages are compiled from them. */
import type { AnyFunction } from './functions.js'
import type { PartitionInfo } from './types.js'

/** The record-wise operators; each has one template in `compile.ts` and one closure in `closures.ts`. */
export type OpKind = 'map' | 'filter' | 'flatMap' | 'mapValues' | 'flatMapValues' | 'keyBy' | 'keys' | 'values'

/** A function of the engine that is made anew for every task, e.g. a sampler with its own seed. */
export interface Builtin {
  readonly builtin: string
  readonly args: readonly unknown[]
  /** Index of the operator's own partition, which is not the task's behind a union or coalesce. Set when a pipeline is built. */
  readonly partition?: number
}

export type OpFunction = AnyFunction | Builtin

export interface Op {
  readonly kind: OpKind
  /** Stable id, e.g. `map-0`; names the operator in messages and keys the cache of compiled stages. */
  readonly id: string
  /** Undefined for `keys` and `values`. */
  readonly fn: OpFunction | undefined
}

/** Where a task runs: what user functions may learn of it, and what errors say. */
export interface TaskInfo extends PartitionInfo {
  /** The operator or action that the task works for. */
  readonly operator: string
}

const BARE = 'rdd:'

/** Marks the id of an operator that belongs to no stream. */
export function bareId(id: string): string {
  return BARE + id
}

export function isBareId(id: string): boolean {
  return id.startsWith(BARE)
}
