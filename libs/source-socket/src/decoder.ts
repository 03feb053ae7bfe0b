/** The decoder contract: how the bytes of one connection become records. */
import type { Clock, SourcePosition } from '@sluice/core'

/** What a decoder gets from the connection that it is made for. */
export interface DecoderContext {
  readonly clock: Clock
  /** Tells listeners of a problem; receiving goes on. */
  report(message: string, error?: unknown): void
}

/**
 * Turns the bytes of one connection into records.
 *
 * The receiver makes one decoder for each connection and calls `write` with every chunk in the order of arrival, never
 * two at a time, and only after the records of the one before are stored. Where the network cuts the bytes into chunks
 * means nothing: a decoder keeps what is incomplete. Then it calls either `end` or `drop`, once.
 *
 * All calls are synchronous and hold up the event loop: no waiting in them. A chunk belongs to the decoder, which may keep
 * it or parts of it; a returned array belongs to the receiver, so it must be a new one each time. If `write` or `end`
 * throws, what it had decoded from that chunk is lost; the connection is dropped and made anew. To keep the records before
 * the damage, return them and set `failure`.
 */
export interface Decoder<out T> {
  /** Takes the next bytes, returns the records that they complete. */
  write(chunk: Buffer): readonly T[]
  /** The sender ended the stream cleanly. Returns the last records. */
  end(): readonly T[]
  /** The connection is gone in the middle: gives up what is incomplete and returns its number of bytes. Default: nothing. */
  drop?(): number
  /** Why decoding cannot go on. Read after `write` and `end`; what they returned is stored first. */
  readonly failure?: Error | undefined
}

/** Whole records that are still bytes. */
export interface Packed {
  /** Belongs to the receiver from then on. */
  readonly bytes: Uint8Array
  /** How many records they are. */
  readonly records: number
}

/**
 * Takes the bytes of one connection to where a record ends, and makes no records of them: that is done by the task that reads
 * them. Its methods are called as those of a {@link Decoder}.
 */
export interface Packer {
  /** The chunk, and parts of it, may be kept. What is returned is in order. */
  write(chunk: Buffer): readonly Packed[]
  end(): readonly Packed[]
  drop?(): number
  readonly failure?: Error | undefined
}

/** Decoding in two steps: see `storePacked` and `unpack` of core's receivers. */
export interface Packing<out T> {
  /** Makes the packer of a new connection. */
  packer(context: DecoderContext): Packer
  readonly unpack: (bytes: Uint8Array) => readonly T[]
  /**
   * Whether bytes are only borrowed: the packer keeps no part of a chunk but in what `write` returns, and records of `unpack` hold
   * no part of theirs. Then buffers are used again when their batch is done, which costs less. Default: false.
   */
  readonly borrows?: boolean | undefined
}

/** A decoder of a server that can go on from a position. */
export interface ResumingDecoder<out T> extends Decoder<T> {
  /** Of the last record returned so far. Read after `write` and `end`; stored together with what they returned (E14). */
  readonly position: SourcePosition
  /** Whether the server has said that there is no more. If not, its end is taken for a break, and `onEnd: 'stop'` connects again. */
  readonly isComplete: boolean
}

/** Going on where the last connection ended, also that of an earlier process. */
export interface Resuming<out T> {
  /** What the server is told when the connection stands: that it is to go on above `position`, which is empty at first. */
  greeting(position: SourcePosition): string
  decoder(context: DecoderContext, position: SourcePosition): ResumingDecoder<T>
}

/** Makes the decoder of a new connection. */
export interface DecoderFactory<out T> {
  (context: DecoderContext): Decoder<T>
  /** Used in place of the decoder where it is there. */
  readonly resuming?: Resuming<T> | undefined
  /** Used in place of the decoder where it is there: records wait for their batch as bytes, which costs much less. */
  readonly packing?: Packing<T> | undefined
}
