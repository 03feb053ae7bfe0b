/**
 * The receiver contract: a push source. Three forms are accepted wherever a receiver is asked for: an object of this
 * shape, a function that returns an async iterable, or a function that returns a Node `Readable`.
 */
import type { Clock } from '../time/clock.js'
import type { Logger } from '../observe/logger.js'

/** How far a source has been read: for each of its partitions the last record's position (a sequence number, an offset). */
export type SourcePosition = Readonly<Record<string, bigint>>

export interface PackedOptions {
  /** How many records the bytes are: batches, listeners, rate limits and `count()` go by it. */
  readonly records: number
  readonly position?: SourcePosition | undefined
  /**
   * Told, at most once, that the engine does not read the bytes any more, so that they may be used again: when the batch after theirs
   * is committed and no window asks for them, or at once where they were copied. Not told after a failure, or where others may have got the bytes: leave them to
   * the garbage collector then. Only for an `unpack` whose records hold no part of the bytes. Must not throw.
   */
  readonly release?: (() => void) | undefined
}

/** What the engine hands to a receiver. Good for one run of the receiver: after a restart there is a new one. */
export interface ReceiverContext<in T> {
  /** Index of the input stream in its context, from 0. */
  readonly streamId: number
  readonly clock: Clock
  readonly logger: Logger
  /** Aborted when this run ends: by a stop of the application, by `stop` or by `restart`. */
  readonly signal: AbortSignal
  /** The position of the last record that is safe; empty at first. A source that can resume continues above it (E14). */
  readonly position: SourcePosition
  /**
   * Takes one record. Resolves when it is safe and there is room for more: awaiting it is the back-pressure. Rejects with
   * `STOPPED` when the record was not taken because the run has ended; it is then not counted as received.
   */
  store(record: T): Promise<void>
  /** Takes many records, in order and into one block, with the position of the last of them. Like `store`. The array is the engine's from then on. */
  storeAll(records: readonly T[], options?: { readonly position?: SourcePosition | undefined }): Promise<void>
  /**
   * Takes whole records as bytes, of which the receiver's `unpack` makes records when a batch reads them: much cheaper than
   * objects or strings that wait for their batch, and counted to the byte. Like `storeAll`; the bytes are the engine's from
   * then on. Rejects with `ARGUMENT_INVALID` when the receiver has no `unpack`.
   */
  storePacked(bytes: Uint8Array, options: PackedOptions): Promise<void>
  /** Tells listeners of a problem; receiving goes on. */
  report(message: string, error?: unknown): void
  /** Ends this run (`onStop` is called) and starts a new one after a delay. Default delay: the stream's back-off. */
  restart(message: string, error?: unknown, delayMs?: number): void
  /** Ends this receiver for good; what it stored is still processed. */
  stop(message?: string, error?: unknown): void
}

/**
 * A push source. `onStart` is called once for each run and resolves when receiving is set up; it must not wait for the
 * source's end. If it rejects, the run is restarted after a delay. `onStop` is called once after each `onStart`, also one
 * that failed, and must release everything. Neither is called while the other runs.
 */
export interface Receiver<out T> {
  readonly '~sluice': 'receiver/1'
  /** For messages and listeners, e.g. `socket localhost:9999`. */
  readonly name?: string | undefined
  /**
   * Makes records of what `storePacked` took, once in each task that reads it, so perhaps again and in another thread: it must
   * be synchronous, use no `this`, and always give the same. Short pieces may come joined, so that of two of them it must make
   * the records of the first and then those of the second. Tasks run in workers only where it is {@link unpackLines} or was
   * registered with `task(name, fn)`.
   */
  readonly unpack?: ((bytes: Uint8Array) => readonly T[]) | undefined
  onStart(context: ReceiverContext<T>): void | Promise<void>
  onStop(): void | Promise<void>
}
