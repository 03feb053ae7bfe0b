/** Runs one receiver: starts it, gives it a context, restarts it after failures, and stops it. */
import { messageOf, SluiceError } from '../errors.js'
import type { ReceiverInfo } from '../observe/listener.js'
import type { Logger } from '../observe/logger.js'
import { untilAborted } from '../time/abort.js'
import type { Clock } from '../time/clock.js'
import type { Backoff } from './backoff.js'
import type { BlockBuffer } from './block-buffer.js'
import type { Positions } from './positions.js'
import type { RateLimiter } from './rate-limiter.js'
import type { PackedOptions, Receiver, ReceiverContext, SourcePosition } from './receiver.js'

export interface SupervisorOptions {
  readonly streamId: number
  readonly name: string
  /** Index of the receiver in its stream. */
  readonly receiver: number
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between blocks. */
  readonly blockIntervalMs: number
  /** Pauses before restarts when the receiver does not say: see `Backoff`. */
  readonly backoff: Backoff
  /** Milliseconds that `onStart` and `onStop` are waited for at a stop. */
  readonly stopTimeoutMs: number
  /** Shared by the receivers of a stream. */
  readonly positions: Positions
  /** Resolves when all that was stored so far, by any receiver of the stream, is safe; rejects when it never will be. */
  readonly flushed: () => Promise<unknown>
  /** Whether what is stored goes to a write-ahead log. */
  readonly isReliable: boolean
  /** Whether the receiver can make records of packed bytes. */
  readonly canUnpack: boolean
  /** Shared by the receivers of a stream. */
  readonly limiter: RateLimiter
  post(event: 'onReceiverStarted' | 'onReceiverError' | 'onReceiverStopped', info: ReceiverInfo): void
}

/** Why a run ended. */
interface RunEnd {
  readonly kind: 'restart' | 'stop'
  readonly message: string | undefined
  readonly error: unknown
  /** Undefined: by the back-off. */
  readonly delayMs: number | undefined
}

const done = Promise.resolve()

export class ReceiverSupervisor {
  readonly #receiver: Receiver<unknown>
  readonly #buffer: BlockBuffer
  readonly #options: SupervisorOptions
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #starts = 0
  #active = false
  #lastErrorMessage: string | undefined
  #lastError: unknown
  #lastErrorMs: number | undefined

  constructor(receiver: Receiver<unknown>, buffer: BlockBuffer, options: SupervisorOptions) {
    this.#receiver = receiver
    this.#buffer = buffer
    this.#options = options
  }

  start(): void {
    this.#running = this.#runAll()
  }

  /** Resolves when the receiver has stopped; what it stored is in the buffer. */
  async stop(): Promise<void> {
    this.#stopping.abort(stopped(this.#options.name))
    await this.#running
  }

  async #runAll(): Promise<void> {
    for (let end = await this.#runOnce(); end.kind === 'restart'; end = await this.#runOnce()) {
      try {
        await this.#options.clock.sleep(end.delayMs ?? this.#options.backoff.next(), this.#stopping.signal)
        await this.#settled()
      } catch {
        break
      }
    }
    this.#active = false
    this.#options.post('onReceiverStopped', this.#info())
  }

  /** The next run is told a position: it must be of what is safe, and not of what can fail still (E14). */
  async #settled(): Promise<void> {
    const { isReliable, flushed } = this.#options
    if (isReliable) await untilAborted(flushed(), this.#stopping.signal)
  }

  async #runOnce(): Promise<RunEnd> {
    const run = new ReceiverRun(this.#buffer, this.#options, (message, error) => {
      this.#report(message, error)
    })
    const stop = (): void => {
      run.end({ kind: 'stop', message: undefined, error: undefined, delayMs: 0 })
    }
    if (this.#stopping.signal.aborted) return { kind: 'stop', message: undefined, error: undefined, delayMs: 0 }
    this.#stopping.signal.addEventListener('abort', stop, { once: true })
    const starting = this.#startRun(run)
    const end = await run.ended
    this.#options.backoff.ran(run.receivingMs, run.hasStored)
    this.#stopping.signal.removeEventListener('abort', stop)
    await this.#bounded(starting, 'onStart')
    await this.#bounded(this.#stopReceiver(), 'onStop')
    this.#active = false
    this.#tellEnd(end)
    return end
  }

  /** A receiver that stops of itself and without an error has only come to its end. */
  #tellEnd({ kind, message, error }: RunEnd): void {
    if (message === undefined) return
    if (kind === 'stop' && error === undefined) this.#options.logger.info(`[${this.#options.name}] ${message}`)
    else this.#report(message, error)
  }

  async #startRun(run: ReceiverRun): Promise<void> {
    this.#starts++
    try {
      await this.#receiver.onStart(run)
      if (run.signal.aborted) return
      run.started()
      this.#active = true
      this.#options.post('onReceiverStarted', this.#info())
    } catch (error) {
      run.restart(`could not start: ${messageOf(error)}`, error)
    }
  }

  async #stopReceiver(): Promise<void> {
    try {
      await this.#receiver.onStop()
    } catch (error) {
      this.#report(`onStop failed: ${messageOf(error)}`, error)
    }
  }

  /** A receiver that hangs must not hold up the stop of the application. */
  async #bounded(work: Promise<void>, what: string): Promise<void> {
    const timer = new AbortController()
    const timeout = this.#options.clock.sleep(this.#options.stopTimeoutMs, timer.signal).then(
      () => true,
      () => false,
    )
    const late = await Promise.race([work.then(() => false), timeout])
    timer.abort()
    if (late)
      this.#report(`${what} has not returned within ${String(this.#options.stopTimeoutMs)} ms and is left behind`)
  }

  #report(message: string, error?: unknown): void {
    this.#lastErrorMessage = message
    this.#lastError = error
    this.#lastErrorMs = this.#options.clock.now()
    this.#options.logger.warn(`[${this.#options.name}] ${message}`)
    this.#options.post('onReceiverError', this.#info())
  }

  #info(): ReceiverInfo {
    const { streamId, name, receiver } = this.#options
    return {
      streamId,
      name,
      receiver,
      active: this.#active,
      starts: this.#starts,
      lastErrorMessage: this.#lastErrorMessage,
      lastError: this.#lastError,
      lastErrorMs: this.#lastErrorMs,
    }
  }
}

function stopped(name: string): SluiceError {
  return new SluiceError({
    code: 'STOPPED',
    component: name,
    message: 'the receiver has been stopped; the record was not taken',
  })
}

/** One run: the context that the receiver gets. */
class ReceiverRun implements ReceiverContext<unknown> {
  readonly streamId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly ended: Promise<RunEnd>
  readonly report: (message: string, error?: unknown) => void
  readonly #options: SupervisorOptions
  readonly #buffer: BlockBuffer
  readonly #controller = new AbortController()
  #resolve: (end: RunEnd) => void = () => undefined
  #cutting = false
  #startedAt: number | undefined
  #hasStored = false

  constructor(buffer: BlockBuffer, options: SupervisorOptions, report: (message: string, error?: unknown) => void) {
    this.#buffer = buffer
    this.#options = options
    this.streamId = options.streamId
    this.clock = options.clock
    this.logger = options.logger
    this.report = report
    this.signal = this.#controller.signal
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** `onStart` has returned. */
  started(): void {
    this.#startedAt = this.clock.monotonic()
  }

  /** Milliseconds since `onStart` returned. */
  get receivingMs(): number {
    return this.#startedAt === undefined ? 0 : this.clock.monotonic() - this.#startedAt
  }

  get hasStored(): boolean {
    return this.#hasStored
  }

  get position(): SourcePosition {
    return this.#options.positions.safe
  }

  store(record: unknown): Promise<void> {
    if (this.signal.aborted) return Promise.reject(stopped(this.#options.name))
    this.#hasStored = true
    const full = this.#buffer.add(record)
    if (!this.#cutting) this.#cutLater()
    return this.#whenNext(1, full)
  }

  storeAll(
    records: readonly unknown[],
    { position = {} }: { readonly position?: SourcePosition | undefined } = {},
  ): Promise<void> {
    if (this.signal.aborted) return Promise.reject(stopped(this.#options.name))
    this.#hasStored ||= records.length > 0
    if (this.#isKnown(position)) return this.#flushed()
    const full = this.#buffer.addAll(records, position, this.#onSafe(position))
    this.#options.positions.take(position)
    if (!this.#cutting && records.length > 0) this.#cutLater()
    return this.#whenNext(records.length, full)
  }

  /** Whether records up to here are in the write-ahead log, or on their way: then they have come again, and are cut (E14). */
  #isKnown(position: SourcePosition): boolean {
    const { positions, isReliable } = this.#options
    return isReliable && Object.keys(position).length > 0 && positions.has(position)
  }

  /** What is known may have been stored by another receiver, and may fail there still. */
  async #flushed(): Promise<void> {
    await this.#options.flushed()
  }

  #onSafe(position: SourcePosition): (() => void) | undefined {
    if (Object.keys(position).length === 0) return undefined
    return () => {
      this.#options.positions.settle(position)
    }
  }

  storePacked(bytes: Uint8Array, options: PackedOptions): Promise<void> {
    const { records, position = {}, release } = options
    if (this.signal.aborted) return Promise.reject(stopped(this.#options.name))
    const problem = this.#problemOfPacked(records)
    if (problem !== undefined) return Promise.reject(problem)
    this.#hasStored ||= bytes.length > 0
    if (this.#isKnown(position)) {
      release?.()
      return this.#flushed()
    }
    const full = this.#buffer.addPacked(bytes, options, this.#onSafe(position))
    this.#options.positions.take(position)
    if (!this.#cutting && bytes.length > 0) this.#cutLater()
    return this.#whenNext(records, full)
  }

  #problemOfPacked(records: number): SluiceError | undefined {
    const isCount = Number.isSafeInteger(records) && records >= 0
    if (isCount && this.#options.canUnpack) return undefined
    const message = isCount
      ? 'storePacked needs a receiver that has unpack, which makes records of the bytes; give it one or use storeAll'
      : `storePacked needs the number of records, a whole number from 0, not ${String(records)}`
    return new SluiceError({ code: 'ARGUMENT_INVALID', component: this.#options.name, message })
  }

  /** Resolves when there is room, and when the rate allows for more. The records are taken already: a stop only ends the wait. */
  #whenNext(records: number, full: Promise<void> | undefined): Promise<void> {
    const early = this.#options.limiter.take(records, this.signal)
    if (early === undefined) return full ?? done
    return full === undefined ? early : Promise.all([early, full]).then(() => undefined)
  }

  restart(message: string, error?: unknown, delayMs?: number): void {
    this.end({ kind: 'restart', message, error, delayMs })
  }

  stop(message?: string, error?: unknown): void {
    this.end({ kind: 'stop', message, error, delayMs: 0 })
  }

  /** Only the first call counts. */
  end(end: RunEnd): void {
    if (this.signal.aborted) return
    this.#controller.abort(stopped(this.#options.name))
    this.#resolve(end)
  }

  // Runs only while there is something to cut: an idle receiver costs nothing.
  #cutLater(): void {
    this.#cutting = true
    this.clock.sleep(this.#options.blockIntervalMs, this.signal).then(
      () => {
        this.#cutting = false
        this.#buffer.cut()
      },
      () => undefined,
    )
  }
}
