/** Whether driver and workers have loaded the same functions: their names, and the hashes of their sources. */
import { createHash } from 'node:crypto'
import { SluiceError } from '../errors.js'
import { registeredFunctions, type AnyFunction } from '../rdd/functions.js'
import type { Fingerprint } from './worker-protocol.js'

/** Of all functions that are registered in this thread now. */
export function fingerprint(): Fingerprint {
  return Array.from(registeredFunctions(), ([name, fn]) => [name, sourceHash(fn)] as const)
}

/** What a function closes over is not in its source, nor in the hash. */
export function sourceHash(fn: AnyFunction): string {
  return createHash('sha256').update(Function.prototype.toString.call(fn)).digest('hex')
}

// How many names a message lists.
const LISTED = 5

/** The error for a worker that does not have what the driver has; undefined where it does. It may have more. */
export function fingerprintError(driver: Fingerprint, worker: Fingerprint, app: string): SluiceError | undefined {
  const known = new Map(worker)
  const missing = driver.filter(([name]) => !known.has(name))
  const other = driver.filter(([name, hash]) => known.has(name) && known.get(name) !== hash)
  const parts = [
    missing.length === 0 ? '' : `not registered there: ${listed(missing)}`,
    other.length === 0 ? '' : `with another source there: ${listed(other)}`,
  ].filter((part) => part !== '')
  if (parts.length === 0) return undefined
  const message =
    `the worker that loaded ${app} has not the functions of the driver (${parts.join('; ')}); ` +
    'register them while that module loads, before its first action or start(), and run one build in both'
  return new SluiceError({ code: 'WORKER_FAILED', component: 'workers', message })
}

function listed(entries: Fingerprint): string {
  const names = entries.slice(0, LISTED).map(([name]) => `'${name}'`)
  return entries.length > LISTED ? `${names.join(', ')} and ${String(entries.length - LISTED)} more` : names.join(', ')
}
