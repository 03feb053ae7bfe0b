/** One mapping from operating-system errors to the codes of Sluice, shared by all file systems. */
import { messageOf, SluiceError, type ErrorCode } from '../errors.js'

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'check the permissions',
  EBUSY: 'something else is using it',
  EDQUOT: 'free space or raise the quota',
  EINVAL: 'check the path',
  EIO: 'the device failed: check the disk',
  EISDIR: 'it is a folder, give the name of a file',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENAMETOOLONG: 'use a shorter name',
  ENFILE: 'raise the limit of open files of this machine',
  ENOSPC: 'free space',
  ENOTDIR: 'a part of the path that must be a folder is a file',
  ENOTEMPTY: 'the folder must be empty',
  ENOTSUP: 'use a disk that supports this, with hard links',
  EPERM: 'check the permissions, and that the disk supports hard links',
  EROFS: 'the disk is mounted read-only',
}

// What can be different the next time without anybody changing the program.
const RETRYABLE = new Set(['EAGAIN', 'EBUSY', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOSPC', 'ETIMEDOUT'])

/** What failed: who says it, what it was doing (`read`, `rename`), and to which path. */
export interface FileOperation {
  readonly component: string
  readonly doing: string
  readonly path: string
}

/** The errno name of an error of the operating system, e.g. `ENOENT`; undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : undefined
}

/** An error as the operating system would give it, for file systems that are none. */
export function errnoError(errno: string): Error {
  return Object.assign(new Error(errno), { code: errno })
}

/** `FILE_NOT_FOUND`, `FILE_EXISTS` or `FILE_SYSTEM_FAILED` for an error of the operating system. Errors of Sluice stay as they are. */
export function fileError(operation: FileOperation, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause
  const { component, doing, path } = operation
  const errno = errnoOf(cause)
  if (errno === 'ENOENT')
    return known('FILE_NOT_FOUND', operation, 'there is no such file or folder; check the path', cause)
  if (errno === 'EEXIST')
    return known('FILE_EXISTS', operation, 'the name is taken; use another or remove it first', cause)
  return new SluiceError({
    code: 'FILE_SYSTEM_FAILED',
    component,
    message: `cannot ${doing} ${path} (${errno ?? messageOf(cause)}); ${REMEDIES[errno ?? ''] ?? 'see the cause'}`,
    retryable: errno !== undefined && RETRYABLE.has(errno),
    cause,
  })
}

function known(code: ErrorCode, operation: FileOperation, why: string, cause: unknown): SluiceError {
  const message = `cannot ${operation.doing} ${operation.path}: ${why}`
  return new SluiceError({ code, component: operation.component, message, cause })
}

/** Runs `work` and rejects with {@link fileError} of what it throws. */
export async function withFileErrors<T>(operation: FileOperation, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(operation, error)
  }
}

/** For a call on a file that was closed. */
export function closedError(component: string, doing: string, path: string): SluiceError {
  const message = `cannot ${doing} ${path}: the file is closed; open it again`
  return new SluiceError({ code: 'FILE_SYSTEM_FAILED', component, message })
}
