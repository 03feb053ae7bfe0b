/** What SQLite's errors mean. Their texts are the same in every driver; codes are not given by all. */
import { isSluiceError, type SluiceError } from '@sluice/core'
import { messageOf, sqlError } from '../errors.js'
import { transactionEnded } from '../writer.js'

const BUSY = /database (table )?is locked|database is busy/
/** The record's fault: the same statement with another one would have worked. */
const REFUSED = /constraint failed|datatype mismatch|cannot store \w+ value in|string or blob too big|integer overflow/
const SQLITE_CONSTRAINT = 19

export function isBusy(error: unknown): boolean {
  return BUSY.test(messageOf(error))
}

export function isRefusal(error: unknown): boolean {
  if (isSluiceError(error)) return false
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  const isConstraint = typeof errcode === 'number' && (errcode & 0xff) === SQLITE_CONSTRAINT
  return isConstraint || String(code).startsWith('SQLITE_CONSTRAINT') || REFUSED.test(messageOf(error))
}

/** A driver's error as one of Sluice. */
export function sqliteError(error: unknown, file: string): SluiceError {
  if (isSluiceError(error)) return error
  const text = messageOf(error)
  const problem = `${file}: ${text}`
  const retryable = true
  // Both mean that a conflict, or a function of the user's, has ended the transaction.
  if (/no such savepoint|no transaction is active/.test(text)) return transactionEnded(error)
  if (isBusy(error)) {
    const remedy = `end the other one's transaction; if nothing else uses it, a killed process has left ${file}.lock: remove that folder`
    return sqlError('CONNECTION_FAILED', `${problem}; ${remedy}`, { cause: error, retryable })
  }
  if (/disk (is )?full|disk I\/O/.test(text))
    return sqlError('FILE_SYSTEM_FAILED', `${problem}; free space, or check the disk`, { cause: error, retryable })
  if (/readonly/.test(text))
    return sqlError('FILE_SYSTEM_FAILED', `${problem}; check the permissions of the file and its folder`, {
      cause: error,
    })
  if (/malformed|not a database/.test(text))
    return sqlError('DATA_CORRUPT', `${problem}; restore it from a backup`, { cause: error })
  if (/unable to open|not open|could not open|does not exist/i.test(text))
    return sqlError('CONNECTION_FAILED', `${problem}; is the folder there, and may this process write to it?`, {
      cause: error,
    })
  return sqlError('OUTPUT_FAILED', `${problem}; see the cause`, { cause: error, retryable })
}
