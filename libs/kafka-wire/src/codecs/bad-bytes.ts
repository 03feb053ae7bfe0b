import { SluiceError } from '@sluice/core'
import { COMPONENT } from '../errors.js'

/** Compressed bytes are not what their codec writes; `what` is about them. */
export function badBytes(what: string, cause?: unknown): SluiceError {
  const message = `compressed bytes are damaged: ${what}; their producer wrote them so, see which one it is`
  return new SluiceError({ code: 'DATA_CORRUPT', component: COMPONENT, message, cause })
}
