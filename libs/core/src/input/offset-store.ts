/**
 * Where the offsets of a source are kept outside of the batch log: for applications without a checkpoint, and for tools that
 * watch the lag. The Kafka group of a consumer is one; a table is another.
 */
import type { Clock } from '../time/clock.js'
import type { Logger } from '../observe/logger.js'

/** By partition of the source, e.g. `orders-3`: where reading goes on, as text that only the source understands. */
export type StreamOffsets = Readonly<Record<string, string>>

export interface OffsetStoreContext {
  /** The label of the application. Offsets are kept by it and by stream. */
  readonly appName: string
  readonly logger: Logger
  readonly clock: Clock
  /** Aborted when the application stops at once. */
  readonly signal: AbortSignal
}

/**
 * A source calls `open` when it starts, then `load` for its stream, `store` after batches that are committed, and `close` at the
 * end, also after an `open` that rejected. It never calls `store` while another `store` of the same stream runs.
 *
 * What is stored follows the data: when the process dies between a batch and its `store`, the next one without a checkpoint reads
 * that batch again. At least once, therefore, and never less.
 */
export interface OffsetStore {
  readonly '~sluice': 'offset-store/1'
  /** For messages. */
  readonly name: string
  open?(context: OffsetStoreContext): Promise<void>
  /** What was stored last; nothing at all where the stream is not known. Partitions may be missing. */
  load(stream: string): Promise<StreamOffsets>
  /**
   * Keeps the offsets of the partitions given; others stay as they are. Rejects with `FENCED` when it can tell that another run of the application
   * has stored meanwhile.
   */
  store(stream: string, offsets: StreamOffsets): Promise<void>
  close?(): Promise<void>
}
