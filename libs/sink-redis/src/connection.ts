/** Connections by whatever driver, in one form: commands in, answers out, no retries and no queue for a server that is away. */
import type { Clock } from '@sluice/core'
import { messageOf, redisError, serverError } from './errors.js'
import type { Script } from './scripts.js'
import type { Word } from './values.js'

/** One connection; of a cluster one to each node. */
export interface Connection {
  /** False once its driver knows that it has ended. */
  readonly isReady: boolean
  /** Sends commands, in order, to the server of that key, and gives their answers. An error of any rejects. */
  send(key: Word, commands: readonly (readonly Word[])[]): Promise<unknown[]>
  /** Of a cluster: one to each of its masters. */
  masters?(): Promise<readonly Pick<Connection, 'send'>[]>
  /** Ends it at once. What was sent may still be done. */
  destroy(): void
}

/** How to connect. */
export interface Connector {
  /** For messages: no user, no password. */
  readonly label: string
  readonly isCluster: boolean
  /** Put before all keys: that of the user's own client. */
  readonly keyPrefix: string
  /** False for a client that can only be shared: its connection cannot be ended, so that a late write cannot be told apart. */
  readonly isOwn: boolean
  /** An abort of the signal ends what was begun: a server that hangs is not to hold a socket for ever. */
  connect(timeoutMs: number, signal: AbortSignal): Promise<Connection>
}

/**
 * The connections of a sink: one for each call that goes on at the same time. After a time-out, an abort or an error of the connection it
 * is ended, never used again (E9).
 */
export class Connections {
  readonly #connector: Connector
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  /** Ends what is connecting. */
  readonly #ended = new AbortController()
  #closed = false

  constructor(connector: Connector, clock: Clock, timeoutMs: number) {
    this.#connector = connector
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  get label(): string {
    return this.#connector.label
  }

  /** Lends a connection for `work`, which may make any number of calls by {@link Calls}. */
  async use<R>(signal: AbortSignal | undefined, work: (calls: Calls) => Promise<R>): Promise<R> {
    signal?.throwIfAborted()
    if (this.#closed) throw redisError('STOPPED', 'the sink is closed; open it before it is written to')
    const connection = this.#takeIdle() ?? (await this.#connect(signal))
    const abort = abortOf(signal)
    const callsOn = (to: Pick<Connection, 'send'>): Calls =>
      new Calls(
        (key, commands) => this.#timed(this.#send(to, key, commands), 'a call', abort.comes),
        async () => (await connection.masters?.())?.map(callsOn),
      )
    const calls = callsOn(connection)
    try {
      const result = await work(calls)
      if (this.#closed) this.#end(connection)
      else this.#idle.push(connection)
      return result
    } catch (error) {
      this.#end(connection)
      throw error
    } finally {
      abort.forget()
    }
  }

  /** One that has ended meanwhile, e.g. with its server, is not worth a try of the output's. */
  #takeIdle(): Connection | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.isReady) return idle
      this.#end(idle)
    }
    return undefined
  }

  async #connect(signal: AbortSignal | undefined): Promise<Connection> {
    const given = new AbortController()
    const abort = abortOf(signal)
    const ends = AbortSignal.any([given.signal, this.#ended.signal])
    const connecting = this.#connector.connect(this.#timeoutMs, ends).then((connection) => {
      if (ends.aborted) {
        connection.destroy()
        throw redisError('STOPPED', 'the sink was closed while it connected; open it again')
      }
      this.#all.add(connection)
      return connection
    })
    try {
      return await this.#timed(connecting, 'connecting', abort.comes)
    } catch (error) {
      given.abort()
      throw error
    } finally {
      abort.forget()
    }
  }

  async #send(
    connection: Pick<Connection, 'send'>,
    key: Word,
    commands: readonly (readonly Word[])[],
  ): Promise<unknown[]> {
    try {
      return await connection.send(key, commands)
    } catch (error) {
      throw serverError(error, this.label)
    }
  }

  #end(connection: Connection): void {
    this.#all.delete(connection)
    connection.destroy()
  }

  /** Ends with `work`, with the abort, or with a time-out, whichever is first. */
  async #timed<R>(work: Promise<R>, what: string, abort: Promise<never>): Promise<R> {
    const timer = new AbortController()
    const late = this.#clock.sleep(this.#timeoutMs, timer.signal).then(() => {
      throw this.#timeout(what)
    })
    // Those that come too late are nobody's.
    for (const each of [work, late]) each.catch(() => undefined)
    try {
      return await Promise.race([work, late, abort])
    } finally {
      timer.abort()
    }
  }

  #timeout(what: string) {
    return redisError(
      'TIMEOUT',
      `${what} has not ended within ${String(this.#timeoutMs)} ms at ${this.label}; is the server up? Else raise callTimeoutMs`,
      { retryable: true },
    )
  }

  /** Ends all connections: what is under way fails. */
  close(): void {
    this.#closed = true
    this.#ended.abort()
    this.#idle.length = 0
    for (const connection of this.#all) this.#end(connection)
  }
}

/** A promise that rejects with the reason of the signal, with one listener however many wait for it. */
function abortOf(signal: AbortSignal | undefined): { readonly comes: Promise<never>; forget(): void } {
  let onAbort = (): void => undefined
  const comes = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(signal?.reason as Error)
    }
  })
  comes.catch(() => undefined)
  signal?.addEventListener('abort', onAbort, { once: true })
  return {
    comes,
    forget: () => {
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

type Send = (key: Word, commands: readonly (readonly Word[])[]) => Promise<unknown[]>

/** Calls on one connection. */
export class Calls {
  readonly #send: Send
  readonly #masters: () => Promise<readonly Calls[] | undefined>

  constructor(send: Send, masters: () => Promise<readonly Calls[] | undefined>) {
    this.#send = send
    this.#masters = masters
  }

  /** Calls to each server that takes writes: of a cluster, to all its masters. */
  async servers(): Promise<readonly Calls[]> {
    return (await this.#masters()) ?? [this]
  }

  /** Runs a script, and what is to follow it on the same server. */
  async run(
    script: Script,
    keys: readonly Word[],
    args: readonly Word[],
    ...next: readonly (readonly Word[])[]
  ): Promise<{ readonly answer: readonly string[]; readonly after: readonly unknown[] }> {
    const words = [String(keys.length), ...keys, ...args]
    const [key = ''] = keys
    const [answer, ...after] = await this.#send(key, [['EVALSHA', script.sha, ...words], ...next]).catch(
      (error: unknown) => {
        if (!messageOf(error).includes('NOSCRIPT')) throw error
        return this.#send(key, [['EVAL', script.source, ...words], ...next])
      },
    )
    return { answer: (answer as unknown[]).map(String), after }
  }

  async command(key: Word, ...words: readonly Word[]): Promise<unknown> {
    const [answer] = await this.#send(key, [words])
    return answer
  }
}
