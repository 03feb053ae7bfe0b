/** What is kept and handed out more than once cannot be changed in place (E6): committed state, window slices, caches. */
import { deepCopy } from './copy.js'

/** Lists and objects of at least so many fields are remembered once they are frozen: they need not be walked again. */
const LARGE = 32
const frozenLarge = new WeakSet()

/**
 * Freezes plain data, all the way down. False when it holds something that cannot be frozen (a Map, a Set, a Date, bytes, a
 * class instance): such values are copied before they are handed out.
 */
export function freezeDeep(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return freezeFields(value as Record<string, unknown>)
  return prototype === Array.prototype && freezeElements(value as unknown[])
}

function freezeFields(fields: Record<string, unknown>): boolean {
  let all = true
  for (const name in fields) {
    const field = fields[name]
    if (typeof field === 'object' && field !== null && !freezeDeep(field)) all = false
  }
  Object.freeze(fields)
  return all
}

function freezeElements(list: unknown[]): boolean {
  const isLarge = list.length >= LARGE
  if (isLarge && frozenLarge.has(list)) return true
  let all = true
  for (let i = 0; i < list.length; i++) {
    const element = list[i]
    if (typeof element === 'object' && element !== null && !freezeDeep(element)) all = false
  }
  Object.freeze(list)
  if (isLarge && all) frozenLarge.add(list)
  return all
}

/** Kept arrays of records of which some could not be frozen. */
const copied = new WeakSet<readonly unknown[]>()

/** Freezes records that are to be kept. They are handed out by {@link handOut} from then on. */
export function keepSafe(records: readonly unknown[]): void {
  let all = true
  for (let i = 0; i < records.length; i++) {
    const record = records[i]
    if (typeof record === 'object' && record !== null && !freezeDeep(record)) all = false
  }
  if (!all) copied.add(records)
}

/** Records that were kept by {@link keepSafe}, such that nobody can change what is kept: copies where they are not frozen. */
export function handOut(records: readonly unknown[]): readonly unknown[] {
  return copied.has(records) ? records.map((record) => deepCopy(record)) : records
}

/** Whether this is what a write to a frozen value throws. */
export function isFrozenWrite(error: unknown): error is TypeError {
  return (
    error instanceof TypeError &&
    /read only property|object is not extensible|Cannot delete property|Cannot define property/.test(error.message)
  )
}
