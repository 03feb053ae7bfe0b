/// <reference types="node" preserve="true" />
/** @sluice/core/testing: what tests of applications and connectors need. */
export type {
  EntryLog,
  InspectLog,
  LogEntry,
  LogLocation,
  LogOptions,
  LogReport,
  OnEntry,
  OpenLog,
} from './checkpoint/entry-log.js'
export { inspectEntryLog, openEntryLog } from './checkpoint/open-log.js'
export { absent } from './input/queue-source.js'
export { receiverOf } from './input/receiver-forms.js'
export { memoryFileSystem, type MemoryFileSystemOptions } from './storage/memory-file-system.js'
export {
  crashableFileSystem,
  type CrashableFileSystem,
  type CrashableOptions,
  type DiskCall,
  type Survival,
} from './testing/crashable-file-system.js'
export { LedgerStore, type StoredRow } from './testing/ledger-store.js'
export {
  Collector,
  runBatches,
  type Batches,
  type Collected,
  type CollectedRecords,
  type CollectedStreams,
  type RunBatchesOptions,
  type Script,
} from './testing/run-batches.js'
export { ManualClock } from './time/manual-clock.js'
