/** A source of scripted batches, for tests and examples. It cannot be read again after a restart. */
import type { InputSource } from './input.js'

export interface QueueOptions {
  readonly name?: string | undefined
  /** One element of the queue for each batch; else all that there are. Default: true. */
  readonly oneAtATime?: boolean | undefined
  /** Partitions of a batch. Default: 1. */
  readonly partitions?: number | undefined
}

/** Stands in a queue for a batch without RDD, as a stream with a longer slide has them. An empty array is a batch without records. */
export const absent = Symbol('absent')

interface QueuePlan {
  readonly first: number
  readonly count: number
}

/** Each element of `queue` becomes a batch; when it is used up, batches are empty. More may be pushed while it runs. */
export function queueSource<T>(
  queue: readonly (readonly T[] | typeof absent)[],
  options: QueueOptions = {},
): InputSource<T, QueuePlan> {
  let next = 0
  const partitions = options.partitions ?? 1
  return {
    '~sluice': 'input/1',
    name: options.name ?? 'queue',
    replayable: false,
    plan() {
      const first = next
      if (options.oneAtATime === false) next = queue.length
      else if (next < queue.length) next++
      const taken = queue.slice(first, next)
      const batches = taken.filter((batch) => batch !== absent)
      if (taken.length > 0 && batches.length === 0) return undefined
      return {
        data: { first, count: taken.length },
        records: batches.reduce((sum, records) => sum + records.length, 0),
      }
    },
    partitions({ first, count }) {
      const batches = queue.slice(first, first + count).filter((batch) => batch !== absent)
      const records = batches.length === 1 ? (batches[0] as readonly T[]) : batches.flat(1)
      return Array.from({ length: partitions }, (_, i) =>
        records.slice(
          Math.floor((i * records.length) / partitions),
          Math.floor(((i + 1) * records.length) / partitions),
        ),
      )
    },
    read: (partition: readonly T[]) => [partition],
  }
}
