import { isSluiceError, systemClock } from '@sluice/core'

const TRIES = 100

/** Tries again as long as an error says that this may help, as the engine does; gives how often it failed. */
export async function untilDone(work: (attempt: number) => Promise<unknown>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      await work(attempt)
      return attempt
    } catch (error) {
      if (!isSluiceError(error) || !error.retryable || attempt > TRIES) throw error
      await systemClock.sleep(20)
    }
  }
}
