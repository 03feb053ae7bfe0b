/** Errors as this package throws them: never with what a command carried, which may be a password or a record. */
import { SluiceError, type ErrorCode } from '@sluice/core'

const COMPONENT = 'sink-redis'

export function redisError(
  code: ErrorCode,
  message: string,
  { cause, retryable }: { readonly cause?: unknown; readonly retryable?: boolean } = {},
): SluiceError {
  return new SluiceError({ code, component: COMPONENT, message, cause: safeCause(cause), retryable })
}

export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw redisError('ARGUMENT_INVALID', message)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Drivers put the command and its arguments on their errors, the password of AUTH among them. */
function safeCause(cause: unknown): Error | undefined {
  if (cause === undefined) return undefined
  const error = new Error(messageOf(cause))
  if (cause instanceof Error) {
    error.name = cause.name
    if (cause.stack !== undefined) error.stack = cause.stack
  }
  return error
}

/** The whole output may succeed later: another master, more memory, a server that has loaded its data. */
const PASSING =
  /^(OOM|MISCONF|READONLY|LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|MOVED|ASK|UNBLOCKED|UNKILLABLE)\b/
const LOGIN = /^(NOAUTH|WRONGPASS|NOPERM)\b|invalid username-password|without any password configured/

/** An error of the server or of the connection as one of Sluice. */
export function serverError(error: unknown, place: string): SluiceError {
  const text = messageOf(error)
  if (LOGIN.test(text))
    return redisError('CONNECTION_FAILED', `${place} refuses this user: ${text}; check user, password and ACL`, {
      cause: error,
    })
  if (PASSING.test(text))
    return redisError('OUTPUT_FAILED', `${place} takes no writes now: ${text}; see the server's log`, {
      cause: error,
      retryable: true,
    })
  return redisError('CONNECTION_FAILED', `no answer from ${place}: ${text}; is the server up, and the address right?`, {
    cause: error,
    retryable: true,
  })
}
