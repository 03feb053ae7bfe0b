/** Errors as this package throws them. */
import { SluiceError, type ErrorCode } from '@sluice/core'

const COMPONENT = 'sink-sql'

export function sqlError(
  code: ErrorCode,
  message: string,
  { cause, retryable }: { readonly cause?: unknown; readonly retryable?: boolean } = {},
): SluiceError {
  return new SluiceError({ code, component: COMPONENT, message, cause, retryable })
}

export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw sqlError('ARGUMENT_INVALID', message)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
