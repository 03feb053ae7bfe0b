/**
 * The one error class of Sluice and the closed list of its codes.
 *
 * A message reads `[component] problem; remedy`. Programs compare `code`, people read the message.
 */

/** Every code that Sluice can throw. The documentation lists each with its remedy. */
export type ErrorCode =
  | 'ABORTED'
  | 'ACTION_OUTSIDE_BATCH'
  | 'ARGUMENT_INVALID'
  | 'ASYNC_FUNCTION'
  | 'BATCH_FAILED'
  | 'BROKER_REFUSED'
  | 'CHECKPOINT_CHANGED'
  | 'CHECKPOINT_OWNED'
  | 'CHECKPOINT_UNAVAILABLE'
  | 'CODEC_MISSING'
  | 'CONNECTION_FAILED'
  | 'CONTRACT_VERSION'
  | 'DATA_CORRUPT'
  | 'EMPTY_COLLECTION'
  | 'FILE_EXISTS'
  | 'FILE_NOT_FOUND'
  | 'FILE_SYSTEM_FAILED'
  | 'FILE_SYSTEM_UNKNOWN'
  | 'FILE_SYSTEM_UNSUPPORTED'
  | 'FILE_CHANGED'
  | 'FENCED'
  | 'FROZEN_VALUE'
  | 'GRAPH_CHANGED_AFTER_START'
  | 'GRAPH_INVALID'
  | 'IDENTITY_CONFLICT'
  | 'INPUT_MISSING'
  | 'KEY_INVALID'
  | 'LINE_TOO_LONG'
  | 'LOG_BEHIND_SINK'
  | 'NAME_REQUIRED'
  | 'OFFSETS_LOST'
  | 'OUTPUT_EXISTS'
  | 'OUTPUT_FAILED'
  | 'PAIR_EXPECTED'
  | 'RDD_DROPPED'
  | 'RDD_MISSING'
  | 'RECEIVER_FAILED'
  | 'RECORD_REJECTED'
  | 'RECORD_UNDECODABLE'
  | 'SIMULATION_FAILED'
  | 'STATE_INVALID'
  | 'STOPPED'
  | 'TASK_FAILED'
  | 'TASK_NOT_REGISTERED'
  | 'TIMEOUT'
  | 'UNSERIALIZABLE'
  | 'USER_FUNCTION_FAILED'
  | 'WORKER_FAILED'

export interface SluiceErrorOptions {
  /** Stable code, to be compared by programs. */
  readonly code: ErrorCode
  /** Who says it: a package or an operator, e.g. `source-socket` or `reduceByKey-0`. */
  readonly component: string
  /** What is wrong, and after a semicolon what to do about it. */
  readonly message: string
  /** Whether trying the same again later can succeed. Default: false. */
  readonly retryable?: boolean | undefined
  readonly cause?: unknown
}

/** What every failure of Sluice is thrown as. Across packages use {@link isSluiceError}, not `instanceof`. */
export class SluiceError extends Error {
  readonly '~sluice' = 'error/1'
  readonly code: ErrorCode
  readonly component: string
  readonly retryable: boolean

  constructor(options: SluiceErrorOptions) {
    super(
      `[${options.component}] ${options.message}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'SluiceError'
    this.code = options.code
    this.component = options.component
    this.retryable = options.retryable ?? false
  }
}

/** True for an error of Sluice, also one thrown by another copy of this package; with `code`, only for that code. */
export function isSluiceError(error: unknown, code?: ErrorCode): error is SluiceError {
  if (typeof error !== 'object' || error === null) return false
  const candidate = error as { '~sluice'?: unknown; code?: unknown }
  return candidate['~sluice'] === 'error/1' && (code === undefined || candidate.code === code)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message
  try {
    return String(error)
  } catch {
    // An object without a text form, e.g. without prototype.
    return Object.prototype.toString.call(error)
  }
}

/** Any thrown value as an `Error`, itself where it is one. */
export function toError(error: unknown): Error {
  return error instanceof Error
    ? error
    : new Error(`a value that is no Error was thrown: ${messageOf(error)}`, { cause: error })
}

/** Throws `ARGUMENT_INVALID` unless `condition` holds. */
export function requireArgument(condition: boolean, component: string, message: string): asserts condition {
  if (!condition) throw new SluiceError({ code: 'ARGUMENT_INVALID', component, message })
}
