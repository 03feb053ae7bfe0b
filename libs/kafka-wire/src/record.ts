/** Records as connectors get them: in chunks, decoded while one goes through them. */

export interface RecordHeader {
  readonly name: string
  /** In a buffer of its own. */
  readonly value: Buffer | null
}

/**
 * Stands before the first record at first. What its properties give is decoded when they are read, and belongs to the
 * record of the last `next`.
 */
export interface RecordCursor {
  /** Goes to the next record; false behind the last one. Throws `DATA_CORRUPT`, or `CODEC_MISSING`. */
  next(): boolean
  readonly offset: bigint
  readonly timestampMs: number
  /** A view into the bytes of the whole batch, which it keeps in memory: copy what is kept for long. */
  readonly key: Buffer | null
  /** A view, as `key`. */
  readonly value: Buffer | null
  /** The key in a buffer of its own. */
  readonly keyCopy: Buffer | null
  /** The value in a buffer of its own. */
  readonly valueCopy: Buffer | null
  /** The key as UTF-8 text, with bytes that are none as U+FFFD. Keeps nothing else in memory. */
  readonly keyText: string | null
  /** The value as text, as `keyText`. */
  readonly valueText: string | null
  /** In the order in which they were written; names may repeat. */
  readonly headers: readonly RecordHeader[]
}

/**
 * A chunk of `readRange` is over when the next one is asked for: its memory is used again then, unless a view into it was handed out
 * (`key`, `value`), and it throws `ARGUMENT_INVALID` when it is read on.
 */
export interface RecordChunk {
  readonly topic: string
  readonly partition: number
  /** Where reading goes on after this chunk: above its last record, and above what was left out behind that. */
  readonly position: bigint
  /** Bytes as they came, compressed. Batches are decompressed one at a time. */
  readonly sizeBytes: number
  /**
   * How many records the chunk holds, from the headers of its batches: neither control records nor aborted ones count.
   * Decodes only batches that the range cuts.
   */
  count(): number
  /** A new cursor over all of them. */
  records(): RecordCursor
  /** The chunk as bytes that hold nothing else in memory; `unpackChunks` makes a chunk of them again. */
  pack(): Buffer
}
