/** SIGINT and SIGTERM: the first stops gracefully, the second at once. */
import { messageOf } from '../errors.js'
import type { Logger } from '../observe/logger.js'
import type { Clock } from '../time/clock.js'

interface Stoppable {
  stop(options?: { readonly graceful?: boolean | undefined }): Promise<void>
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
/** A terminal's Ctrl-C reaches a process twice when npm runs it and passes on what it got itself. */
const SAME_PRESS_MS = 250

/** Installs the handlers; gives the function that removes them. */
export function installSignals(context: Stoppable, logger: Logger, clock: Clock): () => void {
  let received = 0
  let lastAt = -Infinity
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = clock.monotonic()
    if (now - lastAt < SAME_PRESS_MS) return
    lastAt = now
    received++
    const graceful = received === 1
    logger.info(
      graceful ? `${signal}: stopping when all batches are done; again to stop at once` : `${signal}: stopping at once`,
    )
    context.stop({ graceful }).catch((error: unknown) => {
      logger.error(`stop failed: ${messageOf(error)}`)
    })
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}
