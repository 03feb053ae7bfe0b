/** The real clock. */
import { abortReason } from './abort.js'
import type { Clock } from './clock.js'

// Node fires a timer with a larger delay at once, with a warning.
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The machine's own time. Timers of `sleep` keep the process alive. */
export const systemClock: Clock = {
  '~sluice': 'clock/1',
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: sleepUntilElapsed,
  yield: () => new Promise((resolve) => setImmediate(resolve)),
}

async function sleepUntilElapsed(ms: number, signal?: AbortSignal): Promise<void> {
  const end = performance.now() + ms
  let left = ms
  do {
    await timer(Math.min(Math.max(left, 0), LONGEST_TIMER_MS), signal)
    // A timer may fire a fraction of a millisecond early.
    left = end - performance.now()
  } while (left > 0)
}

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal))
      return
    }
    const onAbort = (): void => {
      clearTimeout(handle)
      reject(abortReason(signal))
    }
    const handle = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
