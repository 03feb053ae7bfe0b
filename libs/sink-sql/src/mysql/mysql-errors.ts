/** What the errors of MySQL and MariaDB mean, by number. */
import type { SluiceError } from '@sluice/core'
import { codeOf, isNetworkError, LOST, serverError, type ErrorClass } from '../server/server-errors.js'

const DUPLICATE = 1062
/** Null, a key that is taken, too long, out of range, no such value, foreign keys, checks, JSON, what a trigger says. */
const REFUSED = new Set([
  ...[1022, 1048, 1062, 1138, 1216, 1217, 1263, 1264, 1265, 1292, 1364, 1366, 1406, 1411, 1416, 1451, 1452, 1526, 1586],
  ...[1644, 1690, 3140, 3141, 3151, 3156, 3157, 3819, 3903, 4025, 4038],
])
/** Locks that were not got in time, deadlocks, a row that has changed meanwhile. */
const TRANSIENT = new Set([1020, 1205, 1213])
/** Too many connections, the server goes down, the network, a connection that was ended because it stood still. */
const GONE = new Set([1040, 1053, 1080, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 4031])
const LOGIN = new Set([1044, 1045, 1049, 1130, 1251, 1698, 3118, 3159])
const PERMISSION = new Set([1142, 1143, 1227, 1370])

export function isRefusal(error: unknown): boolean {
  return REFUSED.has(numberOf(error))
}

export function isDuplicate(error: unknown): boolean {
  return numberOf(error) === DUPLICATE
}

export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(numberOf(error))
}

export function isLost(error: unknown): boolean {
  if (LOGIN.has(numberOf(error))) return false
  const { fatal, message } = error as { fatal?: unknown; message?: unknown }
  const isClosed = /closed state|Connection lost|Pool is closed/i.test(String(message))
  return (
    fatal === true || isClosed || GONE.has(numberOf(error)) || isNetworkError(error) || /^PROTOCOL/.test(codeOf(error))
  )
}

export function toSluiceError(error: unknown, label: string): SluiceError {
  return serverError(error, label, classOf(error))
}

function classOf(error: unknown): ErrorClass {
  const number = numberOf(error)
  if (LOGIN.has(number))
    return { code: 'CONNECTION_FAILED', remedy: 'check user, password and database', retryable: false }
  if (PERMISSION.has(number))
    return { code: 'CONNECTION_FAILED', remedy: 'grant that to the user, or make the tables for it', retryable: false }
  if (/certificate|SSL|secure/i.test(String((error as Error | undefined)?.message)))
    return { code: 'CONNECTION_FAILED', remedy: 'check the option ssl, and the certificate', retryable: false }
  if (isLost(error)) return LOST
  const isSyntax = number === 1064 || number === 1146 || number === 1054
  return { code: 'OUTPUT_FAILED', remedy: 'see the cause', retryable: !isSyntax }
}

function numberOf(error: unknown): number {
  const errno = (error as { errno?: unknown } | null)?.errno
  return typeof errno === 'number' ? errno : 0
}
