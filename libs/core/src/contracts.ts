/// <reference types="node" preserve="true" />
/** The contracts that connectors implement or use: types only. */
export type { Executor, ExecutorServices } from './executor/executor.js'
export type { Decoder, DecoderContext, DecoderFactory } from './input/decoder.js'
export type { InputContext, InputPlan, InputSource } from './input/input.js'
export type { OffsetStore, OffsetStoreContext, StreamOffsets } from './input/offset-store.js'
export type { PackedOptions, Receiver, ReceiverContext, SourcePosition } from './input/receiver.js'
export type { Logger } from './observe/logger.js'
export type {
  BatchId,
  BatchPartitionId,
  PlannedOffsets,
  Rejected,
  Sink,
  SinkContext,
  SinkGuarantee,
  WriteContext,
} from './sink/sink.js'
export type {
  AppendFile,
  ByteRange,
  DirectoryEntry,
  FileStat,
  FileSystem,
  FileSystemSupport,
} from './storage/file-system.js'
export type { Clock } from './time/clock.js'
