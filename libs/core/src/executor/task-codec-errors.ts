/** Errors as data: what a task failed of, with code, message, stack and causes, for the thread that asked for it. */
import { isSluiceError, SluiceError, type ErrorCode } from '../errors.js'

/** An error, or another value that was thrown, as structured clone keeps it. */
export interface ErrorData {
  readonly kind: 'sluice' | 'error' | 'value'
  /** Class of the error, e.g. `TypeError`. */
  readonly name: string
  /** The text of the error or of the value. */
  readonly message: string
  readonly stack: string | undefined
  readonly code?: ErrorCode
  readonly component?: string
  readonly retryable?: boolean
  /** Further properties that are plain, e.g. `errno`. */
  readonly extra?: Readonly<Record<string, string | number | boolean | null>>
  readonly cause?: ErrorData | undefined
}

// Causes may form a circle.
const MAX_CAUSES = 8

export function describeError(error: unknown, depth = 0): ErrorData {
  if (!(error instanceof Error)) return { kind: 'value', name: typeof error, message: textOf(error), stack: undefined }
  const { cause } = error
  const base = {
    name: error.name,
    message: error.message,
    stack: error.stack,
    cause: cause === undefined || depth >= MAX_CAUSES ? undefined : describeError(cause, depth + 1),
  }
  if (!isSluiceError(error)) return { kind: 'error', ...base, extra: plainProperties(error) }
  const { code, component, retryable } = error
  return { kind: 'sluice', ...base, code, component, retryable }
}

function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

function plainProperties(error: Error): Record<string, string | number | boolean | null> {
  const plain: Record<string, string | number | boolean | null> = {}
  for (const [name, value] of Object.entries(error)) {
    if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) plain[name] = value as string
  }
  return plain
}

const errorClasses: Readonly<Record<string, new (message: string, options?: ErrorOptions) => Error>> = {
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  EvalError,
}

/** An error like the one described: the same class where it is one of the language, else the same name. */
export function restoreError(data: ErrorData): unknown {
  if (data.kind === 'value') return data.message
  const options = data.cause === undefined ? undefined : { cause: restoreError(data.cause) }
  const error = data.kind === 'sluice' ? restoreSluiceError(data, options) : restorePlain(data, options)
  if (data.stack !== undefined) define(error, 'stack', data.stack)
  return error
}

function restoreSluiceError(data: ErrorData, options: ErrorOptions | undefined): Error {
  const { code = 'TASK_FAILED', component = 'task', retryable } = data
  const prefix = `[${component}] `
  const message = data.message.startsWith(prefix) ? data.message.slice(prefix.length) : data.message
  return new SluiceError({ code, component, retryable, message, cause: options?.cause })
}

function restorePlain(data: ErrorData, options: ErrorOptions | undefined): Error {
  const error = new (errorClasses[data.name] ?? Error)(data.message, options)
  if (error.name !== data.name) define(error, 'name', data.name)
  return Object.assign(error, data.extra)
}

// As errors have them: not enumerable.
function define(error: Error, property: string, value: string): void {
  Object.defineProperty(error, property, { value, writable: true, configurable: true, enumerable: false })
}
