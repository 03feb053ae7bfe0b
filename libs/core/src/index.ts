/// <reference types="node" preserve="true" />
/** @sluice/core: micro-batch stream processing, without connectors. The reference: declarations have types of Node.js, which not every project includes. */
export { StreamingContext, type StreamingContextOptions, type StreamingState } from './context/streaming-context.js'
export { SluiceContext, type SluiceContextOptions } from './context/sluice-context.js'
export type {
  DStream,
  MapWithStateDStream,
  MapWithStateOptions,
  StateOptions,
  UpdateStateOptions,
  ReduceWindowOptions,
  TransformOptions,
  WindowOptions,
} from './dstream/dstream.js'
export { isSluiceError, SluiceError, type ErrorCode, type SluiceErrorOptions } from './errors.js'
export { localExecutor, type LocalExecutorOptions } from './executor/local-executor.js'
export {
  workerExecutor,
  type WorkerExecutor,
  type WorkerExecutorOptions,
  type WorkerExecutorStats,
} from './executor/worker-executor.js'
export type { ReceiverStreamOptions } from './input/receiver-stream.js'
export type { PlannedFile } from './input/file-names.js'
export type { FileStreamOptions } from './input/file-source.js'
export type { FileReader } from './context/stream-inputs.js'
export type { QueueOptions } from './input/queue-source.js'
export {
  chunk,
  fromReadable,
  type AnyReceiver,
  type ReadableReceiverOptions,
  type ReceiverFunction,
  type RecordSource,
} from './input/receiver-forms.js'
export { statsReportListener } from './observe/stats-report.js'
export { consoleLogger, type LogLevel } from './observe/logger.js'
export { formatRecord } from './observe/format.js'
export type {
  BatchInfo,
  InputInfo,
  OutputInfo,
  ReceiverInfo,
  ResumeInfo,
  StreamingListener,
} from './observe/listener.js'
export type { Accumulator } from './rdd/accumulator.js'
export type { Broadcast } from './rdd/broadcast.js'
export { unpackLines } from './rdd/engine-functions.js'
export { task } from './rdd/functions.js'
export type { Compare } from './rdd/order.js'
export { hashPartitioner, rangePartitioner } from './rdd/partitioner.js'
export type { Combiner, MapPartitionsOptions, Rdd, SampleOptions, SortOptions } from './rdd/rdd.js'
export type { Stats } from './rdd/stats.js'
export {
  pair,
  type KeyOf,
  type OpOptions,
  type Pair,
  type Partitioner,
  type PartitionInfo,
  type Rec,
  type ShuffleOptions,
  type StorageLevel,
  type ValueOf,
} from './rdd/types.js'
export type { BackpressureOptions } from './scheduler/rate-controller.js'
export type { PidOptions } from './scheduler/pid-estimator.js'
export { collectChunks, type OutputOptions, type RetryOptions } from './sink/sink.js'
export type { FolderSinkOptions } from './sink/folder-sink.js'
export { objectFileSink } from './sink/object-file-sink.js'
export { textFileSink, type TextFileSinkOptions } from './sink/text-file-sink.js'
export type { State } from './state/map-with-state.js'
export { countLines } from './storage/lines.js'
export type { SchemeFileSystem } from './storage/paths.js'
export { nodeFileSystem } from './storage/node-file-system.js'
export { abortReason, untilAborted } from './time/abort.js'
export {
  formatDuration,
  hours,
  milliseconds,
  minutes,
  seconds,
  type BatchTime,
  type Duration,
} from './time/duration.js'
export { newIdentity, seededRandom, seedOf, type Random } from './time/random.js'
export type { Host } from './storage/host.js'
export { endProcess, fateOf, ownProcess, type ProcessIdentity, type ProcessTable } from './storage/process-table.js'
export { systemClock } from './time/system-clock.js'
export type * from './contracts.js'
