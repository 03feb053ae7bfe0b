/** Options of the socket source: their meaning, defaults and checks. */
import { createSecureContext } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { isIP } from 'node:net'
import { SluiceError, seconds } from '@sluice/core'
import type { Duration, ReceiverStreamOptions } from '@sluice/core'
import type { DecoderFactory } from './decoder.js'

export const COMPONENT = 'source-socket'

/** What becomes of a line that is longer than `maxLineBytes`; see the README for what is lost. */
export type LongLinePolicy = 'fail' | 'truncate' | 'skip'

export interface LineDecoderOptions {
  /** The longest line, in bytes without its line end. Default: 1 MiB, at most 256 MiB. */
  readonly maxLineBytes?: number | undefined
  /**
   * `fail` (default): the lines before it are taken, then the connection is dropped with `LINE_TOO_LONG` and made anew; what the
   * sender wrote after that point of the old connection is lost. `truncate`: its first `maxLineBytes` bytes are the line, cut
   * between characters. `skip`: it is left out. Both are counted and reported, at most once a second.
   */
  readonly onLongLine?: LongLinePolicy | undefined
}

export interface ReconnectOptions {
  /** Shortest delay. Default: 0.5 s. */
  readonly minDelay?: Duration | undefined
  /** Longest delay. Default: 30 s. */
  readonly maxDelay?: Duration | undefined
}

/** Where to connect, and what to do when that fails or ends. */
export interface SocketOptions {
  /** Name or address of the server. */
  readonly host: string
  readonly port: number
  /** TLS: `true`, or the options of `tls.connect` (`ca`, `cert`, `key`, `servername`, …). Default: plain TCP. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** How long looking up the name, connecting and the TLS handshake may take together. Default: 10 000. */
  readonly connectTimeoutMs?: number | undefined
  /** Connects anew if no byte came for this long; time spent waiting for room does not count. Default: never. */
  readonly idleTimeoutMs?: number | undefined
  /** Delay before connecting again: doubles from `minDelay` to `maxDelay`, with jitter; starts over after a connection that worked. */
  readonly reconnect?: ReconnectOptions | undefined
  /** When the sender ends the stream: connect again (default, as Spark does) or stop the receiver for good. */
  readonly onEnd?: 'reconnect' | 'stop' | undefined
}

export interface SocketReceiverOptions<out T> extends SocketOptions {
  /** Makes the decoder of each connection, e.g. {@link lineDecoder}. */
  readonly decode: DecoderFactory<T>
}

/** What the stream is told, beside the receiver's own options. Its restart delays are missing: `reconnect` takes their place. */
export type InputStreamOptions = Omit<ReceiverStreamOptions, 'restartDelay' | 'maxRestartDelay'>

export interface SocketStreamOptions<out T> extends SocketReceiverOptions<T>, InputStreamOptions {}

export interface SocketTextStreamOptions extends SocketOptions, LineDecoderOptions, InputStreamOptions {
  /** The server numbers its lines and can go on from any of them; see `sequencedLineDecoder`. Default: false. */
  readonly sequenced?: boolean | undefined
}

export interface LineSettings {
  readonly maxLineBytes: number
  readonly onLongLine: LongLinePolicy
}

export interface SocketSettings {
  readonly host: string
  readonly port: number
  readonly address: string
  readonly tls: ConnectionOptions | undefined
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number | undefined
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly onEnd: 'reconnect' | 'stop'
}

const MIB = 1_048_576
// Leaves room below V8's longest string, 512 MiB.
const MAX_LINE_BYTES = 256 * MIB
// The longest delay of a Node timer.
const MAX_TIMEOUT_MS = 2 ** 31 - 1

export function lineSettings(options: LineDecoderOptions): LineSettings {
  const { maxLineBytes = MIB, onLongLine = 'fail' } = options
  checkWhole('maxLineBytes', maxLineBytes, 1, MAX_LINE_BYTES)
  checkOneOf('onLongLine', onLongLine, ['fail', 'truncate', 'skip'])
  return { maxLineBytes, onLongLine }
}

export function socketSettings(options: SocketOptions): SocketSettings {
  const {
    host,
    port,
    tls = false,
    connectTimeoutMs = 10_000,
    idleTimeoutMs,
    reconnect = {},
    onEnd = 'reconnect',
  } = options
  const { minDelay = seconds(0.5), maxDelay = seconds(30) } = reconnect
  check(typeof host === 'string' && host.trim() !== '', 'host', host, 'the name or address of the server')
  checkWhole('port', port, 1, 65_535)
  checkWhole('connectTimeoutMs', connectTimeoutMs, 1, MAX_TIMEOUT_MS)
  if (idleTimeoutMs !== undefined) checkWhole('idleTimeoutMs', idleTimeoutMs, 1, MAX_TIMEOUT_MS)
  checkWhole('reconnect.minDelay', minDelay, 1, MAX_TIMEOUT_MS)
  checkWhole('reconnect.maxDelay', maxDelay, minDelay, MAX_TIMEOUT_MS)
  checkOneOf('onEnd', onEnd, ['reconnect', 'stop'])
  const address = host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`
  const delays = { minDelayMs: minDelay, maxDelayMs: maxDelay }
  return { host, port, address, tls: tlsSettings(host, tls), connectTimeoutMs, idleTimeoutMs, ...delays, onEnd }
}

export function checkDecode(decode: unknown): void {
  check(typeof decode === 'function', 'decode', decode, 'a function that makes a decoder, e.g. lineDecoder()')
}

function tlsSettings(host: string, tls: boolean | ConnectionOptions): ConnectionOptions | undefined {
  const isOptions = typeof tls === 'object' && (tls as unknown) !== null
  check(isOptions || typeof tls === 'boolean', 'tls', tls, 'true, false or the options of tls.connect')
  if (tls === false) return undefined
  const options = tls === true ? {} : tls
  for (const key of ['host', 'port', 'path', 'socket'] as const) {
    check(options[key] === undefined, `tls.${key}`, key, 'left out: host and port stand beside tls')
  }
  try {
    createSecureContext(options)
  } catch (error) {
    throw invalid(`tls cannot be used (${String(error)}); give ca, cert and key as PEM`, error)
  }
  // Node sends no server name by itself, and an address may not be one.
  return isIP(host) === 0 ? { servername: host, ...options } : options
}

function checkWhole(option: string, value: number, min: number, max: number): void {
  const wanted = `a whole number from ${String(min)} to ${String(max)}`
  check(Number.isInteger(value) && value >= min && value <= max, option, value, wanted)
}

function checkOneOf(option: string, value: string, allowed: readonly string[]): void {
  check(allowed.includes(value), option, value, `one of ${allowed.map((one) => `'${one}'`).join(', ')}`)
}

function check(condition: boolean, option: string, value: unknown, wanted: string): void {
  if (!condition) throw invalid(`${option} must be ${wanted}, not ${shown(value)}`)
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

function invalid(message: string, cause?: unknown): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: COMPONENT, message, cause })
}
