/** Streams from a socket: `socketTextStream` for lines, `socketStream` with a decoder of one's own. */
import type { DStream, Receiver } from '@sluice/core'
import { lineDecoder } from './line-decoder.js'
import { sequencedLineDecoder } from './sequenced-lines.js'
import { socketReceiver } from './socket-receiver.js'
import type { InputStreamOptions, SocketStreamOptions, SocketTextStreamOptions } from './socket-stream.config.js'

/** The one method of a `StreamingContext` that is used here. */
export interface ReceiverStreams {
  receiverStream<T>(receiver: Receiver<T>, options?: InputStreamOptions): DStream<T>
}

/**
 * The lines of UTF-8 text that a TCP server sends, e.g. `nc -lk 9999`. Connects again when the connection ends or breaks.
 * Throws `ARGUMENT_INVALID`. After Spark's `socketTextStream`.
 */
export function socketTextStream(ssc: ReceiverStreams, options: SocketTextStreamOptions): DStream<string> {
  const decode = options.sequenced === true ? sequencedLineDecoder(options) : lineDecoder(options)
  return socketStream(ssc, { ...options, decode })
}

/** The records that `decode` makes of the bytes a TCP server sends. Throws `ARGUMENT_INVALID`. After Spark's `socketStream`. */
export function socketStream<T>(ssc: ReceiverStreams, options: SocketStreamOptions<T>): DStream<T> {
  const { name, storageLevel, reliable, blockInterval, maxHeldBytes, maxRate } = options
  const streamOptions = { name, storageLevel, reliable, blockInterval, maxHeldBytes, maxRate }
  return ssc.receiverStream(socketReceiver(options), streamOptions)
}
