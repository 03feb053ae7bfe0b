/** @sluice/source-socket: text lines, or records of any format, from a TCP or TLS server. */
export { socketStream, socketTextStream } from './socket-stream.js'
export type { ReceiverStreams } from './socket-stream.js'
export { socketReceiver } from './socket-receiver.js'
export { lineDecoder } from './line-decoder.js'
export { sequencedLineDecoder } from './sequenced-lines.js'
export type {
  Decoder,
  DecoderContext,
  DecoderFactory,
  Packed,
  Packer,
  Packing,
  Resuming,
  ResumingDecoder,
} from './decoder.js'
export type {
  InputStreamOptions,
  LineDecoderOptions,
  LongLinePolicy,
  ReconnectOptions,
  SocketOptions,
  SocketReceiverOptions,
  SocketStreamOptions,
  SocketTextStreamOptions,
} from './socket-stream.config.js'
