/** How keys are spread over partitions. */
import { requireArgument } from '../errors.js'
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
  readonly #compare: Compare<unknown>

  constructor(bounds: readonly unknown[], compare: Compare<unknown>) {
    this.bounds = bounds
    this.#compare = compare
  }

  get partitions(): number {
    return this.bounds.length + 1
  }

  partitionOf(key: unknown): number {
    let low = 0
    let high = this.bounds.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(key, this.bounds[middle]) <= 0) high = middle
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
