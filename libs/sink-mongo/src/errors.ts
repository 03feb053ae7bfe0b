/** Errors as this package throws them: never with what a command carried, which may be a password or a record. */
import { SluiceError, type ErrorCode } from '@sluice/core'

const COMPONENT = 'sink-mongo'

export function mongoError(
  code: ErrorCode,
  message: string,
  { cause, retryable }: { readonly cause?: unknown; readonly retryable?: boolean } = {},
): SluiceError {
  return new SluiceError({ code, component: COMPONENT, message, cause: safeCause(cause), retryable })
}

export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw mongoError('ARGUMENT_INVALID', message)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The driver puts the operations on its errors, with the documents in them. */
function safeCause(cause: unknown): Error | undefined {
  if (cause === undefined) return undefined
  const error = new Error(safeText(messageOf(cause)))
  if (cause instanceof Error) error.name = cause.name
  return error
}

/** What the server says, without the values of a document that it may repeat. */
export function safeText(text: string): string {
  return text.replace(/\{.*\}/s, '{…}')
}

/** The server's number for what went wrong; undefined where it is not the server that says so. */
export function codeOf(error: unknown): number | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'number' ? code : undefined
}

export const DUPLICATE_KEY = 11_000

/**
 * The record's fault: bad value, unparsable, wrong type, no path, conflicting operators, field names, an immutable field, the
 * collection's validator, too large, a duplicate, geometry. Any other error would meet the next record, too.
 */
const REFUSALS = new Set([
  2,
  9,
  14,
  28,
  40,
  52,
  53,
  54,
  55,
  56,
  57,
  66,
  121,
  10_334,
  16_755,
  17_280,
  17_419,
  17_420,
  DUPLICATE_KEY,
])

export function isRefusal(code: number | undefined): boolean {
  return code !== undefined && REFUSALS.has(code)
}

const UNAUTHORIZED = 13
const LOGIN = new Set([UNAUTHORIZED, 18, 8_000])
const NETWORK =
  /^Mongo(Network|NetworkTimeout|ServerSelection|ServerClosed|PoolCleared|PoolClearedOnNetwork|TopologyClosed|ClientClosed|NotConnected|WaitQueueTimeout|ConnectionPoolClosed)(Error)?$/

/** An error of the driver or the server as one of Sluice. */
export function serverError(given: unknown, place: string): SluiceError {
  if (given instanceof SluiceError) return given
  // That of a bulk write has around it what really went wrong.
  const { errorResponse } = given as { errorResponse?: unknown }
  const error = errorResponse instanceof Error ? errorResponse : given
  const code = codeOf(error)
  const text = safeText(messageOf(error))
  if (code !== undefined && LOGIN.has(code)) {
    const remedy =
      code === UNAUTHORIZED ? 'grant it readWrite on the database' : 'check user, password and authSource in the url'
    return mongoError('CONNECTION_FAILED', `${place} refuses this user: ${text}; ${remedy}`, { cause: error })
  }
  if (NETWORK.test(error instanceof Error ? error.name : ''))
    return mongoError('CONNECTION_FAILED', `no answer from ${place}: ${text}; is the server up, and the url right?`, {
      cause: error,
      retryable: true,
    })
  return mongoError('OUTPUT_FAILED', `${place} takes no writes now: ${text}; see the server's log`, {
    cause: error,
    retryable: true,
  })
}
