/** The write-ahead log as receivers see it: what they store is in it before `store` resolves (E14). */
import type { SourcePosition } from './receiver.js'

export interface ReceivedJournal {
  /** Resolves with the entry's sequence when the records are durable; rejects when the disk fails, and ever after. */
  received(
    input: string,
    block: string,
    records: readonly unknown[],
    position: SourcePosition | undefined,
  ): Promise<number>
  /** Blocks that nobody can ask for again. */
  release(blocks: Iterable<string>): void
}
