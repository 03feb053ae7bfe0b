/** Signals that end a wait. */
import { SluiceError } from '../errors.js'

/** The reason of an aborted signal, always an `Error`. */
export function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  if (reason instanceof Error) return reason
  return new SluiceError({ code: 'ABORTED', component: 'clock', message: 'the wait was aborted', cause: reason })
}

/**
 * What `work` gives, or the signal's reason as soon as it is aborted: what does not heed the signal is left behind, and how it ends
 * is nobody's. For clients whose calls take no signal.
 */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(abortReason(signal))
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    // Raced also when it is too late, so that a later failure of `work` is not left unhandled.
    if (signal.aborted) onAbort()
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
