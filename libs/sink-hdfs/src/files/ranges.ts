/** Checks of byte ranges. */
import type { ByteRange } from '@sluice/core'
import { requireThat } from '../errors.js'

/** Throws `ARGUMENT_INVALID` for a negative or fractional range. */
export function checkRange(range: ByteRange | undefined, component: string): void {
  if (range === undefined) return
  const { start, length } = range
  const isValid = Number.isSafeInteger(start) && start >= 0 && length >= 0
  requireThat(
    isValid && (Number.isSafeInteger(length) || length === Infinity),
    component,
    `a byte range needs whole numbers of at least 0, not start ${String(start)} and length ${String(length)}; check the caller`,
  )
}
