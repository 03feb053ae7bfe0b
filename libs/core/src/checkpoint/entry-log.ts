/**
 * The log under everything that must outlive the process: entries in order, each durable before its promise resolves. What
 * the entries mean is for those who write them; here they are bytes with a type. Two layouts keep the same promises:
 * segments that grow, where a file system can append (`segment-log.ts`), and immutable objects elsewhere (`object-log.ts`).
 */
import type { Logger } from '../observe/logger.js'
import type { FileSystem } from '../storage/file-system.js'

/** One entry as it is read back. */
export interface LogEntry {
  /**
   * Counts up by one from entry to entry of one owner, over all segments. A new owner goes on above everything it has seen,
   * which may leave some out; none that was acknowledged is used twice.
   */
  readonly sequence: number
  /** 1 to 255; what it says is up to the writer. */
  readonly type: number
  /** Of the owner who wrote it. */
  readonly epoch: number
  readonly payload: Uint8Array
}

export interface LogLocation {
  readonly fileSystem: FileSystem
  /** Made where it is missing. */
  readonly folder: string
}

export interface LogOptions extends LogLocation {
  /** Epoch of this owner; above that of every entry in the log. */
  readonly epoch: number
  readonly logger: Logger
  /** A segment that has grown to this is followed by a new one. Default: 64 MiB. */
  readonly segmentBytes?: number | undefined
  /** Identity of this owner, random: in the object layout an owner knows its own objects by it. Default: a new one. */
  readonly writer?: string | undefined
}

/** A log open for writing by its only owner. After the first failed write or sync every call rejects with that failure (E17). */
export interface EntryLog {
  /** Sequence that the next entry will get. */
  readonly nextSequence: number
  /** Syncs and bytes so far, for measuring. */
  readonly statistics: { readonly syncs: number; readonly bytes: number; readonly entries: number }
  /**
   * Adds an entry; resolves with its sequence when it, and all before it, are durable. What is appended while a sync is under way
   * shares the next one. The payload must not change until then. At most 2 GiB.
   */
  append(type: number, payload: Uint8Array): Promise<number>
  /**
   * Adds an entry for whose durability nobody waits: it becomes durable with the next appended entry, or at `close`. The payload
   * must not change until then. Throws what `append` would reject with.
   */
  note(type: number, payload: Uint8Array): number
  /**
   * Forgets entries below `sequence`, as far as they stand alone: a segment goes when all of it may go. Some below may be read
   * again: the reader passes over them.
   */
  trim(sequence: number): Promise<void>
  /** Writes and syncs what is noted, then closes. Idempotent. Afterwards every call rejects with `STOPPED`. */
  close(): Promise<void>
}

/** Called for each surviving entry, in order; the next is read when it resolves. The payload may be kept. */
export type OnEntry = (entry: LogEntry) => void | Promise<void>

/**
 * Reads every entry, cuts a torn tail, and resolves with the log ready for more. Every entry that was given to `onEntry` is
 * durable then. Rejects with `DATA_CORRUPT`, naming file and offset, where something durable was damaged (E17), and with `FENCED`
 * where an owner of this or a newer epoch has written (E7).
 */
export type OpenLog = (options: LogOptions, onEntry: OnEntry) => Promise<EntryLog>

/** Read-only look at a log, for tools: every frame is read, nothing is changed. */
export interface LogReport {
  readonly entries: number
  readonly bytes: number
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
  /** Where and what is damaged; undefined for a sound log. A torn tail is no damage. */
  readonly damage: { readonly file: string; readonly offset: number; readonly reason: string } | undefined
  /** Bytes of a torn tail, which the next owner cuts. */
  readonly tornBytes: number
}

export type InspectLog = (location: LogLocation, onEntry?: OnEntry) => Promise<LogReport>
