/** Listeners: what an application can learn of its own running. Spark's events, by the same names. */
import { messageOf } from '../errors.js'
import type { BatchTime } from '../time/duration.js'
import type { Logger } from './logger.js'

export interface ReceiverInfo {
  readonly streamId: number
  readonly name: string
  /** Index of the receiver in its stream, from 0. */
  readonly receiver: number
  readonly active: boolean
  /** How often it has been started. */
  readonly starts: number
  readonly lastErrorMessage: string | undefined
  readonly lastError: unknown
  /** When that was, in ms since the epoch. */
  readonly lastErrorMs: number | undefined
}

/** What one input gave to a batch. */
export interface InputInfo {
  readonly streamId: number
  readonly name: string
  readonly records: number
  readonly description: string | undefined
}

export interface OutputInfo {
  readonly batchTime: BatchTime
  /** Index in order of registration, from 0. */
  readonly index: number
  /** Stable id of the output. */
  readonly id: string
  /** Milliseconds since the epoch; undefined before it happened. */
  readonly startedMs: number | undefined
  readonly endedMs: number | undefined
  readonly error: unknown
}

export interface BatchInfo {
  readonly batchTime: BatchTime
  readonly inputs: readonly InputInfo[]
  /** Records of all inputs. */
  readonly records: number
  /** When the batch was planned, started and ended, in ms since the epoch. */
  readonly submittedMs: number
  readonly startedMs: number | undefined
  readonly endedMs: number | undefined
  /** From planned to started. */
  readonly schedulingDelayMs: number | undefined
  /** From started to ended. */
  readonly processingDelayMs: number | undefined
  readonly totalDelayMs: number | undefined
  readonly outputs: readonly OutputInfo[]
}

export interface ResumeInfo {
  /** Time of the last committed batch; undefined when there was none. */
  readonly lastCommitted: BatchTime | undefined
  /** Batches that were planned and not committed: they run again. */
  readonly batches: number
  /** Keys in all states. */
  readonly keys: number
}

/**
 * Any of these may be there. They are called in the order of events; what they throw, or reject with, is logged, not passed
 * on. Nothing waits for a promise that they return.
 */
export interface StreamingListener {
  onStreamingStarted?(event: { readonly timeMs: number }): void
  onStreamingStopped?(event: { readonly timeMs: number; readonly error: unknown }): void
  /** An application goes on from its checkpoint; before `onStreamingStarted`. */
  onStreamingResumed?(event: ResumeInfo): void
  /** Records of batches that run again are gone, as their input cannot give them again: they count as none (E15). */
  onInputLost?(event: { readonly streamId: number; readonly name: string; readonly records: number }): void
  onReceiverStarted?(info: ReceiverInfo): void
  onReceiverError?(info: ReceiverInfo): void
  onReceiverStopped?(info: ReceiverInfo): void
  onBatchSubmitted?(info: BatchInfo): void
  onBatchStarted?(info: BatchInfo): void
  onBatchCompleted?(info: BatchInfo): void
  /** The batch stays uncommitted and the context stops. */
  onBatchFailed?(info: BatchInfo & { readonly error: unknown }): void
  onOutputStarted?(info: OutputInfo): void
  onOutputCompleted?(info: OutputInfo): void
}

type Events = { [E in keyof StreamingListener]-?: Parameters<NonNullable<StreamingListener[E]>>[0] }

/** Hands events to listeners. */
export class ListenerBus {
  readonly #listeners = new Set<StreamingListener>()
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(listener: StreamingListener): void {
    this.#listeners.add(listener)
  }

  remove(listener: StreamingListener): void {
    this.#listeners.delete(listener)
  }

  post<E extends keyof Events>(event: E, info: Events[E]): void {
    for (const listener of [...this.#listeners]) {
      try {
        const returned = (listener[event] as ((info: Events[E]) => unknown) | undefined)?.call(listener, info)
        if (returned instanceof Promise) returned.catch((error: unknown) => this.#failed(event, error))
      } catch (error) {
        this.#failed(event, error)
      }
    }
  }

  #failed(event: keyof Events, error: unknown): void {
    this.#logger.error(`[listener] ${event} threw: ${messageOf(error)}`)
  }
}
