/** What PostgreSQL's errors mean, by SQLSTATE. */
import type { SluiceError } from '@sluice/core'
import { codeOf, isNetworkError, LOST, serverError, type ErrorClass } from '../server/server-errors.js'

/** A key, or a table that is there already. */
const DUPLICATE = new Set(['23505', '42P07'])
/** Deadlock, serialization, locks that were not got in time. */
const TRANSIENT = new Set(['40001', '40P01', '55P03'])
/** The server goes down, comes up, or has no connection left; or has ended one whose transaction stood still. */
const GONE = new Set(['57P01', '57P02', '57P03', '57P05', '53300', '25P03'])
/** What it says of values: data exceptions, integrity, an index entry that is too large. */
const REFUSED = /^(22|23)|^54000$/
const PERMISSION = '42501'
const LOGIN = /^28|^3D000$/

export function isRefusal(error: unknown): boolean {
  return REFUSED.test(stateOf(error))
}

export function isDuplicate(error: unknown): boolean {
  return DUPLICATE.has(stateOf(error))
}

export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(stateOf(error))
}

export function isLost(error: unknown): boolean {
  const state = stateOf(error)
  if (GONE.has(state) || isNetworkError(error)) return true
  if (state !== '') return state.startsWith('08') && state !== '08P01'
  // "Connection terminated unexpectedly", which has no code.
  return /connection terminated|connection ended|not queryable|timeout expired|timeout exceeded|client was closed|connection error/i.test(
    String((error as Error | undefined)?.message),
  )
}

export function toSluiceError(error: unknown, label: string): SluiceError {
  return serverError(error, label, classOf(error))
}

function classOf(error: unknown): ErrorClass {
  const state = stateOf(error)
  if (isLost(error)) return LOST
  if (LOGIN.test(state))
    return { code: 'CONNECTION_FAILED', remedy: 'check user, password and database', retryable: false }
  if (state === PERMISSION)
    return { code: 'CONNECTION_FAILED', remedy: 'grant that to the user, or make the tables for it', retryable: false }
  if (/certificate|SSL/i.test(String((error as Error | undefined)?.message)))
    return { code: 'CONNECTION_FAILED', remedy: 'check the option ssl, and the certificate', retryable: false }
  return { code: 'OUTPUT_FAILED', remedy: 'see the cause', retryable: !/^42/.test(state) }
}

/** The SQLSTATE; empty for errors of the network. */
function stateOf(error: unknown): string {
  const code = codeOf(error)
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E') ? code : ''
}
