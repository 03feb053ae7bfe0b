/** Trying again after a failure, with pauses that grow. */
import { isSluiceError, requireArgument } from '../errors.js'
import type { RetryOptions } from '../sink/sink.js'
import type { Clock } from '../time/clock.js'

export interface RetryPolicy {
  readonly retries: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
}

const DEFAULT_MIN_DELAY_MS = 100
const DEFAULT_MAX_DELAY_MS = 10_000

/** The policy that options describe. Throws `ARGUMENT_INVALID`. */
export function retryPolicy(
  options: RetryOptions | undefined,
  retriesByDefault: number,
  component: string,
): RetryPolicy {
  const { retries = retriesByDefault, minDelay = DEFAULT_MIN_DELAY_MS, maxDelay = DEFAULT_MAX_DELAY_MS } = options ?? {}
  requireArgument(
    Number.isSafeInteger(retries) && retries >= 0,
    component,
    `retries must be a whole number of at least 0, not ${String(retries)}`,
  )
  return { retries, minDelayMs: minDelay, maxDelayMs: maxDelay }
}

/** Runs `work` until it succeeds, or until trying again cannot help. Rejects with the last failure. */
export async function retrying(
  work: (attempt: number) => Promise<void>,
  policy: RetryPolicy,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await work(attempt)
      return
    } catch (error) {
      if (attempt >= policy.retries || signal?.aborted === true || !mayPass(error)) throw error
    }
    await clock.sleep(Math.min(policy.maxDelayMs, policy.minDelayMs * 2 ** attempt), signal)
  }
}

// The engine's own errors say whether another try can help; anything else comes from outside and may pass.
function mayPass(error: unknown): boolean {
  return (
    !isSluiceError(error) || error.retryable || error.code === 'TASK_FAILED' || error.code === 'USER_FUNCTION_FAILED'
  )
}
