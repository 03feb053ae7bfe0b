/** What errors of servers say to users, without their passwords. */
import { isSluiceError, type ErrorCode, type SluiceError } from '@sluice/core'
import { messageOf, sqlError } from '../errors.js'

export interface ErrorClass {
  readonly code: ErrorCode
  readonly remedy: string
  readonly retryable: boolean
}

const NETWORK = /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/

export function isNetworkError(error: unknown): boolean {
  return NETWORK.test(codeOf(error))
}

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

export const LOST: ErrorClass = {
  code: 'CONNECTION_FAILED',
  remedy: 'is the server up, and may this machine reach it?',
  retryable: true,
}

/** `label` is where the server is, without secrets; drivers do not say them. */
export function serverError(error: unknown, label: string, { code, remedy, retryable }: ErrorClass): SluiceError {
  if (isSluiceError(error)) return error
  // Of several addresses that refuse, Node.js has no message.
  const text = messageOf(error) === '' ? codeOf(error) : messageOf(error)
  return sqlError(code, `${label}: ${text}; ${remedy}`, { cause: error, retryable })
}
