/** Committed values cannot be changed in place (E6). */
import { SluiceError } from '../errors.js'

/**
 * Freezes plain data, all the way down. False when it holds something that cannot be frozen (a Map, a Set, a Date, bytes, a
 * class instance): such values are copied before they are handed out.
 */
export function freezeDeep(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false
  if (Object.isFrozen(value)) return hasOnlyFreezable(value)
  let all = true
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name]
    if (typeof field === 'object' && field !== null && !freezeDeep(field)) all = false
  }
  Object.freeze(value)
  return all
}

function hasOnlyFreezable(value: object): boolean {
  return Object.values(value).every((field) => freezeDeep(field))
}

/** A write to a frozen value, explained; any other error as it is. */
export function explainFrozen(error: unknown, operator: string): unknown {
  const frozen =
    error instanceof TypeError &&
    /read only property|object is not extensible|Cannot delete property/.test(error.message)
  if (!frozen) return error
  return new SluiceError({
    code: 'FROZEN_VALUE',
    component: operator,
    message: `the function changed a committed value in place (${error.message}); return a new value instead, e.g. { ...state, count }`,
    cause: error,
  })
}
