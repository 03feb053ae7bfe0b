/** One connection: one run of the receiver, from connecting to the end. */
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { isSluiceError } from '@sluice/core'
import type { ReceiverContext } from '@sluice/core'
import type { Backoff } from './backoff.js'
import type { DecoderFactory } from './decoder.js'
import {
  connectTimeout,
  decoderGaveUp,
  decoderThrew,
  idleTimeout,
  socketFailure,
  storeFailed,
  toReport,
} from './failures.js'
import type { Failure } from './failures.js'
import { intakeOf, type Intake, type Portion } from './intake.js'
import { READ_BYTES, ReadBuffers } from './read-buffers.js'
import { COMPONENT } from './socket-stream.config.js'
import type { SocketSettings } from './socket-stream.config.js'

// A receiver never writes, so it would never notice that its peer has gone without a word.
const KEEP_ALIVE_MS = 60_000
// What fills at least so much of its buffer keeps it; less is copied, and the buffer used again.
const KEPT_BYTES = READ_BYTES / 4

export interface ConnectionParts<T> {
  readonly context: ReceiverContext<T>
  readonly settings: SocketSettings
  readonly decode: DecoderFactory<T>
  readonly backoff: Backoff
}

interface Decoded {
  readonly portion: Portion | undefined
  readonly failure: Failure | undefined
}

/**
 * At most one chunk is in flight: while its records are being stored the socket is paused, so that a slow job makes the
 * kernel's window close and the sender wait. A connection that ends waits for that store before it asks for a restart,
 * which would make it be rejected; a stop does not wait.
 */
export class Connection<T> {
  readonly #context: ReceiverContext<T>
  readonly #settings: SocketSettings
  readonly #decode: DecoderFactory<T>
  readonly #backoff: Backoff
  #state: 'live' | 'ending' | 'closed' = 'live'
  #socket: Socket | undefined
  #intake: Intake | undefined
  #timers = new AbortController()
  #onOpened: () => void = () => undefined
  /** Resolves when all that is being stored is, or has failed. */
  #storing: Promise<void> | undefined
  #stores = 0
  #hasStoreFailed = false
  #hasDelivered = false
  #connectedMs: number | undefined
  #lastHeardMs = 0
  #buffer: Buffer | undefined
  readonly #buffers: ReadBuffers

  constructor(parts: ConnectionParts<T>) {
    this.#context = parts.context
    this.#buffers = new ReadBuffers(parts.context.clock, parts.context.signal)
    this.#settings = parts.settings
    this.#decode = parts.decode
    this.#backoff = parts.backoff
  }

  /** Resolves when the connection stands, has failed or is closed; never rejects. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOpened = resolve
      if (this.#context.signal.aborted) this.close()
      else this.#connect()
    })
  }

  /** Releases everything, at once and from any state. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#context.signal.removeEventListener('abort', this.#onAbort)
    const droppedBytes = this.#release()
    if (droppedBytes > 0) this.#context.logger.debug(`[${COMPONENT}] dropped ${String(droppedBytes)} bytes at the stop`)
    this.#onOpened()
  }

  readonly #onAbort = (): void => {
    this.close()
  }

  #connect(): void {
    const { host, port, tls } = this.#settings
    this.#context.signal.addEventListener('abort', this.#onAbort, { once: true })
    void this.#watchConnecting()
    try {
      // Node passes all of it on to the socket; the types of `connectTls` do not say so.
      const to = { host, port, onread: { buffer: this.#nextBuffer, callback: this.#onRead } }
      this.#socket = tls === undefined ? connectTcp(to) : connectTls({ ...tls, ...to })
    } catch (error) {
      this.#failWith(error)
      return
    }
    this.#socket.on(tls === undefined ? 'connect' : 'secureConnect', this.#onConnected)
    this.#socket.on('error', this.#onError)
    this.#socket.on('close', this.#onClose)
  }

  readonly #onConnected = (): void => {
    const { clock, logger } = this.#context
    this.#timers.abort()
    this.#timers = new AbortController()
    this.#connectedMs = this.#lastHeardMs = clock.monotonic()
    logger.info(`[${COMPONENT}] connected to ${this.#settings.address}`)
    try {
      this.#intake = intakeOf(this.#decode, this.#context, { clock, report: this.#report })
    } catch (error) {
      this.#fail(decoderThrew(this.#settings.address, error))
      return
    }
    this.#socket?.setKeepAlive(true, KEEP_ALIVE_MS)
    this.#socket?.on('end', this.#onEnd)
    const { greeting } = this.#intake
    if (greeting !== undefined) this.#socket?.write(greeting)
    this.#socket?.resume()
    void this.#watchSilence()
    this.#onOpened()
  }

  readonly #report = (message: string, error?: unknown): void => {
    this.#context.report(`${this.#settings.address}: ${message}`, error)
  }

  /** Where the next read goes: a new buffer where the last one was given away. */
  readonly #nextBuffer = (): Buffer => (this.#buffer ??= this.#buffers.take())

  #write(intake: Intake, sizeBytes: number): Portion {
    const buffer = this.#nextBuffer()
    const chunk = buffer.subarray(0, sizeBytes)
    if (!intake.borrows && sizeBytes < KEPT_BYTES) return intake.write(Buffer.from(chunk))
    this.#buffer = undefined
    if (!intake.borrows) return intake.write(chunk)
    return intake.write(chunk, () => {
      this.#buffers.give(buffer)
    })
  }

  readonly #onRead = (sizeBytes: number): boolean => {
    if (this.#state !== 'live') return true
    this.#lastHeardMs = this.#context.clock.monotonic()
    const { portion, failure } = this.#decoded((intake) => this.#write(intake, sizeBytes))
    if (portion !== undefined) this.#storing = this.#storeNext(portion)
    if (failure !== undefined) this.#fail(failure)
    return true
  }

  readonly #onEnd = (): void => {
    void this.#finish()
  }

  readonly #onError = (error: Error): void => {
    this.#failWith(error)
  }

  // Comes alone only if something else destroyed the socket: otherwise `end` or `error` came before.
  readonly #onClose = (): void => {
    this.#failWith('closed')
  }

  #decoded(step: (intake: Intake) => Portion): Decoded {
    const { address } = this.#settings
    if (this.#intake === undefined) return { portion: undefined, failure: undefined }
    try {
      const portion = step(this.#intake)
      const cause = this.#intake.failure
      const failure = cause === undefined ? undefined : decoderGaveUp(address, cause)
      return { portion: portion.records === 0 ? undefined : portion, failure }
    } catch (error) {
      return { portion: undefined, failure: decoderThrew(address, error) }
    }
  }

  // A TLS socket gives what it has deciphered already, pause or not: one after another then.
  #storeNext(portion: Portion): Promise<void> {
    this.#stores++
    if (this.#storing === undefined) return this.#storeAndGoOn(portion)
    return this.#storing.then(() => this.#storeAndGoOn(portion))
  }

  async #storeAndGoOn(portion: Portion): Promise<void> {
    this.#socket?.pause()
    // Behind one that could not be stored there must be no later one.
    const failure = this.#hasStoreFailed ? undefined : await this.#store(portion)
    this.#stores--
    if (this.#stores === 0) this.#storing = undefined
    if (failure === undefined) {
      this.#lastHeardMs = this.#context.clock.monotonic()
      if (this.#stores === 0) this.#socket?.resume()
      return
    }
    this.#hasStoreFailed = true
    if (this.#state === 'live') {
      this.#fail(failure)
    } else if (this.#state === 'ending') {
      const { message, error } = toReport(failure, 0)
      this.#context.report(message, error)
    }
  }

  /** Resolves when the records are stored, or to why not. After a stop that is no failure: they count as not received. */
  async #store(portion: Portion): Promise<Failure | undefined> {
    try {
      await portion.store()
      this.#hasDelivered = true
      return undefined
    } catch (error) {
      if (!isSluiceError(error, 'STOPPED')) return storeFailed(this.#settings.address, portion.records, error)
      this.close()
      return undefined
    }
  }

  /** The sender ended the stream: all that it sent is stored before this run ends. */
  async #finish(): Promise<void> {
    if (this.#state !== 'live') return
    this.#state = 'ending'
    await this.#storing
    const { portion, failure } = this.#decoded((intake) => intake.end())
    const isComplete = this.#intake?.isComplete === true
    this.#intake = undefined
    const storeFailure = portion === undefined ? undefined : await this.#store(portion)
    const problem = storeFailure ?? failure
    if (problem !== undefined) await this.#restartAfter(problem)
    else this.#endOfStream(isComplete)
  }

  #endOfStream(isComplete: boolean): void {
    if (this.#isClosed()) return
    this.close()
    const message = `${this.#settings.address} ended the stream${isComplete ? '' : ' before its end mark'}`
    if (this.#settings.onEnd === 'stop' && isComplete) this.#context.stop(message)
    else this.#context.restart(`${message}; connecting again`, undefined, this.#nextDelayMs(true))
  }

  #failWith(error: unknown): void {
    const verb = this.#connectedMs === undefined ? 'cannot reach' : 'lost the connection to'
    this.#fail(socketFailure(verb, this.#settings.address, error))
  }

  #fail(failure: Failure): void {
    if (this.#state !== 'live') return
    this.#state = 'ending'
    void this.#restartAfter(failure)
  }

  async #restartAfter(failure: Failure): Promise<void> {
    const droppedBytes = this.#release()
    await this.#storing
    if (this.#isClosed()) return
    this.close()
    const { message, error } = toReport(failure, droppedBytes)
    this.#context.restart(message, error, this.#nextDelayMs(failure.isOfData !== true))
  }

  /**
   * A connection that delivered data starts the back-off over. One that ended by its data does so only if it lasted: the
   * same data may come again at once.
   */
  #nextDelayMs(isDataGood: boolean): number {
    const livedMs = this.#context.clock.monotonic() - (this.#connectedMs ?? Infinity)
    if (this.#hasDelivered && (isDataGood || livedMs >= this.#settings.maxDelayMs)) this.#backoff.reset()
    return this.#backoff.nextDelayMs()
  }

  async #watchConnecting(): Promise<void> {
    const { address, connectTimeoutMs } = this.#settings
    if (await this.#hasSlept(connectTimeoutMs)) this.#fail(connectTimeout(address, connectTimeoutMs))
  }

  async #watchSilence(): Promise<void> {
    const { address, idleTimeoutMs } = this.#settings
    if (idleTimeoutMs === undefined) return
    let leftMs = idleTimeoutMs
    while (leftMs > 0) {
      if (!(await this.#hasSlept(leftMs))) return
      const nowMs = this.#context.clock.monotonic()
      // It is we who do not listen.
      if (this.#storing !== undefined) this.#lastHeardMs = nowMs
      leftMs = this.#lastHeardMs + idleTimeoutMs - nowMs
    }
    this.#fail(idleTimeout(address, idleTimeoutMs))
  }

  /** False if the connection left the state in which the sleep began. */
  async #hasSlept(ms: number): Promise<boolean> {
    const { signal } = this.#timers
    try {
      await this.#context.clock.sleep(ms, signal)
    } catch {
      return false
    }
    return !signal.aborted
  }

  // After an `await` the state may be another than the compiler has seen.
  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Lets go of socket, timers and decoder. Returns how many received bytes are in no record. */
  #release(): number {
    const intake = this.#intake
    if (this.#socket !== undefined) this.#discard(this.#socket)
    this.#timers.abort()
    this.#socket = undefined
    this.#intake = undefined
    try {
      return intake?.drop() ?? 0
    } catch (error) {
      this.#report(`the decoder failed to drop what is incomplete (${String(error)})`, error)
      return 0
    }
  }

  #discard(socket: Socket): void {
    socket.off('connect', this.#onConnected).off('secureConnect', this.#onConnected)
    socket.off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onClose)
    // A socket that is being destroyed may still fail, which nobody wants to know any more.
    socket.on('error', () => undefined)
    socket.destroy()
  }
}
