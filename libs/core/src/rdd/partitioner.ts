/** How keys are spread over partitions. */
import { requireArgument } from '../errors.js'
import type { AnyFunction } from './functions.js'
import { hashKey } from './keys.js'
import { compareNatural, type Compare } from './order.js'
import type { Partitioner } from './types.js'

class HashPartitioner implements Partitioner {
  readonly '~sluice' = 'partitioner/1'
  readonly kind = 'hash'
  readonly partitions: number

  constructor(partitions: number) {
    this.partitions = partitions
  }

  partitionOf(key: unknown): number {
    return hashKey(key, 'partitioner') % this.partitions
  }

  equals(other: Partitioner): boolean {
    return (other as Partial<HashPartitioner>).kind === 'hash' && other.partitions === this.partitions
  }
}

/** Spreads keys by hash, alike in every process. `partitions` is a whole number of at least 1. */
export function hashPartitioner(partitions: number): Partitioner {
  requirePartitions(partitions, 'hashPartitioner')
  return new HashPartitioner(partitions)
}

export function requirePartitions(partitions: number, component: string): void {
  requireArgument(
    Number.isSafeInteger(partitions) && partitions >= 1,
    component,
    `the number of partitions must be a whole number of at least 1, not ${String(partitions)}`,
  )
}

class RangePartitioner implements Partitioner {
  readonly '~sluice' = 'partitioner/1'
  readonly bounds: readonly unknown[]
  readonly compare: Compare<unknown>

  constructor(bounds: readonly unknown[], compare: Compare<unknown>) {
    this.bounds = bounds
    this.compare = compare
  }

  get partitions(): number {
    return this.bounds.length + 1
  }

  partitionOf(key: unknown): number {
    let low = 0
    let high = this.bounds.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(key, this.bounds[middle]) <= 0) high = middle
      else low = middle + 1
    }
    return low
  }

  equals(other: Partitioner): boolean {
    return other === this
  }
}

/** Spreads keys by sorted upper bounds: partition i holds the keys above bound i−1 and up to bound i. */
export function rangePartitioner(bounds: readonly unknown[], compare: Compare<unknown> = compareNatural): Partitioner {
  return new RangePartitioner(bounds, compare)
}

/** Up to `partitions - 1` bounds that cut a sample of keys into parts of like size. */
export function boundsOf(sample: readonly unknown[], partitions: number, compare: Compare<unknown>): unknown[] {
  const sorted = [...sample].sort(compare)
  const bounds: unknown[] = []
  for (let i = 1; i < partitions && sorted.length > 0; i++) {
    const bound = sorted[Math.min(sorted.length - 1, Math.floor((i * sorted.length) / partitions))]
    if (bounds.length === 0 || compare(bounds.at(-1), bound) < 0) bounds.push(bound)
  }
  return bounds
}

class IndexPartitioner implements Partitioner {
  readonly '~sluice' = 'partitioner/1'
  readonly partitions: number

  constructor(partitions: number) {
    this.partitions = partitions
  }

  partitionOf(key: unknown): number {
    return key as number
  }

  equals(other: Partitioner): boolean {
    return other === this
  }
}

/** Sends records to the partition that their key names. */
export function indexPartitioner(partitions: number): Partitioner {
  return new IndexPartitioner(partitions)
}

class CustomPartitioner implements Partitioner {
  readonly '~sluice' = 'partitioner/1'
  readonly partitions: number
  readonly partitionOf: (key: unknown) => number

  constructor(partitions: number, partitionOf: (key: unknown) => number) {
    this.partitions = partitions
    this.partitionOf = partitionOf
  }

  equals(other: Partitioner): boolean {
    return other === this
  }
}

/** A partitioner in parts that can be sent; functions by name. One of the user's own is known by its `partitionOf`. */
export type PartitionerParts =
  | { readonly kind: 'hash' | 'index'; readonly partitions: number }
  | { readonly kind: 'range'; readonly bounds: readonly unknown[]; readonly compare: AnyFunction }
  | { readonly kind: 'custom'; readonly partitions: number; readonly partitionOf: AnyFunction }

export function partsOfPartitioner(partitioner: Partitioner): PartitionerParts {
  const { partitions } = partitioner
  if (partitioner instanceof HashPartitioner) return { kind: 'hash', partitions }
  if (partitioner instanceof IndexPartitioner) return { kind: 'index', partitions }
  if (partitioner instanceof RangePartitioner) {
    return { kind: 'range', bounds: partitioner.bounds, compare: partitioner.compare }
  }
  // A method of the user's: sent by its name, if it has one, and called with the new partitioner as `this`.
  return { kind: 'custom', partitions, partitionOf: partitioner.partitionOf }
}

/** The partitioner of these parts. It spreads keys as the one that they are of, and equals itself only. */
export function partitionerOfParts(parts: PartitionerParts): Partitioner {
  switch (parts.kind) {
    case 'hash':
      return new HashPartitioner(parts.partitions)
    case 'index':
      return new IndexPartitioner(parts.partitions)
    case 'range':
      return new RangePartitioner(parts.bounds, parts.compare as Compare<unknown>)
    case 'custom':
      return new CustomPartitioner(parts.partitions, parts.partitionOf as (key: unknown) => number)
  }
}
