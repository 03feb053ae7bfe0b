/** What S3 and its client throw, as errors of Sluice. */
import { isSluiceError, type SluiceError } from '@sluice/core'
import { failureOf, messageOf } from '../errors.js'
import { COMPONENT } from './s3.config.js'

const fail = failureOf(COMPONENT)

/** The HTTP status of an answer; undefined where there was none. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode
}

/** S3's own name of an error, e.g. `NoSuchKey`. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

const REMEDIES: Readonly<Record<string, string>> = {
  AccessDenied: 'check what these credentials may do with the bucket',
  CredentialsProviderError: 'give credentials in config, or where the AWS SDK looks for them',
  ExpiredToken: 'get new credentials',
  InvalidAccessKeyId: 'check the access key',
  NoSuchBucket: 'make the bucket, or check its name',
  PermanentRedirect: 'the bucket is in another region: set region',
  RequestTimeTooSkewed: 'set the clock of this machine',
  SignatureDoesNotMatch: 'check the secret key',
}

/** What was thrown as an error of Sluice that names the path. */
export function s3Error(doing: string, path: string, thrown: unknown): SluiceError {
  if (isSluiceError(thrown)) return thrown
  const cause = withoutRequest(thrown)
  const status = statusOf(cause)
  const name = nameOf(cause)
  if (name === 'NoSuchKey' || name === 'NotFound') return missing(path, cause)
  const retryable = status === undefined || status >= 500 || status === 409 || status === 429
  const remedy = REMEDIES[name] ?? (retryable ? 'is the server up, and can it be reached from here?' : 'see the cause')
  const said = [name, messageOf(cause)].filter((text) => text !== '' && text !== 'Error').join(': ')
  return fail('FILE_SYSTEM_FAILED', `cannot ${doing} ${path} (${said}); ${remedy}`, { cause, retryable })
}

export function missing(path: string, cause?: unknown): SluiceError {
  return fail('FILE_NOT_FOUND', `${path}: there is no such file or folder; check the path`, { cause })
}

export function taken(path: string, cause?: unknown): SluiceError {
  return fail('FILE_EXISTS', `cannot create ${path}: the name is taken; use another or remove it first`, { cause })
}

export function foreign(path: string, found: string): SluiceError {
  const message = `${path} was written by another run or batch (${found}); write to a new place, or remove it`
  return fail('IDENTITY_CONFLICT', message)
}

export function unfit(doing: string, path: string, why: string): SluiceError {
  return fail('FILE_SYSTEM_FAILED', `cannot ${doing} ${path}: ${why}`)
}

export function unsupported(what: 'append' | 'rename' | 'link', path: string): SluiceError {
  return fail('FILE_SYSTEM_UNSUPPORTED', `S3 cannot ${what} (${path}); ask supports.${what} first`)
}

/** The client's errors hold the whole request, signature and all, which must not reach a log. */
function withoutRequest(thrown: unknown): unknown {
  if (statusOf(thrown) === undefined && !(thrown instanceof Error && '$metadata' in thrown)) return thrown
  const { name, message, stack, cause } = thrown as Error
  const $metadata = { httpStatusCode: statusOf(thrown) }
  // Of the source of what was written, where that is what failed.
  return Object.assign(new Error(message, { cause }), { name, stack, $metadata })
}
