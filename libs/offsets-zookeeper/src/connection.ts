/** Calls on ZooKeeper that end: with their answer, by another connection where one broke, or at the deadline. */
import type { Clock } from '@sluice/core'
import { givenConnection, NoSession, ownConnection, type Calls, type Connection } from './client.js'
import { isLoss, zooKeeperError } from './errors.js'
import type { OwnPlace, ZooKeeperPlace } from './zookeeper-offset-store.config.js'

/** Between two tries. */
const PAUSE_MS = 100
/** A server that accepts and does not answer, as one that is just starting may do, is left after this part of the deadline. */
const CONNECTING_PART = 1 / 3
const MOST_CONNECTING_MS = 5_000
/** For the server to end the session. */
const END_MS = 1_000

/** One call, with all of its tries. */
interface Call {
  /** Aborted when it is to end, or has ended. */
  readonly ends: AbortSignal
  /** What the last try failed of; undefined while nothing but the answer is missing. */
  problem: unknown
}

/**
 * The connection of a store. It is made when a call needs it, and ended after a time-out, an abort, or when it breaks; then never used
 * again (E9).
 */
export class ZooKeeper {
  readonly #place: ZooKeeperPlace
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #closed = new AbortController()
  #connection: Connection | undefined

  constructor(place: ZooKeeperPlace, clock: Clock, timeoutMs: number) {
    this.#place = place
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** For messages: no user, no password. */
  get label(): string {
    return this.#place.connect ?? 'the client given'
  }

  /**
   * Runs `work`, and runs it again from its beginning whenever a connection breaks, until the deadline. Throws what `work` throws for
   * other reasons; `TIMEOUT`, or `CONNECTION_FAILED` where no server can be reached; the reason of `signal`.
   */
  async use<R>(signal: AbortSignal, work: (calls: Calls) => Promise<R>): Promise<R> {
    const over = new AbortController()
    const call: Call = { ends: AbortSignal.any([signal, this.#closed.signal, over.signal]), problem: undefined }
    call.ends.throwIfAborted()
    const late = this.#clock.sleep(this.#timeoutMs, call.ends).then(() => {
      throw this.#late(call)
    })
    late.catch(() => {
      if (!over.signal.aborted) this.#drop(this.#connection)
    })
    const done = this.#try(call, work)
    done.catch(() => undefined)
    try {
      return await Promise.race([done, late])
    } finally {
      over.abort()
    }
  }

  async #try<R>(call: Call, work: (calls: Calls) => Promise<R>): Promise<R> {
    for (;;) {
      const connection = (this.#connection = this.#alive() ?? this.#connect())
      try {
        await this.#ready(connection, call)
        return await Promise.race([work(until(call.ends, connection)), connection.lost])
      } catch (error) {
        if (connection.isAlive && !isLoss(error)) throw error
        call.problem = error
        this.#drop(connection)
      }
      await this.#clock.sleep(PAUSE_MS, call.ends)
    }
  }

  #alive(): Connection | undefined {
    return this.#connection?.isAlive === true ? this.#connection : undefined
  }

  #connect(): Connection {
    const { client } = this.#place
    return client === undefined ? ownConnection(this.#place as OwnPlace) : givenConnection(client)
  }

  /** Ends the connection when that takes too long. */
  async #ready(connection: Connection, call: Call): Promise<void> {
    if (connection.isReady) return
    const timer = new AbortController()
    const ms = Math.min(this.#timeoutMs * CONNECTING_PART, MOST_CONNECTING_MS)
    const slow = this.#clock.sleep(ms, AbortSignal.any([call.ends, timer.signal]))
    slow.then(
      () => {
        connection.destroy()
      },
      () => undefined,
    )
    try {
      await Promise.race([connection.ready, connection.lost])
      call.problem = undefined
    } finally {
      timer.abort()
    }
  }

  #late({ problem }: Call) {
    const isGiven = this.#place.client !== undefined
    const within = `within ${String(this.#timeoutMs)} ms`
    if (problem === undefined || problem instanceof NoSession) {
      const question = isGiven ? 'is it connected, and the server up?' : 'is the server up?'
      const message = `no answer from ${this.label} ${within}; ${question} Else raise callTimeoutMs`
      return zooKeeperError('TIMEOUT', message, { retryable: true })
    }
    const reason = problem instanceof Error ? problem.message : String(problem)
    const remedy = isGiven
      ? 'is the server up? If its session has ended, start again with a new client'
      : 'is the server up, and the address right?'
    const message = `no connection to ${this.label} ${within} (${reason}); ${remedy}`
    return zooKeeperError('CONNECTION_FAILED', message, { cause: problem, retryable: true })
  }

  #drop(connection: Connection | undefined): void {
    connection?.destroy()
    if (this.#connection === connection) this.#connection = undefined
  }

  /** What is under way fails. Resolves also where the server is silent. */
  async close(): Promise<void> {
    const connection = this.#connection
    this.#closed.abort(zooKeeperError('STOPPED', 'the offset store is closed; open it before it is used'))
    if (connection === undefined) return
    this.#connection = undefined
    const timer = new AbortController()
    const late = this.#clock.sleep(END_MS, timer.signal).catch(() => undefined)
    if (connection.isReady) await Promise.race([connection.end(), connection.lost.catch(() => undefined), late])
    timer.abort()
    connection.destroy()
  }
}

/** None of them is answered after the end, so that nothing goes on then. */
function until(ends: AbortSignal, calls: Calls): Calls {
  const inTime = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer
    ends.throwIfAborted()
    return value
  }
  return {
    children: (path) => inTime(calls.children(path)),
    read: (path) => inTime(calls.read(path)),
    make: (path, acl) => inTime(calls.make(path, acl)),
    write: (writes, acl) => inTime(calls.write(writes, acl)),
    sync: () => inTime(calls.sync()),
  }
}
