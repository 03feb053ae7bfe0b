/** Waiting for what cannot be cancelled, and trying again. */
import { isSluiceError, untilAborted } from '@sluice/core'
import type { Clock } from '@sluice/core'
import { isUnknownTopic, timedOut } from './errors.js'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000
const NEW_TOPIC_MS = 5000

/** Whether it is worth trying again what has been tried for `triedMs`; see `newTopicMs` of a call. */
export function mayPass(error: unknown, triedMs: number, newTopicMs = NEW_TOPIC_MS): boolean {
  return isRetryable(error) || (triedMs < newTopicMs && isUnknownTopic(error))
}

function isRetryable(error: unknown): boolean {
  return isSluiceError(error) && error.retryable
}

export interface RetryOptions {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly newTopicMs?: number | undefined
  /** What is done, for the message. */
  readonly doing: string
  /** Doubled with each try. Default: 50. */
  readonly firstPauseMs?: number | undefined
  /** Default: 1,000. */
  readonly longestPauseMs?: number | undefined
}

export interface WithinOptions extends RetryOptions {
  /** Called when it took too long, with the error. */
  readonly onLate?: ((reason: Error) => void) | undefined
}

/** What `work` gives within `timeoutMs`, else `TIMEOUT`: what `work` gives later is nobody's. */
export async function within<T>({ clock, timeoutMs, doing, onLate }: WithinOptions, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const late = clock.sleep(timeoutMs, done.signal).then(() => {
    const error = timedOut(doing, timeoutMs, new Error('a request that nobody answers'))
    onLate?.(error)
    throw error
  })
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
  }
}

/** Tries again after retryable errors, until `timeoutMs` are over. Only for what may be done twice. */
export async function withRetries<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const { clock, timeoutMs, signal, newTopicMs, doing } = options
  const { firstPauseMs = FIRST_PAUSE_MS, longestPauseMs = LONGEST_PAUSE_MS } = options
  const start = clock.monotonic()
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await untilAborted(attempt(), signal)
    } catch (error) {
      const triedMs = clock.monotonic() - start
      if (signal?.aborted === true || !mayPass(error, triedMs, newTopicMs)) throw error
      if (triedMs + pauseMs >= timeoutMs) throw isRetryable(error) ? timedOut(doing, timeoutMs, error) : error
    }
    await clock.sleep(pauseMs, signal)
  }
}
