/** Errors of @platformatic/kafka as those of Sluice. */
import { isSluiceError } from '@sluice/core'
import type { SluiceError } from '@sluice/core'
import { brokerRefused, connectionFailed } from '../errors.js'

interface PlatformaticError {
  readonly code?: unknown
  readonly message?: unknown
  /** Kafka's name of what a broker answered. */
  readonly apiId?: unknown
  readonly canRetry?: unknown
  readonly errors?: unknown
  readonly cause?: unknown
}

/** It says that these never pass; they do, in the moments after a broker's start or the end of a transaction. */
const PASSING = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
])
/** Retriable in the protocol, since a topic may just have been made; but waiting long for it hides a wrong name: see `mayPass`. */
const LASTING = new Set(['UNKNOWN_TOPIC_OR_PARTITION'])

/** `error` and all that it was made of, outermost first. */
function withCauses(error: unknown): PlatformaticError[] {
  if (typeof error !== 'object' || error === null) return []
  const { errors, cause } = error as PlatformaticError
  return [error, ...(Array.isArray(errors) ? errors.flatMap(withCauses) : []), ...withCauses(cause)]
}

/** Kafka's name of a broker's error, wherever in `error` it stands. */
export function typeOf(error: unknown): string | undefined {
  const all = withCauses(error)
  const answered = all.find(({ apiId }) => typeof apiId === 'string')
  if (answered !== undefined) return String(answered.apiId)
  return all.some(({ message }) => /^Unknown (topic|partition) /.test(String(message)))
    ? 'UNKNOWN_TOPIC_OR_PARTITION'
    : undefined
}

export function toSluice(error: unknown, doing: string): SluiceError {
  if (isSluiceError(error)) return error
  const type = typeOf(error)
  const all = withCauses(error)
  if (type !== undefined && !/SASL/.test(type)) {
    const isRetriable = all.some(({ apiId, canRetry }) => apiId === type && canRetry === true)
    const isRetryable = !LASTING.has(type) && (PASSING.has(type) || isRetriable)
    return brokerRefused({ type, doing, isRetryable, cause: error })
  }
  const isAuthentication = type !== undefined || all.some(({ code }) => code === 'PLT_KFK_AUTHENTICATION')
  return connectionFailed(doing, error, !isAuthentication)
}
