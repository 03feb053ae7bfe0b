/** Errors as this package throws them: never with what a record holds. */
import { isSluiceError, SluiceError, type BatchPartitionId, type ErrorCode } from '@sluice/core'

const COMPONENT = 'sink-kafka'

export function sinkError(
  code: ErrorCode,
  message: string,
  { cause, retryable }: { readonly cause?: unknown; readonly retryable?: boolean } = {},
): SluiceError {
  return new SluiceError({ code, component: COMPONENT, message, cause, retryable })
}

export function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw sinkError('ARGUMENT_INVALID', message)
}

export function rejected(message: string, cause?: unknown): SluiceError {
  return sinkError('RECORD_REJECTED', message, { cause })
}

export function fenced({ output, epoch }: Pick<BatchPartitionId, 'output' | 'epoch'>, other: number): SluiceError {
  return sinkError(
    'FENCED',
    `output ${output} belongs to epoch ${String(other)}, and this run is epoch ${String(epoch)}; another process has taken over and goes on`,
  )
}

const PRODUCER_LOST =
  /\b(UNKNOWN_PRODUCER_ID|OUT_OF_ORDER_SEQUENCE_NUMBER|INVALID_TXN_STATE|INVALID_PRODUCER_ID_MAPPING|TRANSACTION_ABORTABLE)\b/

/** Whether a broker says that the producer is lost, or does not fit the transaction: another one may go on. */
export function isProducerLost(error: unknown): error is SluiceError {
  return isSluiceError(error, 'BROKER_REFUSED') && PRODUCER_LOST.test(error.message)
}

/** What another producer may do. */
export function failedOnce(error: SluiceError): SluiceError {
  const message = `what was sent is not known to be written: ${error.message}; it is tried again by another producer`
  return sinkError('OUTPUT_FAILED', message, { cause: error, retryable: true })
}
