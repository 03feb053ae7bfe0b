/** Errors as this package throws them. */
import { SluiceError, type ErrorCode } from '@sluice/core'

interface Details {
  readonly cause?: unknown
  readonly retryable?: boolean
}

/** An error that this component throws. */
export type Fail = (code: ErrorCode, message: string, details?: Details) => SluiceError

export function failureOf(component: string): Fail {
  return (code, message, { cause, retryable } = {}) =>
    new SluiceError({ code, component, message, cause, retryable: retryable ?? false })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** Throws `ARGUMENT_INVALID` unless `condition` holds. */
export function requireThat(condition: boolean, component: string, message: string): asserts condition {
  if (!condition) throw failureOf(component)('ARGUMENT_INVALID', message)
}
