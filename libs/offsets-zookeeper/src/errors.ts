/** Errors as this package throws them. */
import { SluiceError, type ErrorCode } from '@sluice/core'

const COMPONENT = 'offsets-zookeeper'

export function zooKeeperError(
  code: ErrorCode,
  message: string,
  { cause, retryable }: { readonly cause?: unknown; readonly retryable?: boolean } = {},
): SluiceError {
  return new SluiceError({ code, component: COMPONENT, message, cause, retryable })
}

export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw zooKeeperError('ARGUMENT_INVALID', message)
}

/** What ZooKeeper answers, by its own numbers. */
export const ANSWER = {
  connectionLoss: -4,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  sessionExpired: -112,
  authFailed: -115,
} as const

/** ZooKeeper's number for an error that its client gave; undefined for any other. */
export function answerOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'number' ? code : undefined
}

/** The connection is of no use any more, and it is unknown what became of the call. */
export function isLoss(error: unknown): boolean {
  const answer = answerOf(error)
  return answer === ANSWER.connectionLoss || answer === ANSWER.sessionExpired
}

/** An answer that is no loss, as an error of Sluice. */
export function refusal(error: unknown, path: string): unknown {
  const answer = answerOf(error)
  if (answer === undefined) return error
  if (answer === ANSWER.noAuth || answer === ANSWER.authFailed)
    return zooKeeperError(
      'CONNECTION_FAILED',
      `ZooKeeper lets this user not use ${path}; see to \`auth\` and its ACL`,
      {
        cause: error,
      },
    )
  return zooKeeperError(
    'OUTPUT_FAILED',
    `ZooKeeper refuses ${path}: ${(error as Error).message}; see the server's log`,
    {
      cause: error,
    },
  )
}
