/** Checks of byte ranges, the same for every file system. */
import { requireArgument } from '../errors.js'
import type { ByteRange } from './file-system.js'

/** The part of `range` that lies in a file of `sizeBytes`; the whole file without a range. Throws `ARGUMENT_INVALID` for a negative or fractional one. */
export function clipRange(range: ByteRange | undefined, sizeBytes: number, component: string): ByteRange {
  if (range === undefined) return { start: 0, length: sizeBytes }
  const valid = Number.isSafeInteger(range.start) && range.start >= 0 && range.length >= 0
  requireArgument(
    valid && (Number.isSafeInteger(range.length) || range.length === Infinity),
    component,
    `a byte range needs whole numbers of at least 0, not start ${String(range.start)} and length ${String(range.length)}; check the caller`,
  )
  const start = Math.min(range.start, sizeBytes)
  return { start, length: Math.min(range.length, sizeBytes - start) }
}
