/** SIGINT and SIGTERM: the first stops gracefully, the second at once. */
import { messageOf } from '../errors.js'
import type { Logger } from '../observe/logger.js'

interface Stoppable {
  stop(options?: { readonly graceful?: boolean | undefined }): Promise<void>
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Installs the handlers; gives the function that removes them. */
export function installSignals(context: Stoppable, logger: Logger): () => void {
  let received = 0
  const onSignal = (signal: NodeJS.Signals): void => {
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
