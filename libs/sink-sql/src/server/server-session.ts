/** Transactions on a server: with a connection each, that is thrown away as soon as nobody knows what has become of it (E9). */
import { isSluiceError, untilAborted, type Clock, type SluiceError } from '@sluice/core'
import { sqlError } from '../errors.js'
import {
  ConcurrentChange,
  NOTHING,
  type Outcome,
  type Session,
  type Step,
  type Steps,
  type TransactionOptions,
} from '../steps.js'

/** A connection for one transaction. */
export interface ServerConnection {
  begin(): Promise<void>
  run(step: Step): Promise<Outcome>
  commit(): Promise<void>
  rollback(): Promise<void>
  /** Others may have it. */
  release(): Promise<void>
  /** Nobody may have it any more: it is closed at once, whatever runs on it. */
  destroy(): void
}

/** How a session comes by its connections, and what their errors mean. */
export interface ServerSource {
  /** Where it is, without secrets. */
  readonly label: string
  acquire(): Promise<ServerConnection>
  /** Says goodbye to the server, and waits for it. */
  close(): Promise<void>
  /** Ends what is left, without waiting for anybody. */
  cutOff?(): void
  /** Whether the database has undone the transaction, and it may succeed when it is tried again. */
  isTransient(error: unknown): boolean
  /** Whether the connection is lost. */
  isLost(error: unknown): boolean
  /** As an error of Sluice. */
  toSluiceError(error: unknown): SluiceError
}

export interface ServerSessionOptions {
  readonly clock: Clock
  /** Milliseconds that a transaction may take for which the caller sets no limit. */
  readonly timeoutMs: number
}

/** Tries of one transaction, where the server has undone it each time. */
const TRIES = 10
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 1_000
const GOODBYE_MS = 2_000

export class ServerSession implements Session {
  readonly #source: ServerSource
  readonly #options: ServerSessionOptions
  readonly #running = new Set<Promise<unknown>>()
  #closed = false

  constructor(source: ServerSource, options: ServerSessionOptions) {
    this.#source = source
    this.#options = options
  }

  async transaction<R>(
    steps: () => Steps<R>,
    { signal, undo = false, waits = false }: TransactionOptions = {},
  ): Promise<R> {
    const work = this.#withDeadline(signal, waits, (deadline) =>
      this.#retried(steps, undo, waits ? 1 : TRIES, deadline),
    )
    this.#running.add(work)
    try {
      return await work
    } finally {
      this.#running.delete(work)
    }
  }

  /** `open` has no limit of its own, and a hung server would never answer. */
  async #withDeadline<R>(
    outer: AbortSignal | undefined,
    waits: boolean,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    const { clock, timeoutMs } = this.#options
    const controller = new AbortController()
    const timer = new AbortController()
    const stop = (): void => {
      controller.abort(outer?.reason)
    }
    outer?.throwIfAborted()
    outer?.addEventListener('abort', stop, { once: true })
    const late = (): void => {
      controller.abort(this.#tooLate(timeoutMs))
    }
    if (!waits) clock.sleep(timeoutMs, timer.signal).then(late, () => undefined)
    try {
      return await work(controller.signal)
    } finally {
      timer.abort()
      outer?.removeEventListener('abort', stop)
    }
  }

  #tooLate(timeoutMs: number): SluiceError {
    const message = `${this.#source.label} has not done within ${String(timeoutMs)} ms what was asked; is the server up, and does another transaction hold locks? Else raise timeoutMs`
    return sqlError('TIMEOUT', message, { retryable: true })
  }

  async #retried<R>(steps: () => Steps<R>, undo: boolean, most: number, signal: AbortSignal): Promise<R> {
    const { clock } = this.#options
    let pauseMs = FIRST_PAUSE_MS
    for (let tries = 1; ; tries++) {
      try {
        return await this.#attempt(steps, undo, signal)
      } catch (error) {
        signal.throwIfAborted()
        const mayRetry = error instanceof ConcurrentChange || this.#source.isTransient(error)
        if (!mayRetry || tries >= most) throw this.#converted(error)
      }
      await clock.sleep(pauseMs, signal)
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
    }
  }

  #converted(error: unknown): SluiceError {
    if (isSluiceError(error)) return error
    if (!(error instanceof ConcurrentChange)) return this.#source.toSluiceError(error)
    const message = `another connection goes on writing to the ${error.message} of this output; is the application running twice?`
    return sqlError('OUTPUT_FAILED', message, { retryable: true })
  }

  async #attempt<R>(steps: () => Steps<R>, undo: boolean, signal: AbortSignal): Promise<R> {
    const connection = await this.#begun(signal)
    let isKnown = false
    const destroy = (): void => {
      connection.destroy()
    }
    signal.addEventListener('abort', destroy, { once: true })
    try {
      signal.throwIfAborted()
      const result = await this.#run(connection, steps(), signal)
      signal.throwIfAborted()
      await untilAborted(undo ? connection.rollback() : connection.commit(), signal)
      isKnown = true
      return result
    } catch (error) {
      signal.throwIfAborted()
      // Nothing is done with a connection that is lost, or that has not answered to COMMIT.
      isKnown = !this.#source.isLost(error) && (await this.#rolledBack(connection, signal))
      throw error
    } finally {
      // What has come of the transaction is known: a connection that cannot be given back is nobody's failure.
      if (isKnown && !signal.aborted) await untilAborted(connection.release(), signal).catch(destroy)
      else destroy()
      signal.removeEventListener('abort', destroy)
    }
  }

  /** A connection on which a transaction has begun. One that was lost while it was idle is replaced: nothing was sent on it. */
  async #begun(signal: AbortSignal): Promise<ServerConnection> {
    for (let isFirst = true; ; isFirst = false) {
      signal.throwIfAborted()
      if (this.#closed)
        throw sqlError('STOPPED', `the connection to ${this.#source.label} has been closed; nothing was written`)
      const connection = await this.#acquired(signal)
      try {
        await untilAborted(connection.begin(), signal)
        return connection
      } catch (error) {
        connection.destroy()
        signal.throwIfAborted()
        if (!isFirst || !this.#source.isLost(error)) throw error
      }
    }
  }

  async #acquired(signal: AbortSignal): Promise<ServerConnection> {
    const acquiring = this.#source.acquire()
    try {
      return await untilAborted(acquiring, signal)
    } catch (error) {
      // It may come after all.
      if (signal.aborted) {
        acquiring.then(
          (connection) => {
            connection.destroy()
          },
          () => undefined,
        )
      }
      throw error
    }
  }

  async #run<R>(connection: ServerConnection, steps: Steps<R>, signal: AbortSignal): Promise<R> {
    let next = steps.next(NOTHING)
    while (next.done !== true) {
      let outcome: Outcome
      try {
        outcome = await untilAborted(connection.run(next.value), signal)
      } catch (error) {
        signal.throwIfAborted()
        if (this.#source.isLost(error)) throw error
        next = steps.throw(error)
        continue
      }
      next = steps.next(outcome)
    }
    return next.value
  }

  async #rolledBack(connection: ServerConnection, signal: AbortSignal): Promise<boolean> {
    try {
      await untilAborted(connection.rollback(), signal)
      return true
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#running)
    const timer = new AbortController()
    const closed = this.#source.close().finally(() => {
      timer.abort()
    })
    // A server that hangs says nothing; a connection that fails now is none that anybody needs.
    await Promise.allSettled([Promise.race([closed, this.#options.clock.sleep(GOODBYE_MS, timer.signal)])])
    this.#source.cutOff?.()
  }
}
