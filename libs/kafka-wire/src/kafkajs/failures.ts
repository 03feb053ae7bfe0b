/** Errors of kafkajs as those of Sluice. */
import { isSluiceError } from '@sluice/core'
import type { SluiceError } from '@sluice/core'
import { brokerRefused, connectionFailed } from '../errors.js'

interface KafkajsError {
  readonly name?: unknown
  readonly type?: unknown
  readonly retriable?: unknown
  readonly cause?: unknown
}

/** kafkajs says that these never pass; they do, in the moments after a broker's start or a change of leaders. */
const PASSING = new Set([
  'BROKER_NOT_AVAILABLE',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'CONCURRENT_TRANSACTIONS',
  'KAFKA_STORAGE_ERROR',
])
/** Retriable in the protocol, since a topic may just have been made; but waiting long for it hides a wrong name: see `mayPass`. */
const LASTING = new Set(['UNKNOWN_TOPIC_OR_PARTITION'])

/** Kafka's name of a broker's error, wherever in `error` it stands. */
export function typeOf(error: unknown): string | undefined {
  const { type, cause } = (error ?? {}) as KafkajsError
  if (typeof type === 'string') return type
  return cause === undefined ? undefined : typeOf(cause)
}

export function toSluice(error: unknown, doing: string): SluiceError {
  if (isSluiceError(error)) return error
  const type = typeOf(error)
  if (type !== undefined && !/SASL/.test(type)) {
    const isRetryable = !LASTING.has(type) && (PASSING.has(type) || isRetriable(error))
    return brokerRefused({ type, doing, isRetryable, cause: error })
  }
  return connectionFailed(doing, error, !isAuthentication(error))
}

/** Which broker, as `host:port`, has not answered in time; `undefined` where `error` says nothing of that. */
export function silentBrokerOf(error: unknown): string | undefined {
  const { name, broker } = (error ?? {}) as { readonly name?: unknown; readonly broker?: unknown }
  return name === 'KafkaJSRequestTimeoutError' && typeof broker === 'string' ? broker : undefined
}

function isRetriable(error: unknown): boolean {
  const { name, retriable, cause } = error as KafkajsError
  return name === 'KafkaJSNumberOfRetriesExceeded' ? isRetriable(cause) : retriable === true
}

function isAuthentication(error: unknown): boolean {
  const { name, type, cause } = (error ?? {}) as KafkajsError
  if (name === 'KafkaJSSASLAuthenticationError' || /SASL/.test(String(type))) return true
  return cause !== undefined && isAuthentication(cause)
}
