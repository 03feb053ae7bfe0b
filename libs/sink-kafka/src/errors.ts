/** Errors as this package throws them: never with what a record holds. */
import { SluiceError, type BatchPartitionId, type ErrorCode } from '@sluice/core'

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
