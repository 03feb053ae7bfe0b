/** Options that the sinks for servers have. */
import { requireThat } from '../errors.js'

export interface ServerOptions {
  /** Milliseconds until a connection that cannot be made is an error. Default: 10,000. */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Milliseconds for one transaction, also of `start()`: what has not ended then is given up, and its connection closed. The output's own
   * `timeoutMs` holds as well. Default: 60,000.
   */
  readonly timeoutMs?: number | undefined
  /**
   * Milliseconds after which the server ends a transaction in which this process says nothing: a stopped process must not hold locks for
   * ever. With `transaction: 'batch'` computing the next partition counts. MySQL rounds it up to seconds. Default: 10,000.
   */
  readonly idleTimeoutMs?: number | undefined
  /** Connections of the sink's own pool, opened when they are needed. Default: 10. */
  readonly connections?: number | undefined
}

export interface ServerLimits {
  readonly connectTimeoutMs: number
  readonly timeoutMs: number
  readonly idleTimeoutMs: number
  readonly connections: number
}

export const LOCK_TIMEOUT_MS = 15_000

const DEFAULTS: ServerLimits = { connectTimeoutMs: 10_000, timeoutMs: 60_000, idleTimeoutMs: 10_000, connections: 10 }

/** Throws `ARGUMENT_INVALID`. */
export function limitsOf(options: ServerOptions): ServerLimits {
  const { connectTimeoutMs, timeoutMs, idleTimeoutMs, connections } = options
  const limits = {
    // A pool cannot be closed while it connects.
    connectTimeoutMs: Math.min(connectTimeoutMs ?? DEFAULTS.connectTimeoutMs, timeoutMs ?? Infinity),
    timeoutMs: timeoutMs ?? DEFAULTS.timeoutMs,
    idleTimeoutMs: idleTimeoutMs ?? DEFAULTS.idleTimeoutMs,
    connections: connections ?? DEFAULTS.connections,
  }
  for (const [name, value] of Object.entries(limits))
    requireThat(Number.isInteger(value) && value >= 1, `${name} must be a whole number from 1, not ${String(value)}`)
  return limits
}

/** Where a URL leads, without user and password. Throws `ARGUMENT_INVALID`. */
export function labelOf(url: string, schemes: readonly string[], form: string): string {
  const problem = `the url is not of the form ${form}; give it so, with special characters as %XX`
  requireThat(typeof url === 'string' && URL.canParse(url), problem)
  const { protocol, host, pathname } = new URL(url)
  requireThat(schemes.includes(protocol) && host !== '' && pathname.length > 1, problem)
  return `${host}${pathname}`
}

/** Throws `ARGUMENT_INVALID`. */
export function requireOnePlace(given: Readonly<Record<string, unknown>>): void {
  const count = Object.values(given).filter((value) => value !== undefined).length
  requireThat(count === 1, `give one of ${Object.keys(given).join(', ')}`)
}
