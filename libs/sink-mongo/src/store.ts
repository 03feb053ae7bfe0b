/** The driver's client, and calls that end: with their answer, with the abort of the engine, or with a time-out. */
import { untilAborted, type Clock } from '@sluice/core'
import { MongoClient, ReadConcern, type Collection, type Db, type Document, type WriteConcernSettings } from 'mongodb'
import { mongoError, serverError } from './errors.js'
import type { GivenClient, MongoPlace } from './mongo-sink.config.js'

/** A document of whatever `_id`: to the driver's types it is a text. */
export type AnyDocument = Document & { _id: string }

export class Store {
  readonly label: string
  readonly client: GivenClient
  readonly #own: MongoClient | undefined
  readonly #database: string
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #writeConcern: WriteConcernSettings
  #closed = false

  constructor(
    place: MongoPlace,
    database: string,
    writeConcern: WriteConcernSettings,
    clock: Clock,
    timeoutMs: number,
  ) {
    this.#database = database
    this.#writeConcern = writeConcern
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    if ('client' in place) {
      this.client = place.client
      this.label = 'the server of the given client'
    } else {
      this.label = hostsOf(place.url)
      this.client = this.#own = connectorOf(place, this.label, timeoutMs)
    }
  }

  get db(): Db {
    return this.client.db(this.#database, {
      writeConcern: this.#writeConcern,
      readPreference: 'primary',
      readConcern: new ReadConcern('local'),
      // A client of one's own may be set otherwise.
      ignoreUndefined: false,
      promoteValues: true,
      promoteLongs: true,
    })
  }

  /** Documents there may have an `_id` of any type. */
  collection(name: string): Collection<AnyDocument> {
    return this.db.collection<AnyDocument>(name)
  }

  /** What becomes of a call that is given up is unknown; its guard tells whoever makes it again (E9). */
  async run<R>(what: string, signal: AbortSignal | undefined, work: () => Promise<R>): Promise<R> {
    signal?.throwIfAborted()
    if (this.#closed) throw mongoError('STOPPED', 'the sink is closed; open it before it is written to')
    const timer = new AbortController()
    const late = this.#clock.sleep(this.#timeoutMs, timer.signal).then(() => {
      throw this.#timeout(what)
    })
    try {
      return await untilAborted(Promise.race([work(), late]), signal)
    } finally {
      timer.abort()
    }
  }

  /** As `run`, and an error is one of Sluice. */
  async call<R>(what: string, signal: AbortSignal | undefined, work: () => Promise<R>): Promise<R> {
    try {
      return await this.run(what, signal, work)
    } catch (error) {
      if (signal?.aborted === true) throw error
      throw serverError(error, this.label)
    }
  }

  #timeout(what: string) {
    return mongoError(
      'TIMEOUT',
      `${what} has not ended within ${String(this.#timeoutMs)} ms at ${this.label}; is the server up? Else raise callTimeoutMs`,
      { retryable: true },
    )
  }

  /** Ends what is under way. A given client stays open. */
  async close(): Promise<void> {
    this.#closed = true
    // The driver says goodbye to each server; one that hangs is not waited for.
    await this.#own?.close(true).catch(() => undefined)
  }
}

/** No user, no password. */
function hostsOf(url: string): string {
  return /^mongodb(?:\+srv)?:\/\/(?:[^@]*@)?([^/?]+)/.exec(url)?.[1] ?? 'the server'
}

function connectorOf(
  place: { url: string; options?: object | undefined },
  label: string,
  timeoutMs: number,
): MongoClient {
  const profile = { serverSelectionTimeoutMS: timeoutMs, connectTimeoutMS: timeoutMs, socketTimeoutMS: timeoutMs }
  try {
    return new MongoClient(place.url, { ...place.options, ...profile })
  } catch (error) {
    // What the driver says may repeat the URL, and the password in it.
    const name = error instanceof Error ? error.name : 'an error'
    throw mongoError('ARGUMENT_INVALID', `the driver takes neither url nor options for ${label} (${name}); check them`)
  }
}
