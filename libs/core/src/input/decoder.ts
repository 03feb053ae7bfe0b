/** The decoder contract: how the bytes of one stream become records. That of `@sluice/source-socket` is the same. */
import type { Clock } from '../time/clock.js'

/** What a decoder gets from the run that it is made for. */
export interface DecoderContext {
  readonly clock: Clock
  /** Tells listeners of a problem; receiving goes on. */
  report(message: string, error?: unknown): void
}

/**
 * Turns the bytes of one stream into records. One is made for each run; `write` gets every chunk in order, one at a time, and
 * only after the records of the one before are stored. Where the stream cuts its bytes into chunks means nothing: a decoder
 * keeps what is incomplete. Then either `end` or `drop` is called, once.
 *
 * All calls are synchronous: no waiting in them. A returned array belongs to the engine. When `write` or `end` throws, what it
 * had decoded from that chunk is lost and the receiver is started anew; to keep the records before the damage, return them
 * and set `failure`.
 */
export interface Decoder<out T> {
  /** Takes the next bytes, returns the records that they complete. */
  write(chunk: Buffer): readonly T[]
  /** The stream ended cleanly. Returns the last records. */
  end(): readonly T[]
  /** The stream broke off: gives up what is incomplete and returns its number of bytes. Default: nothing. */
  drop?(): number
  /** Why decoding cannot go on. Read after `write` and `end`; what they returned is stored first. */
  readonly failure?: Error | undefined
}

/** Makes the decoder of a new run. */
export type DecoderFactory<T> = (context: DecoderContext) => Decoder<T>
