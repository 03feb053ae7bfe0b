/** The write-ahead log as receivers see it: what they store is in it before `store` resolves (E14). */
import type { SourcePosition } from './receiver.js'

/** Records of one block, or a part of them. */
export interface ReceivedPiece {
  readonly block: string
  readonly records: readonly unknown[]
  /** Of the last of the records. */
  readonly position: SourcePosition | undefined
  /** How many records there are, where `records` are bytes to be unpacked. */
  readonly packed: number | undefined
}

export interface ReceivedJournal {
  /** Resolves with the entry's sequence when the records are durable; rejects when the disk fails, and ever after. */
  received(input: string, piece: ReceivedPiece): Promise<number>
  /** Resolves while this process owns the log; only then is what is durable also kept by the next owner (E7). */
  confirm(): Promise<void>
  /** Blocks that nobody can ask for again. */
  release(blocks: Iterable<string>): void
}
