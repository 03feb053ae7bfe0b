/** What driver and worker threads say to each other, over a port of their own. Data goes as bytes, never as live objects. */
import type { MessagePort } from 'node:worker_threads'
import type { StorageLevel } from '../rdd/types.js'
import type { StageMode } from '../rdd/compile.js'
import type { ErrorData } from './task-codec-errors.js'

export type Bytes = Uint8Array<ArrayBuffer>

/** What a worker is started with. */
export interface WorkerStart {
  readonly '~sluice': 'worker-start/1'
  readonly port: MessagePort
  /** URL of the app's module. */
  readonly app: string
  readonly stages: StageMode | undefined
  /** For spills; the driver removes it when the worker has ended, however it did. */
  readonly folder: string
  /** Broadcasts made so far, so that the module may read them while it loads. */
  readonly broadcasts: readonly BroadcastMessage[]
}

/** The value's bytes, or why there are none. */
export interface BroadcastMessage {
  readonly kind: 'broadcast'
  readonly name: string
  readonly bytes: Uint8Array | ErrorData
}

export interface TaskMessage {
  readonly kind: 'task'
  readonly task: number
  /** An encoded `TaskHeader`. */
  readonly header: Bytes
  readonly chunks: readonly Uint8Array[]
}

/** A block that the worker sent is in the driver's store; with `error`, it could not be put there. */
export interface StoredMessage {
  readonly kind: 'stored'
  readonly put: number
  readonly error?: ErrorData
}

export type ToWorker = BroadcastMessage | TaskMessage | StoredMessage

/** Name and hash of the source of each function that the app registered. */
export type Fingerprint = readonly (readonly [name: string, hash: string])[]

interface ReadyMessage {
  readonly kind: 'ready'
  readonly functions: Fingerprint
}

/** The app's module cannot be loaded. */
interface RefusedMessage {
  readonly kind: 'refused'
  readonly error: ErrorData
}

/** A block of the running task, encoded. */
export interface Block {
  readonly id: string
  readonly level: StorageLevel
  readonly chunks: readonly Bytes[]
}

/** A block of a shuffle's output. Nobody reads it before the task has succeeded. */
export interface PutMessage {
  readonly kind: 'put'
  readonly task: number
  readonly put: number
  readonly block: Block
}

export interface DoneMessage {
  readonly kind: 'done'
  readonly task: number
  /** One encoded value; with `many`, the chunks of an array. */
  readonly result: readonly Bytes[]
  readonly many: boolean
  /** Partitions to keep, visible from now on. */
  readonly kept: readonly Block[]
  /** What was added to accumulators, in chunks. */
  readonly added: readonly Bytes[]
}

interface FailedMessage {
  readonly kind: 'failed'
  readonly task: number
  readonly error: ErrorData
}

export type ToDriver = ReadyMessage | RefusedMessage | PutMessage | DoneMessage | FailedMessage
