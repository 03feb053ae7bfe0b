/** How far the source of a stream has been read, by its partitions (E14). Shared by the receivers of the stream. */
import type { SourcePosition } from './receiver.js'

export class Positions {
  readonly #taken = new Map<string, bigint>()
  readonly #safe = new Map<string, bigint>()

  /** Where the next batch ends, once all that was taken is safe. */
  get taken(): SourcePosition {
    return Object.fromEntries(this.#taken)
  }

  /** Nothing up to here can fail any more. */
  get safe(): SourcePosition {
    return Object.fromEntries(this.#safe)
  }

  /** Records up to here are under way to the write-ahead log, or in it. */
  take(position: SourcePosition): void {
    for (const [partition, last] of Object.entries(position)) this.#taken.set(partition, last)
  }

  /** They are in it, or there is none. */
  settle(position: SourcePosition): void {
    for (const [partition, last] of Object.entries(position)) raise(this.#safe, partition, last)
  }

  /** As it stands in the log. */
  resume(positions: Iterable<readonly [partition: string, last: bigint]>): void {
    for (const [partition, last] of positions) {
      raise(this.#taken, partition, last)
      raise(this.#safe, partition, last)
    }
  }

  /** Whether all records up to here were taken before. */
  has(position: SourcePosition): boolean {
    return Object.entries(position).every(([partition, last]) => last <= (this.#taken.get(partition) ?? -Infinity))
  }
}

/** Receivers may be told in another order than they stored. */
function raise(positions: Map<string, bigint>, partition: string, last: bigint): void {
  if (last > (positions.get(partition) ?? -Infinity)) positions.set(partition, last)
}
