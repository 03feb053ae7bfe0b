/** Up to where the records of partitions are safe, so that the group may be told. */
import type { BatchTime, Clock } from '@sluice/core'

interface Stored {
  readonly position: bigint
  readonly atMs: number
}

/**
 * With a write-ahead log what is stored is safe. Without one it is when a batch that holds it is done: batches follow each other, so all
 * that was stored before the time of a batch that is done is in that one or one before.
 */
export class Progress {
  readonly #isReliable: boolean
  readonly #safe = new Map<string, bigint>()
  readonly #waiting = new Map<string, Stored[]>()

  constructor(isReliable: boolean) {
    this.#isReliable = isReliable
  }

  /** The partition's records below `position` have been stored, or it begins there. */
  stored(partition: string, position: bigint, clock: Clock): void {
    if (this.#isReliable) {
      this.begins(partition, position)
      return
    }
    const waiting = this.#waiting.get(partition) ?? []
    this.#waiting.set(partition, waiting)
    const atMs = clock.now()
    if (waiting.at(-1)?.atMs === atMs) waiting.pop()
    waiting.push({ position, atMs })
  }

  /** What is below `position` is safe: others have committed it, or it is left out. */
  begins(partition: string, position: bigint): void {
    if (position > (this.#safe.get(partition) ?? -1n)) this.#safe.set(partition, position)
  }

  batchDone(time: BatchTime): void {
    for (const [partition, waiting] of this.#waiting) {
      const done = waiting.findLastIndex(({ atMs }) => atMs < time)
      const last = waiting[done]
      if (last === undefined) continue
      this.begins(partition, last.position)
      waiting.splice(0, done + 1)
    }
  }

  safe(partition: string): bigint | undefined {
    return this.#safe.get(partition)
  }
}
