/** Why a connection ended, in words that name the server, the error's code and a remedy. */
import { SluiceError } from '@sluice/core'
import type { ErrorCode } from '@sluice/core'
import { COMPONENT } from './socket-stream.config.js'

export interface Failure {
  readonly code: ErrorCode
  readonly problem: string
  readonly remedy: string
  readonly cause?: unknown
  /** The data is at fault, not the connection: it may well come again as soon as we are back. */
  readonly isOfData?: boolean
}

const CUT = 'the server or something between cut the connection'
const NO_ROUTE = 'is the server up, and is there a route to it with no firewall between?'
const UNKNOWN_AUTHORITY = "give its authority's certificate as tls: { ca }"
const NO_TLS = 'does the server speak TLS on this port, in a common version?'

const remedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'is the server up, and does it listen on this port?',
  ENOTFOUND: 'does the host name resolve from here?',
  EAI_AGAIN: 'does the host name resolve from here?',
  ECONNRESET: CUT,
  EPIPE: CUT,
  ETIMEDOUT: NO_ROUTE,
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: "renew the server's certificate",
  ERR_TLS_CERT_ALTNAME_INVALID: 'use a host name that stands in its certificate, or set tls: { servername }',
  EPROTO: NO_TLS,
  closed: CUT,
}

/** An error of the socket; `verb` says what failed: `cannot reach`, `lost`. */
export function socketFailure(verb: string, address: string, cause: unknown): Failure {
  const code = errorCode(cause)
  const fallback = code.startsWith('ERR_SSL') ? NO_TLS : 'see the cause'
  return {
    code: 'CONNECTION_FAILED',
    problem: `${verb} ${address} (${code})`,
    remedy: remedies[code] ?? fallback,
    cause,
  }
}

export function connectTimeout(address: string, timeoutMs: number): Failure {
  return {
    code: 'TIMEOUT',
    problem: `cannot reach ${address} (no connection within ${String(timeoutMs)} ms)`,
    remedy: `${NO_ROUTE} Or raise connectTimeoutMs`,
  }
}

export function idleTimeout(address: string, timeoutMs: number): Failure {
  return {
    code: 'TIMEOUT',
    problem: `${address} sent nothing for ${String(timeoutMs)} ms`,
    remedy: 'is the sender alive? If it is only quiet, raise idleTimeoutMs',
  }
}

/** A decoder said that it cannot go on. */
export function decoderGaveUp(address: string, cause: Error): Failure {
  const code = (cause as { code?: unknown }).code === 'LINE_TOO_LONG' ? 'LINE_TOO_LONG' : 'DATA_CORRUPT'
  const problem = `cannot decode what ${address} sent: ${withoutPrefix(cause.message)}`
  return { code, problem, remedy: 'what follows on this connection is lost', cause, isOfData: true }
}

/** A decoder threw, or its factory. */
export function decoderThrew(address: string, cause: unknown): Failure {
  return {
    code: 'USER_FUNCTION_FAILED',
    problem: `the decoder failed on what ${address} sent (${String(cause)})`,
    remedy: 'the records of this chunk are lost; repair the decoder',
    cause,
    isOfData: true,
  }
}

export function storeFailed(address: string, records: number, cause: unknown): Failure {
  return {
    code: 'RECEIVER_FAILED',
    problem: `${String(records)} records from ${address} could not be stored (${String(cause)})`,
    remedy: 'they are lost unless the sender sends them again; see the cause',
    cause,
  }
}

/** The failure's message, with what was lost by it, and its error. */
export function toReport(failure: Failure, droppedBytes: number): { message: string; error: SluiceError } {
  const { code, cause, isOfData = false } = failure
  const bytes = droppedBytes === 1 ? '1 byte' : `${String(droppedBytes)} bytes`
  const dropped = droppedBytes > 0 ? ` (dropped ${bytes} of an incomplete record)` : ''
  const message = `${failure.problem}; ${failure.remedy}${dropped}`
  return { message, error: new SluiceError({ code, component: COMPONENT, message, retryable: !isOfData, cause }) }
}

// Of several addresses of a host each may fail in its own way; Node's AggregateError carries the code of the first.
function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : String(error)
}

function withoutPrefix(message: string): string {
  return message.replace(/^\[[^\]]*\] /, '')
}
